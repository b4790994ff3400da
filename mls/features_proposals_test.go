package mls

import (
	"fmt"
	"slices"
	"testing"

	"github.com/quicproquo/qpq/mls/message"
)

func TestSelfRemove(t *testing.T) {
	for _, public := range []bool{false, true} {
		t.Run(fmt.Sprintf("public handshake %t", public), func(t *testing.T) {
			r := newRig(t, 4, Config{PublicHandshake: public})
			alice, bob, carol := r.members[0], r.members[1], r.members[2]
			out := r.propose(bob, good(bob.ProposeSelfRemove())(t), nil)
			if good(message.Unmarshal(out.Message))(t).Public == nil {
				t.Error("somebody who joins could not read it")
			}
			_, err := bob.Commit(CommitOptions{})
			if err != nil {
				t.Fatalf("the one who leaves commits the rest: %v", err)
			}
			if p := bob.Pending(); len(p.Skipped) != 1 || len(p.Removed) != 0 {
				t.Errorf("skipped %v, removed %v", p.Skipped, p.Removed)
			}
			bob.Pending().Discard()
			p := r.commit(carol, CommitOptions{})
			if len(p.Removed) != 1 || p.Removed[0].Index != bob.OwnIndex() || !bob.Removed() {
				t.Errorf("removed %v", p.Removed)
			}
			_, err = bob.Encrypt([]byte("text"), nil)
			fails(t, err, ErrRemoved)
			_, err = bob.Process(good(alice.Encrypt([]byte("text"), nil))(t).Message)
			fails(t, err, ErrRemoved)
		})
	}
	r := newRig(t, 5, Config{PublicHandshake: true})
	alice, bob, carol := r.members[0], r.members[1], r.members[2]
	r.Run("in an external commit", func(t *testing.T) {
		first := r.propose(bob, good(bob.ProposeSelfRemove())(t), nil)
		second := r.propose(carol, good(carol.ProposeSelfRemove())(t), nil)
		g := r.joinExternally(alice, "dave", ExternalOptions{SelfRemoves: [][]byte{first.Message, second.Message}})
		if g.OwnIndex() != 1 || g.Size() != 4 || !bob.Removed() || !carol.Removed() {
			t.Errorf("joined at leaf %d of %d", g.OwnIndex(), g.Size())
		}
		r.says(g, alice, "in their place")
	})
	r.Run("beside a resynchronisation", func(t *testing.T) {
		leaver, back := r.members[1], r.members[2]
		out := r.propose(leaver, good(leaver.ProposeSelfRemove())(t), nil)
		at := back.OwnIndex()
		r.joinExternally(alice, "back", ExternalOptions{Resync: &at, SelfRemoves: [][]byte{out.Message}})
		if !leaver.Removed() || !back.Removed() {
			t.Error("one of them is still there")
		}
	})
	r = newRig(t, 3, Config{PublicHandshake: true})
	alice, bob, carol = r.members[0], r.members[1], r.members[2]
	r.Run("that is not what was signed", func(t *testing.T) {
		out := good(bob.ProposeSelfRemove())(t)
		for _, spoil := range []func(*message.Message){
			func(m *message.Message) { m.Public.Content.Sender.Index = 2 },
			func(m *message.Message) { m.Public.Auth.Signature[0] ^= 1 },
		} {
			spoiled := r.reencoded(out.Message, spoil)
			_, _, err := JoinExternal(r.config, r.info(alice), r.identity("dave"), ExternalOptions{SelfRemoves: [][]byte{spoiled}})
			fails(t, err, ErrSignature)
		}
		later := r.reencoded(out.Message, func(m *message.Message) { m.Public.Content.Epoch++ })
		_, _, err := JoinExternal(r.config, r.info(alice), r.identity("dave"), ExternalOptions{SelfRemoves: [][]byte{later}})
		fails(t, err, ErrWrongEpoch)
		_, _, err = JoinExternal(r.config, r.info(alice), r.identity("dave"), ExternalOptions{SelfRemoves: [][]byte{good(alice.ProposeRemove(1))(t).Message}})
		fails(t, err, ErrProposal)
		alice.DropProposals(nil)
		bob.DropProposals(nil)
	})
	r.Run("by value, and by the committer", func(t *testing.T) {
		r.refuses(bob, r.forgeCommit(alice, &message.SelfRemove{}), ErrProposal)
		out := r.propose(alice, good(alice.ProposeSelfRemove())(t), nil)
		r.refuses(bob, r.forge(alice, &message.FramedContent{Type: message.ContentCommit, Commit: &message.Commit{
			Proposals: []message.ProposalOrRef{{Reference: out.Ref}}}}), ErrProposal)
		alice.DropProposals(nil)
		bob.DropProposals(nil)
		carol.DropProposals(nil)
	})
	r.Run("where a member does not know it", func(t *testing.T) {
		capabilities := *alice.tree.Leaf(0).Capabilities
		capabilities.Proposals = nil
		b := r.bundle("old client", KeyPackageOptions{Leaf: LeafOptions{Capabilities: &capabilities}})
		r.commit(alice, CommitOptions{Proposals: []Proposal{&message.Add{KeyPackage: b.KeyPackage}}})
		r.propose(bob, good(bob.ProposeSelfRemove())(t), nil)
		if p := good(alice.Commit(CommitOptions{}))(t); len(p.Skipped) != 1 || len(p.Removed) != 0 {
			t.Errorf("skipped %d, removed %d", len(p.Skipped), len(p.Removed))
		}
		_, err := alice.Commit(CommitOptions{})
		fails(t, err, ErrPendingCommit)
	})
}

func TestExternalSenders(t *testing.T) {
	outside := newRig(t, 1, Config{})
	service, other := outside.identity("service"), outside.identity("other")
	senders := func(list ...Identity) Extensions {
		var out []message.ExternalSender
		for _, id := range list {
			out = append(out, message.ExternalSender{SignatureKey: id.Key.Public(), Credential: id.Credential})
		}
		return Extensions{{Type: message.ExtensionExternalSenders, Data: message.MarshalExternalSenders(out)}}
	}
	r := newRigOf(t, X25519_AES128GCM_SHA256_Ed25519, 3, Config{
		PSK: func(PreSharedKeyID) ([]byte, bool) { return []byte("key"), true }}, senders(other, service))
	alice, bob := r.members[0], r.members[1]
	propose := func(index uint32, id Identity, p Proposal) []byte {
		t.Helper()
		return good(ProposeExternal(r.config, alice.GroupID(), alice.Epoch(), index, id.Key, p))(t)
	}
	psk := good(alice.ExternalPSKProposal([]byte("id")))(t)
	for _, p := range []Proposal{r.addition("new"), &message.Remove{Removed: 2}, psk,
		&message.GroupContextExtensions{Extensions: senders(service)}} {
		r.Run(fmt.Sprintf("may propose type %d", p.Type()), func(t *testing.T) {
			data := propose(1, service, p)
			for _, g := range r.members {
				got := good(g.Process(data))(t).(*ReceivedProposal)
				if got.Sender != (Sender{Type: message.SenderExternal, Index: 1}) || got.Proposal.Type() != p.Type() {
					t.Errorf("proposal %v from %v", got.Proposal, got.Sender)
				}
			}
		})
	}
	p := r.commit(bob, CommitOptions{})
	if len(p.Added) != 1 || len(p.Removed) != 1 || len(p.Proposals) != 4 {
		t.Errorf("added %v, removed %v, of %d proposals", p.Added, p.Removed, len(p.Proposals))
	}
	r.Run("by the place that the list has now", func(t *testing.T) {
		r.refuses(alice, propose(1, service, &message.Remove{Removed: 1}), ErrUnknownSender)
		r.refuses(alice, propose(0, other, &message.Remove{Removed: 1}), ErrSignature)
		good(alice.Process(propose(0, service, &message.Remove{Removed: 1})))(t)
		alice.DropProposals(nil)
	})
	for _, p := range []Proposal{&message.Update{LeafNode: alice.tree.Leaf(0)}, &message.ExternalInit{}, &message.SelfRemove{}} {
		r.Run(fmt.Sprintf("may not propose type %d", p.Type()), func(t *testing.T) {
			r.refuses(alice, propose(0, service, p), ErrProposal)
		})
	}
	r.Run("may not commit", func(t *testing.T) {
		p := good(bob.Commit(CommitOptions{}))(t)
		p.Discard()
		content := &message.FramedContent{GroupID: alice.GroupID(), Epoch: alice.Epoch(), Sender: Sender{Type: message.SenderExternal},
			Type: message.ContentCommit, Commit: &message.Commit{}}
		m := &message.PublicMessage{Content: content, Auth: message.FramedContentAuthData{Signature: []byte{1}, ConfirmationTag: []byte{1}}}
		r.refuses(alice, (&message.Message{Public: m}).Marshal(), ErrUnknownSender)
	})
	r.Run("for another epoch or group", func(t *testing.T) {
		data := good(ProposeExternal(r.config, alice.GroupID(), alice.Epoch()-1, 0, service.Key, &message.Remove{Removed: 1}))(t)
		r.refuses(alice, data, ErrWrongEpoch)
		data = good(ProposeExternal(r.config, []byte("other"), alice.Epoch(), 0, service.Key, &message.Remove{Removed: 1}))(t)
		r.refuses(alice, data, ErrWrongGroup)
	})
	r.Run("that the application does not know found no group", func(t *testing.T) {
		c := r.config
		c.Credentials = picky{"other"}
		_, err := NewGroup(c, r.suite, r.identity("founder"), GroupOptions{Extensions: senders(other)})
		fails(t, err, ErrCredential)
		alone := newRigOf(t, r.suite, 1, Config{}, senders(other))
		_, _, err = JoinExternal(c, alone.info(alone.members[0]), r.identity("new"), ExternalOptions{})
		fails(t, err, ErrCredential)
	})
}

func TestNewMemberProposesItself(t *testing.T) {
	allowed := Config{Authorize: func(p Proposal, s Sender) error {
		if add, ok := p.(*message.Add); ok && s.Type == message.SenderNewMemberProposal && string(add.KeyPackage.LeafNode.Credential.Identity) != "guest" {
			return errRefused
		}
		return nil
	}}
	r := newRig(t, 2, allowed)
	alice, bob := r.members[0], r.members[1]
	ask := func(b *KeyPackageBundle) []byte {
		return good(ProposeJoin(r.config, alice.GroupID(), alice.Epoch(), b))(t)
	}
	guest := r.bundle("guest", KeyPackageOptions{})
	data := ask(guest)
	for _, g := range r.members {
		if got := good(g.Process(data))(t).(*ReceivedProposal); got.Sender.Type != message.SenderNewMemberProposal {
			t.Errorf("from %v", got.Sender)
		}
	}
	p := r.commit(bob, CommitOptions{})
	j := good(Join(r.config, p.Welcome, JoinOptions{KeyPackages: []*KeyPackageBundle{guest}}))(t)
	r.members = append(r.members, j.Group)
	r.agree()

	r.Run("whom the application does not want", func(t *testing.T) {
		r.refuses(alice, ask(r.bundle("stranger", KeyPackageOptions{})), ErrProposal, errRefused)
	})
	r.Run("and nobody where the application says nothing", func(t *testing.T) {
		plain := newRig(t, 1, Config{})
		g := plain.members[0]
		plain.refuses(g, good(ProposeJoin(plain.config, g.GroupID(), 0, plain.bundle("guest", KeyPackageOptions{})))(t), ErrProposal)
	})
	r.Run("signed by another key", func(t *testing.T) {
		spoiled := r.reencoded(ask(r.bundle("guest", KeyPackageOptions{})), func(m *message.Message) {
			m.Public.Content.Proposal = &message.Add{KeyPackage: r.bundle("guest", KeyPackageOptions{}).KeyPackage}
		})
		r.refuses(alice, spoiled, ErrSignature)
	})
	r.Run("anything but itself", func(t *testing.T) {
		spoiled := r.reencoded(ask(r.bundle("guest", KeyPackageOptions{})), func(m *message.Message) {
			m.Public.Content.Proposal = &message.Remove{Removed: 1}
		})
		r.refuses(alice, spoiled, ErrMalformed)
	})
}

func TestAuthorizeDecidesWhoMayDoWhat(t *testing.T) {
	r := newRig(t, 3, Config{PublicHandshake: true, Authorize: func(p Proposal, s Sender) error {
		if p.Type() == message.ProposalRemove && s != message.MemberSender(0) {
			return errRefused
		}
		if s.Type == message.SenderNewMemberCommit {
			return errRefused
		}
		return nil
	}})
	alice, bob, carol := r.members[0], r.members[1], r.members[2]
	remove := &message.Remove{Removed: 2}
	_, err := bob.ProposeRemove(2)
	fails(t, err, ErrProposal, errRefused)
	_, err = bob.Commit(CommitOptions{Proposals: []Proposal{remove}})
	fails(t, err, ErrProposal, errRefused)
	r.refuses(alice, r.forgeProposal(bob, remove), ErrProposal, errRefused)
	r.refuses(alice, r.forgeCommit(bob, remove), ErrProposal, errRefused)
	at := carol.OwnIndex()
	_, _, err = JoinExternal(r.config, r.info(alice), r.identity("m2"), ExternalOptions{Resync: &at})
	fails(t, err, ErrProposal, errRefused)
	r.Run("nobody joins by itself", func(t *testing.T) {
		open := r.config
		open.Authorize = nil
		_, p := good2(JoinExternal(open, r.info(alice), r.identity("new"), ExternalOptions{}))(t)
		r.refuses(bob, p.Message, ErrProposal, errRefused)
	})
	r.commit(alice, CommitOptions{Proposals: []Proposal{remove}})
}

// RFC 9420, section 12.2, says what to prefer of proposals that do not fit together.
func TestProposalsThatDoNotFitTogether(t *testing.T) {
	r := newRig(t, 4, Config{PSK: func(PreSharedKeyID) ([]byte, bool) { return []byte("key"), true }})
	alice, bob, carol, dave := r.members[0], r.members[1], r.members[2], r.members[3]
	types := func(list []AttributedProposal) (out []message.ProposalType) {
		for _, a := range list {
			out = append(out, a.Proposal.Type())
		}
		return out
	}
	check := func(p *PendingCommit, skipped int, want ...message.ProposalType) {
		t.Helper()
		if got := types(p.Proposals); !slices.Equal(got, want) || len(p.Skipped) != skipped {
			t.Errorf("committed %v and skipped %d, want %v and %d", got, len(p.Skipped), want, skipped)
		}
	}
	r.Run("the newest of a member's updates", func(t *testing.T) {
		r.propose(bob, good(bob.ProposeUpdate(nil))(t), nil)
		r.propose(bob, good(bob.ProposeUpdate(nil))(t), nil)
		newest := bob.Proposals()[1].Proposal.(*message.Update).LeafNode.EncryptionKey
		check(r.commit(alice, CommitOptions{}), 1, message.ProposalUpdate)
		same(t, "key", alice.tree.Leaf(bob.OwnIndex()).EncryptionKey, newest)
		r.commit(carol, CommitOptions{})
		r.says(carol, bob, "the newest")
	})
	r.Run("a removal rather than an update", func(t *testing.T) {
		r.propose(bob, good(bob.ProposeUpdate(nil))(t), nil)
		r.propose(carol, good(carol.ProposeRemove(bob.OwnIndex()))(t), nil)
		r.propose(dave, good(dave.ProposeRemove(bob.OwnIndex()))(t), nil)
		check(r.commit(alice, CommitOptions{}), 2, message.ProposalRemove)
	})
	r.Run("not the committer's own update or removal", func(t *testing.T) {
		r.propose(carol, good(carol.ProposeUpdate(nil))(t), nil)
		r.propose(dave, good(dave.ProposeRemove(carol.OwnIndex()))(t), nil)
		check(r.commit(carol, CommitOptions{}), 2)
	})
	r.Run("everything else rather than a re-initialisation", func(t *testing.T) {
		reinit := &message.ReInit{GroupID: []byte("next"), Version: message.MLS10, CipherSuite: r.suite}
		r.propose(carol, good(carol.Propose(reinit, nil))(t), nil)
		r.propose(carol, good(carol.ProposePSK([]byte("id")))(t), nil)
		check(r.commit(alice, CommitOptions{}), 1, message.ProposalPreSharedKey)
	})
	r.Run("one new list of extensions", func(t *testing.T) {
		r.propose(carol, good(carol.Propose(&message.GroupContextExtensions{}, nil))(t), nil)
		r.propose(dave, good(dave.Propose(&message.GroupContextExtensions{}, nil))(t), nil)
		check(r.commit(alice, CommitOptions{}), 1, message.ProposalGroupContextExtensions)
	})
	r.Run("a client once", func(t *testing.T) {
		k := r.bundle("new", KeyPackageOptions{}).KeyPackage
		r.propose(carol, good(carol.ProposeAdd(k))(t), nil)
		r.propose(dave, good(dave.ProposeAdd(k))(t), nil)
		check(r.commit(alice, CommitOptions{}), 1, message.ProposalAdd)
	})
	r.Run("none that were received, if they are not wanted", func(t *testing.T) {
		r.propose(carol, good(carol.ProposePSK([]byte("id")))(t), nil)
		check(r.commit(alice, CommitOptions{WithoutReceived: true}), 0)
		if len(dave.Proposals()) != 0 {
			t.Error("proposals outlive their epoch")
		}
	})
}

func TestProposalsWaitForACommit(t *testing.T) {
	r := newRig(t, 3, Config{PublicHandshake: true})
	alice, bob, carol := r.members[0], r.members[1], r.members[2]
	out := good(bob.ProposeRemove(0))(t)
	good(alice.Process(out.Message))(t)
	_, err := alice.Encrypt([]byte("text"), nil)
	fails(t, err, ErrPendingProposal)
	p := good(bob.Commit(CommitOptions{}))(t)
	r.refuses(carol, p.Message, ErrUnknownProposal)
	good(carol.Process(out.Message))(t)
	if again := good(carol.Process(out.Message))(t).(*ReceivedProposal); len(carol.Proposals()) != 1 || again.Ref == nil {
		t.Error("a public proposal that comes twice counts twice")
	}
	if list := alice.DropProposals(nil); len(list) != 1 || len(alice.Proposals()) != 0 {
		t.Errorf("records %v", list)
	}
	good(alice.Encrypt([]byte("text"), nil))(t)
	good(alice.Process(out.Message))(t)
	r.merge(bob, p)
	_, err = bob.Propose(&message.Update{}, nil)
	fails(t, err, ErrProposal)
}

// RFC 9420, section 12.2, from somebody who does not keep to it.
func TestListsOfProposalsThatAreNotValid(t *testing.T) {
	r := newRig(t, 4, Config{PublicHandshake: true})
	alice, bob, carol := r.members[0], r.members[1], r.members[2]
	own := good(alice.ProposeUpdate(nil))(t)
	update := alice.Proposals()[0].Proposal
	others := r.propose(carol, good(carol.ProposeUpdate(nil))(t), nil)
	good(bob.Process(own.Message))(t)
	refs := func(list ...[]byte) []byte {
		c := &message.Commit{}
		for _, ref := range list {
			c.Proposals = append(c.Proposals, message.ProposalOrRef{Reference: ref})
		}
		return r.forge(alice, &message.FramedContent{Type: message.ContentCommit, Commit: c})
	}
	for name, data := range map[string][]byte{
		"an update of the committer":              refs(own.Ref),
		"an update of the committer by value":     r.forgeCommit(alice, update),
		"a member updated twice":                  refs(others.Ref, others.Ref),
		"a member removed twice":                  r.forgeCommit(alice, &message.Remove{Removed: 3}, &message.Remove{Removed: 3}),
		"the removal of the committer":            r.forgeCommit(alice, &message.Remove{Removed: 0}),
		"a re-initialisation beside others":       r.forgeCommit(alice, &message.ReInit{Version: message.MLS10, CipherSuite: 1}, r.addition("new")),
		"a re-initialisation with a version less": r.forgeCommit(alice, &message.ReInit{Version: 0, CipherSuite: 1}),
	} {
		r.Run(name, func(t *testing.T) { r.refuses(bob, data, ErrProposal) })
	}
	r.Run("a member updated and removed", func(t *testing.T) {
		r.refuses(bob, r.forge(alice, &message.FramedContent{Type: message.ContentCommit, Commit: &message.Commit{
			Proposals: []message.ProposalOrRef{{Reference: others.Ref}, {Proposal: &message.Remove{Removed: 2}}}}}), ErrProposal)
	})
	r.Run("a proposal that was never seen", func(t *testing.T) { r.refuses(bob, refs([]byte("reference")), ErrUnknownProposal) })
	r.Run("an update with the key that the leaf has", func(t *testing.T) {
		r.refuses(bob, r.resign(carol, others.Message, func(m *message.PublicMessage) {
			n := m.Content.Proposal.(*message.Update).LeafNode
			n.EncryptionKey = carol.tree.Leaf(carol.own).EncryptionKey
			r.signLeaf(carol, n)
		}), ErrLeafNode)
	})
	r.Run("an update signed for another place", func(t *testing.T) {
		r.refuses(bob, r.resign(carol, others.Message, func(m *message.PublicMessage) {
			r.signLeaf(alice, m.Content.Proposal.(*message.Update).LeafNode)
		}), ErrLeafNode, ErrSignature)
	})
	r.Run("a self-remove that only members can read", func(t *testing.T) {
		c := carol.content(message.ContentProposal, nil)
		c.Proposal = &message.SelfRemove{}
		a := &message.AuthenticatedContent{WireFormat: message.WirePrivateMessage, Content: c}
		if err := carol.sign(a, carol.key); err != nil {
			t.Fatal(err)
		}
		r.refuses(bob, good(carol.protect(a))(t), ErrProposal)
	})
	r.Run("an external init that leads nowhere", func(t *testing.T) {
		_, p := good2(JoinExternal(r.config, r.info(alice), r.identity("new"), ExternalOptions{}))(t)
		key := p.next.key
		for _, kemOutput := range [][]byte{nil, make([]byte, 32), []byte("short")} {
			r.refuses(bob, r.reencoded(p.Message, func(m *message.Message) {
				m.Public.Content.Commit.Proposals[0].Proposal = &message.ExternalInit{KEMOutput: kemOutput}
				m.Public.Auth.Signature = good(alice.suite.SignWithLabel(key, nil, "FramedContentTBS",
					m.Public.Authenticated().AppendTBS(nil, alice.epoch.encoded)))(t)
			}), ErrProposal)
		}
	})
}
