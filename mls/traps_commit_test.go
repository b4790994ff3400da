package mls

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/quicproquo/qpq/mls/internal/suite"
	"github.com/quicproquo/qpq/mls/message"
)

func TestPendingCommitWhenAnothersArrives(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprintf("after a restart %t", restart), func(t *testing.T) {
			r := newRig(t, 3, Config{})
			alice, bob := r.members[0], r.members[1]
			lost := good(bob.Commit(CommitOptions{Proposals: []Proposal{r.addition("never")}}))(t)
			if restart {
				bob = r.restored(bob)
				r.members[1] = bob
				lost = bob.Pending()
			}
			if _, err := bob.Commit(CommitOptions{}); !errors.Is(err, ErrPendingCommit) {
				t.Errorf("a second commit beside the pending one: %v", err)
			}
			p := good(alice.Commit(CommitOptions{}))(t)
			staged := r.stage(bob, p.Message)
			if bob.Pending() != lost {
				t.Error("a commit that was only looked at took the pending one away")
			}
			list := good(staged.Merge())(t)
			if !slices.ContainsFunc(list, func(c Record) bool { return c.Key == recordPending && c.Value == nil }) {
				t.Error("the pending commit stays in the stored state")
			}
			good(p.Apply())(t)
			good(r.stage(r.members[2], p.Message).Merge())(t)
			r.agree()
			_, err := lost.Apply()
			fails(t, err, ErrStale)
			_, err = lost.GroupInfo(GroupInfoOptions{})
			fails(t, err, ErrStale)
			if bob.Pending() != nil || lost.Discard() != nil {
				t.Error("the commit that lost is still there")
			}
			r.refuses(alice, lost.Message, ErrWrongEpoch)
			r.commit(bob, CommitOptions{})
		})
	}
	t.Run("that removes the one whose commit is pending", func(t *testing.T) {
		r := newRig(t, 3, Config{})
		alice, bob := r.members[0], r.members[1]
		lost := good(bob.Commit(CommitOptions{}))(t)
		r.commit(alice, CommitOptions{Proposals: []Proposal{&message.Remove{Removed: bob.OwnIndex()}}})
		_, err := lost.Apply()
		fails(t, err, ErrStale)
		if !bob.Removed() {
			t.Error("a member is back by a commit that lost")
		}
	})
	t.Run("two staged commits of one epoch", func(t *testing.T) {
		r := newRig(t, 3, Config{})
		first, second := good(r.members[0].Commit(CommitOptions{}))(t), good(r.members[1].Commit(CommitOptions{}))(t)
		carol := r.members[2]
		a, b := r.stage(carol, first.Message), r.stage(carol, second.Message)
		good(a.Merge())(t)
		for _, s := range []*StagedCommit{a, b} {
			_, err := s.Merge()
			fails(t, err, ErrStale)
		}
	})
}

func TestPathIsRequired(t *testing.T) {
	r := newRig(t, 4, Config{PublicHandshake: true, Proposals: []message.ProposalType{0xF0C0}})
	alice, bob := r.members[0], r.members[1]
	update := good(bob.ProposeUpdate(nil))(t)
	leave := good(r.members[2].ProposeSelfRemove())(t)
	for _, out := range []*Outgoing{update, leave} {
		for _, g := range []*Group{alice, r.members[3]} {
			good(g.Process(out.Message))(t)
		}
	}
	byReference := func(ref []byte) []byte {
		return r.forge(alice, &message.FramedContent{Type: message.ContentCommit,
			Commit: &message.Commit{Proposals: []message.ProposalOrRef{{Reference: ref}}}})
	}
	for name, data := range map[string][]byte{
		"an empty commit":              r.forgeCommit(alice),
		"a removal":                    r.forgeCommit(alice, &message.Remove{Removed: 2}),
		"a removal beside an addition": r.forgeCommit(alice, r.addition("new"), &message.Remove{Removed: 2}),
		"new extensions":               r.forgeCommit(alice, &message.GroupContextExtensions{}),
		"an update":                    byReference(update.Ref),
		"a member who leaves":          byReference(leave.Ref),
		"a custom proposal":            r.forgeCommit(alice, &message.Custom{ProposalType: 0xF0C0}),
	} {
		r.Run(name, func(t *testing.T) { r.refuses(r.members[3], data, ErrPathRequired) })
	}
	r.Run("an external commit", func(t *testing.T) {
		_, p := good2(JoinExternal(r.config, r.info(alice), r.identity("outsider"), ExternalOptions{}))(t)
		r.refuses(alice, r.reencoded(p.Message, func(m *message.Message) { m.Public.Content.Commit.Path = nil }), ErrMalformed)
	})
	r.Run("and made even if it is not asked for", func(t *testing.T) {
		p := good(alice.Commit(CommitOptions{WithoutPath: true}))(t)
		if good(message.Unmarshal(p.Message))(t).Public.Content.Commit.Path == nil {
			t.Error("the commit has no path")
		}
		p.Discard()
		alice.DropProposals(nil)
	})
	psk := r.config
	psk.PSK = func(PreSharedKeyID) ([]byte, bool) { return []byte("key"), true }
	r = newRig(t, 2, psk)
	alice = r.members[0]
	id := good(alice.ExternalPSKProposal([]byte("id")))(t)
	for name, p := range map[string]Proposal{"an addition": r.addition("new"), "a pre-shared key": id,
		"data beside the commit": &message.AppEphemeral{Component: 7}} {
		r.Run("not for "+name, func(t *testing.T) {
			pending := good(alice.Commit(CommitOptions{Proposals: []Proposal{p}, WithoutPath: true}))(t)
			if good(message.Unmarshal(pending.Message))(t).Public.Content.Commit.Path != nil {
				t.Error("the commit has a path")
			}
			r.merge(alice, pending)
		})
	}
	// The additions that were merged never joined; the others go on.
	r.says(alice, r.members[1], "still in step")
}

// TestSecretsOfACommit computes the next epoch from a commit by hand, as two members at different heights of the path see
// it: the context that path secrets are encrypted in, who they are encrypted to, and how often they are derived.
func TestSecretsOfACommit(t *testing.T) {
	r := newRig(t, 4, Config{PublicHandshake: true, Extensions: []message.ExtensionType{0xF0E0}})
	alice, bob, dave := r.members[0], r.members[1], r.members[3]
	s := alice.suite
	old, interim, initSecret := alice.Context(), bytes.Clone(alice.interim), bytes.Clone(alice.secrets.Init)
	bobKey, daveKey := keyOf(t, s, bob), keyOf(t, s, dave)
	extensions := Extensions{{Type: 0xF0E0, Data: []byte("new")}}
	p := good(alice.Commit(CommitOptions{Proposals: []Proposal{&message.Remove{Removed: 2}, r.addition("at leaf 2"),
		&message.GroupContextExtensions{Extensions: extensions}}}))(t)
	m := good(message.Unmarshal(p.Message))(t).Public
	path := m.Content.Commit.Path
	r.merge(alice, p)
	if l := p.Added[0].Index; l != 2 || len(path.Nodes) != 2 {
		t.Fatalf("leaf %d, path of %d", l, len(path.Nodes))
	}

	r.Run("no path secret is for a leaf that is new", func(t *testing.T) {
		if n := len(path.Nodes[1].Secrets); n != 1 {
			t.Errorf("%d ciphertexts where leaf 3 is the only one", n)
		}
	})
	provisional := old
	provisional.Epoch++
	provisional.TreeHash = alice.tree.Hash()
	provisional.Extensions = extensions
	open := func(key *suite.KeyPair, node int, c message.GroupContext) ([]byte, error) {
		sealed := path.Nodes[node].Secrets[0]
		return s.DecryptWithLabel(key, "UpdatePathNode", c.Append(nil), sealed.KEMOutput, sealed.Ciphertext)
	}
	r.Run("path secrets are encrypted in the new tree, with the new extensions and the old transcript", func(t *testing.T) {
		for _, spoil := range []func(*message.GroupContext){
			func(c *message.GroupContext) { c.TreeHash = old.TreeHash },
			func(c *message.GroupContext) { c.Extensions = old.Extensions },
			func(c *message.GroupContext) { c.Epoch-- },
			func(c *message.GroupContext) { c.ConfirmedTranscriptHash = alice.Context().ConfirmedTranscriptHash },
		} {
			c := provisional
			spoil(&c)
			if _, err := open(bobKey, 0, c); err == nil {
				t.Errorf("another context opens it: %+v", c)
			}
		}
	})
	confirmed := s.Hash(interim, m.Authenticated().AppendConfirmedInput(nil))
	context := provisional
	context.ConfirmedTranscriptHash = confirmed
	encoded := context.Append(nil)
	authenticator := func(commitSecret []byte) []byte {
		joiner := s.ExpandWithLabel(s.Extract(initSecret, commitSecret), "joiner", encoded, s.HashSize())
		epoch := s.ExpandWithLabel(s.Extract(joiner, make([]byte, s.HashSize())), "epoch", encoded, s.HashSize())
		return s.DeriveSecret(epoch, "authentication")
	}
	r.Run("the commit secret lies two derivations above the lower node", func(t *testing.T) {
		secret := good(open(bobKey, 0, provisional))(t)
		same(t, "authenticator", authenticator(s.DeriveSecret(s.DeriveSecret(secret, "path"), "path")), alice.EpochAuthenticator())
	})
	r.Run("and one above the root", func(t *testing.T) {
		secret := good(open(daveKey, 1, provisional))(t)
		same(t, "authenticator", authenticator(s.DeriveSecret(secret, "path")), alice.EpochAuthenticator())
	})
}

// keyOf returns a copy of a member's leaf key.
func keyOf(t *testing.T, s *suite.Suite, g *Group) *suite.KeyPair {
	t.Helper()
	k := g.keys[g.own.Node()]
	return good(s.NewKeyPair(k.Bytes(), k.Public()))(t)
}

func TestExternalKeyIsOfTheNewEpoch(t *testing.T) {
	r := newRig(t, 2, Config{})
	alice := r.members[0]
	externalPub := func(list Extensions) []byte {
		data, ok := list.Find(message.ExtensionExternalPub)
		if !ok {
			t.Fatal("there is no external key")
		}
		return data
	}
	infoOf := func(data []byte) *message.GroupInfo { return good(message.Unmarshal(data))(t).GroupInfo }
	before := externalPub(infoOf(r.info(alice)).Extensions)
	b := r.bundle("new", KeyPackageOptions{})
	p := good(alice.Commit(CommitOptions{Proposals: []Proposal{&message.Add{KeyPackage: b.KeyPackage}},
		GroupInfo: GroupInfoOptions{ExternalPub: true}}))(t)
	info := good(p.GroupInfo(GroupInfoOptions{ExternalPub: true}))(t)
	r.merge(alice, p)
	after := externalPub(infoOf(r.info(r.members[1])).Extensions)
	if bytes.Equal(before, after) {
		t.Fatal("two epochs with one external key")
	}
	j := good(Join(r.config, p.Welcome, JoinOptions{KeyPackages: []*KeyPackageBundle{b}}))(t)
	same(t, "external key in the welcome", externalPub(j.Info), after)
	same(t, "external key in the group info", externalPub(infoOf(info).Extensions), after)
	r.members = append(r.members, j.Group)
	g, external := good2(JoinExternal(r.config, info, r.identity("outsider"), ExternalOptions{}))(t)
	r.members = append(r.members, g)
	r.merge(g, external)
	r.says(g, alice, "joined with it")
}

func TestKeysOfAPathAreUnique(t *testing.T) {
	r := newRig(t, 4, Config{PublicHandshake: true})
	alice, bob := r.members[0], r.members[1]
	p := good(alice.Commit(CommitOptions{}))(t)
	leafKey := func(g *Group) []byte { return g.tree.Leaf(g.own).EncryptionKey }
	for name, c := range map[string]struct {
		change func(*message.UpdatePath)
		want   error
	}{
		"a node with another member's key": {func(p *message.UpdatePath) { p.Nodes[0].EncryptionKey = leafKey(r.members[3]) }, ErrDuplicateKey},
		"a node with the key of another":   {func(p *message.UpdatePath) { p.Nodes[1].EncryptionKey = p.Nodes[0].EncryptionKey }, ErrDuplicateKey},
		"a node with the key it has":       {func(p *message.UpdatePath) { p.Nodes[1].EncryptionKey = alice.tree.Parent(3).EncryptionKey }, ErrDuplicateKey},
		"a node with the key of the leaf":  {func(p *message.UpdatePath) { p.Nodes[0].EncryptionKey = p.LeafNode.EncryptionKey }, ErrDuplicateKey},
		"a leaf with another member's key": {func(p *message.UpdatePath) { p.LeafNode.EncryptionKey = leafKey(r.members[3]) }, ErrDuplicateKey},
		"a leaf with the key of a node":    {func(p *message.UpdatePath) { p.LeafNode.EncryptionKey = alice.tree.Parent(3).EncryptionKey }, ErrDuplicateKey},
		"a leaf with the key it has":       {func(p *message.UpdatePath) { p.LeafNode.EncryptionKey = leafKey(alice) }, ErrLeafNode},
	} {
		r.Run(name, func(t *testing.T) { r.refuses(bob, r.resignPath(alice, p.Message, c.change), c.want) })
	}
	p.Discard()
	r.Run("a leaf with another member's signature key", func(t *testing.T) {
		stolen := Identity{BasicCredential([]byte("m0")), &SignatureKey{r.members[3].suite, r.members[3].key}}
		_, err := alice.Commit(CommitOptions{Identity: &stolen})
		fails(t, err, ErrDuplicateKey)
	})
	r.Run("somebody who is a member already", func(t *testing.T) {
		again := Identity{BasicCredential([]byte("again")), &SignatureKey{bob.suite, bob.key}}
		k := good(NewKeyPackage(r.config, r.suite, again, KeyPackageOptions{}))(t).KeyPackage
		_, err := alice.Commit(CommitOptions{Proposals: []Proposal{&message.Add{KeyPackage: k}}})
		fails(t, err, ErrDuplicateKey)
		add := r.addition("new")
		r.refuses(bob, r.forgeCommit(alice, add, add), ErrDuplicateKey)
		r.commit(alice, CommitOptions{Proposals: []Proposal{&message.Remove{Removed: 1}, &message.Add{KeyPackage: k}}})
	})
}

func TestPreSharedKeyTwice(t *testing.T) {
	r := newRig(t, 2, Config{PublicHandshake: true, PSK: func(PreSharedKeyID) ([]byte, bool) { return []byte("key"), true }})
	alice, bob := r.members[0], r.members[1]
	first, second := good(alice.ExternalPSKProposal([]byte("id")))(t), good(alice.ExternalPSKProposal([]byte("other id")))(t)
	_, err := alice.Commit(CommitOptions{Proposals: []Proposal{first, second, first}})
	fails(t, err, ErrProposal)
	r.refuses(bob, r.forgeCommit(alice, first, second, first), ErrProposal)
	r.Run("by value and by reference", func(t *testing.T) {
		out := r.propose(alice, good(alice.Propose(first, nil))(t), nil)
		r.refuses(bob, r.forge(alice, &message.FramedContent{Type: message.ContentCommit, Commit: &message.Commit{
			Proposals: []message.ProposalOrRef{{Reference: out.Ref}, {Proposal: first}}}}), ErrProposal)
		alice.DropProposals(nil)
		bob.DropProposals(nil)
	})
	r.commit(alice, CommitOptions{Proposals: []Proposal{first, second}})
}

// A commit that is refused may carry what the next one needs.
func TestRefusedCommitCostsNoUpdateKey(t *testing.T) {
	r := newRig(t, 3, Config{PublicHandshake: true})
	alice, bob := r.members[0], r.members[1]
	r.propose(bob, good(bob.ProposeUpdate(nil))(t), nil)
	p := good(alice.Commit(CommitOptions{}))(t)
	r.refuses(bob, r.resign(alice, p.Message, func(m *message.PublicMessage) { m.Auth.ConfirmationTag[0] ^= 1 }), ErrConfirmationTag)
	r.merge(alice, p)
	r.commit(r.members[2], CommitOptions{Proposals: []Proposal{&message.Remove{Removed: 0}}}) // one ciphertext for Bob's new leaf
	r.says(bob, r.members[1], "still here")
}

func TestJoinThatWasDiscarded(t *testing.T) {
	r := newRig(t, 2, Config{})
	g, p := good2(JoinExternal(r.config, r.info(r.members[0]), r.identity("outsider"), ExternalOptions{}))(t)
	text := good(r.members[0].Encrypt([]byte("text"), nil))(t).Message
	_, err := g.Process(text)
	fails(t, err, ErrJoining)
	p.Discard()
	for _, data := range [][]byte{text, p.Message} {
		_, err := g.Process(data)
		fails(t, err, ErrJoining)
	}
	_, err = p.Apply()
	fails(t, err, ErrStale)
}

// What a commit used up is not forgotten where its records were never stored.
func TestDiscardedBeforeItWasStored(t *testing.T) {
	r := newRig(t, 2, Config{})
	alice, bob := r.members[0], r.members[1]
	stored := map[string][]byte{}
	store := func(list []Record) {
		for _, x := range list {
			if x.Value == nil {
				delete(stored, x.Key)
				continue
			}
			stored[x.Key] = bytes.Clone(x.Value)
		}
	}
	store(bob.Records())
	good(bob.Commit(CommitOptions{}))(t).Discard()
	out := good(alice.Encrypt([]byte("text"), nil))(t)
	m := good(bob.Process(out.Message))(t).(*ApplicationMessage)
	store(m.Records)
	good(Restore(r.config, stored))(t)
}

// A commit is told what it does before it is made, and may be refused.
func TestSettle(t *testing.T) {
	r := newRig(t, 3, Config{})
	alice := r.members[0]
	refusal := errors.New("no")
	_, err := alice.Commit(CommitOptions{Settle: func(Change, *CommitOptions) error { return refusal }})
	fails(t, err, refusal)
	p := good(alice.Commit(CommitOptions{Proposals: []Proposal{&message.Remove{Removed: 2}}, Settle: func(c Change, o *CommitOptions) error {
		o.AuthenticatedData = []byte{byte(len(c.Removed))}
		return nil
	}}))(t)
	staged := good(r.members[1].Process(p.Message))(t).(*StagedCommit)
	if string(staged.AuthenticatedData) != "\x01" {
		t.Errorf("the commit says %x", staged.AuthenticatedData)
	}
}
