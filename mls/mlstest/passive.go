package mlstest

import (
	"fmt"
	"testing"

	"github.com/quicproquo/qpq/mls"
	"github.com/quicproquo/qpq/mls/internal/suite"
	"github.com/quicproquo/qpq/mls/message"
)

// play is a group whose every message a passive member records.
type play struct {
	*testing.T
	config  mls.Config
	suite   mls.CipherSuite
	active  []*mls.Group
	passive *mls.KeyPackageBundle
	out     object
	epochs  []object
	waiting [][]byte // proposals since the last commit
}

const pskID = "external key"

func (p *play) check(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

func (p *play) identity(name string) mls.Identity {
	p.Helper()
	k, err := mls.NewSignatureKey(p.config, p.suite)
	p.check(err)
	return mls.Identity{Credential: mls.BasicCredential([]byte(name)), Key: k}
}

func (p *play) bundle(name string) *mls.KeyPackageBundle {
	p.Helper()
	b, err := mls.NewKeyPackage(p.config, p.suite, p.identity(name), mls.KeyPackageOptions{})
	p.check(err)
	return b
}

// propose has everybody see a proposal.
func (p *play) propose(from int, out *mls.Outgoing, err error) {
	p.Helper()
	p.check(err)
	p.waiting = append(p.waiting, out.Message)
	for i, g := range p.active {
		if i != from {
			_, err := g.Process(out.Message)
			p.check(err)
		}
	}
}

// commit has everybody take a commit of the member at index from, which adds some.
func (p *play) commit(from int, o mls.CommitOptions, added ...*mls.KeyPackageBundle) {
	p.Helper()
	for _, b := range added {
		o.Proposals = append(o.Proposals, &message.Add{KeyPackage: b.KeyPackage})
	}
	pending, err := p.active[from].Commit(o)
	p.check(err)
	inviter := p.active[from]
	p.take(from, pending)
	for _, b := range added {
		if b == p.passive {
			p.out["welcome"] = pending.Welcome
			p.out["initial_epoch_authenticator"] = inviter.EpochAuthenticator()
			p.epochs = nil
			continue
		}
		j, err := mls.Join(p.config, pending.Welcome, mls.JoinOptions{KeyPackages: []*mls.KeyPackageBundle{b}, RatchetTree: inviter.RatchetTree()})
		p.check(err)
		p.active = append(p.active, j.Group)
	}
}

// take has everybody process a commit, and records it.
func (p *play) take(from int, pending *mls.PendingCommit) {
	p.Helper()
	var rest []*mls.Group
	for i, g := range p.active {
		if i == from {
			_, err := pending.Apply()
			p.check(err)
		} else {
			r, err := g.Process(pending.Message)
			p.check(err)
			_, err = r.(*mls.StagedCommit).Merge()
			p.check(err)
		}
		if !g.Removed() {
			rest = append(rest, g)
		}
	}
	p.active = rest
	proposals := []string{}
	for _, b := range p.waiting {
		proposals = append(proposals, fmt.Sprintf("%x", b))
	}
	p.waiting = nil
	p.epochs = append(p.epochs, object{"proposals": proposals, "commit": pending.Message,
		"epoch_authenticator": p.active[0].EpochAuthenticator()})
}

// passiveClients plays groups with encrypted and with public handshakes, and records what a passive member sees.
func passiveClients(t *testing.T, s *suite.Suite) []object {
	var cases []object
	for i, public := range []bool{false, true} {
		secret := bytesOf(s, "external", s.HashSize())
		p := &play{T: t, suite: mls.CipherSuite(s.ID())}
		p.config = Deterministic(t, uint64(s.ID())*10+uint64(i), mls.Config{PublicHandshake: public,
			Authorize: func(mls.Proposal, mls.Sender) error { return nil },
			PSK:       func(id mls.PreSharedKeyID) ([]byte, bool) { return secret, string(id.ID) == pskID }})
		p.out = object{"cipher_suite": s.ID(), "ratchet_tree": nil,
			"external_psks": []object{{"psk_id": []byte(pskID), "psk": secret}}}
		p.run(public)
		cases = append(cases, p.out)
	}
	return cases
}

func (p *play) run(withoutTree bool) {
	outsider := p.identity("outsider")
	senders := message.MarshalExternalSenders([]message.ExternalSender{{SignatureKey: outsider.Key.Public(), Credential: outsider.Credential}})
	g, err := mls.NewGroup(p.config, p.suite, p.identity("founder"), mls.GroupOptions{ID: []byte("own vectors"),
		Extensions: mls.Extensions{{Type: message.ExtensionExternalSenders, Data: senders}}})
	p.check(err)
	p.active = []*mls.Group{g}
	p.commit(0, mls.CommitOptions{}, p.bundle("a"), p.bundle("b"), p.bundle("c"))
	p.commit(2, mls.CommitOptions{})
	p.passive = p.bundle("passive")
	p.commit(1, mls.CommitOptions{GroupInfo: mls.GroupInfoOptions{WithoutTree: withoutTree}}, p.passive, p.bundle("d"))
	if withoutTree {
		p.out["ratchet_tree"] = p.active[0].RatchetTree()
	}
	init, encryption, signature := PrivateKeys(p.passive)
	p.out["key_package"], p.out["init_priv"], p.out["encryption_priv"], p.out["signature_priv"] = p.passive.Message(), init, encryption, signature

	p.commit(3, mls.CommitOptions{})
	out, err := p.active[2].ProposeUpdate(nil)
	p.propose(2, out, err)
	out, err = p.active[0].ProposePSK([]byte(pskID))
	p.propose(0, out, err)
	p.commit(1, mls.CommitOptions{})
	p.commit(0, mls.CommitOptions{WithoutPath: true}, p.bundle("e"))
	remove, err := mls.ProposeExternal(p.config, g.GroupID(), g.Epoch(), 0, outsider.Key, &message.Remove{Removed: p.active[1].OwnIndex()})
	p.propose(-1, &mls.Outgoing{Message: remove}, err)
	p.commit(0, mls.CommitOptions{})
	join, err := mls.ProposeJoin(p.config, g.GroupID(), g.Epoch(), p.bundle("proposes itself"))
	p.propose(-1, &mls.Outgoing{Message: join}, err)
	p.commit(1, mls.CommitOptions{})
	info, err := p.active[0].GroupInfo(mls.GroupInfoOptions{ExternalPub: true})
	p.check(err)
	external, pending, err := mls.JoinExternal(p.config, info, p.identity("joins by itself"), mls.ExternalOptions{})
	p.check(err)
	p.active = append(p.active, external)
	p.take(len(p.active)-1, pending)
	out, err = p.active[0].ProposeSelfRemove()
	p.propose(0, out, err)
	p.commit(1, mls.CommitOptions{})
	p.commit(0, mls.CommitOptions{})
	p.out["epochs"] = p.epochs
}
