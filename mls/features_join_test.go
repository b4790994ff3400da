package mls

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/quicproquo/qpq/mls/internal/schedule"
	"github.com/quicproquo/qpq/mls/message"
)

func TestJoinWithTheTreeInsideAndOutside(t *testing.T) {
	for _, path := range []bool{true, false} {
		for _, inside := range []bool{true, false} {
			t.Run(fmt.Sprintf("path %t, tree in the welcome %t", path, inside), func(t *testing.T) {
				r := newRig(t, 5, Config{})
				by := r.members[3]
				var bundles []*KeyPackageBundle
				o := CommitOptions{WithoutPath: !path, GroupInfo: GroupInfoOptions{WithoutTree: !inside}}
				for i := range 4 {
					b := r.bundle(fmt.Sprint("new", i), KeyPackageOptions{})
					bundles = append(bundles, b)
					o.Proposals = append(o.Proposals, &message.Add{KeyPackage: b.KeyPackage})
				}
				p := good(by.Commit(o))(t)
				ratchetTree := good(p.RatchetTree())(t)
				r.merge(by, p)
				same(t, "the tree that the commit leads to", ratchetTree, by.RatchetTree())
				for _, b := range bundles {
					o := JoinOptions{KeyPackages: []*KeyPackageBundle{b}}
					if !inside {
						_, err := Join(r.config, p.Welcome, o)
						fails(t, err, ErrNoTree)
						o.RatchetTree = newRig(t, 2, Config{}).members[0].RatchetTree()
						_, err = Join(r.config, p.Welcome, o)
						fails(t, err, ErrGroupInfo)
						o.RatchetTree = ratchetTree
					}
					j := good(Join(r.config, p.Welcome, o))(t)
					if j.Inviter != by.OwnIndex() || j.KeyPackage != b {
						t.Errorf("invited by leaf %d", j.Inviter)
					}
					r.members = append(r.members, j.Group)
				}
				r.agree()
				for _, g := range r.members { // each has the keys that the others' paths are encrypted to
					r.commit(g, CommitOptions{})
				}
			})
		}
	}
	r := newRig(t, 3, Config{})
	r.Run("group info", func(t *testing.T) {
		alice := r.members[0]
		bare := good(alice.GroupInfo(GroupInfoOptions{ExternalPub: true, WithoutTree: true}))(t)
		_, _, err := JoinExternal(r.config, bare, r.identity("new"), ExternalOptions{})
		fails(t, err, ErrNoTree)
		g, p := good2(JoinExternal(r.config, bare, r.identity("new"), ExternalOptions{RatchetTree: alice.RatchetTree()}))(t)
		r.members = append(r.members, g)
		r.merge(g, p)
		old := r.nodes(alice)
		r.commit(alice, CommitOptions{})
		now := good(alice.GroupInfo(GroupInfoOptions{ExternalPub: true, WithoutTree: true}))(t)
		_, _, err = JoinExternal(r.config, now, r.identity("late"), ExternalOptions{RatchetTree: marshalNodes(old)})
		fails(t, err, ErrTree)
	})
}

// rewelcome opens a welcome that is for a key package, changes what is in it, and seals it again.
func (r *rig) rewelcome(welcome []byte, b *KeyPackageBundle, change func(*message.GroupSecrets, *message.GroupInfo)) []byte {
	r.Helper()
	w, s := good(message.Unmarshal(bytes.Clone(welcome)))(r).Welcome, b.suite
	sealed := &w.Secrets[0].Secrets
	secrets := good(message.UnmarshalGroupSecrets(good(s.DecryptWithLabel(b.init, "Welcome", w.EncryptedGroupInfo, sealed.KEMOutput, sealed.Ciphertext))(r)))(r)
	noPSK := make([]byte, s.HashSize())
	key, nonce := schedule.Welcome(s, secrets.JoinerSecret, noPSK)
	info := good(message.UnmarshalGroupInfo(good(s.Open(key, nonce, nil, w.EncryptedGroupInfo))(r)))(r)
	change(secrets, info)
	key, nonce = schedule.Welcome(s, secrets.JoinerSecret, noPSK)
	w.EncryptedGroupInfo = good(s.Seal(key, nonce, nil, info.Append(nil)))(r)
	var err error
	sealed.KEMOutput, sealed.Ciphertext, err = s.EncryptWithLabel(nil, b.KeyPackage.InitKey, "Welcome", w.EncryptedGroupInfo, secrets.Append(nil))
	return (&message.Message{Welcome: good(w, err)(r)}).Marshal()
}

func TestWelcomesThatAreNotWhatTheyShouldBe(t *testing.T) {
	r := newRig(t, 3, Config{})
	alice := r.members[0]
	b := r.bundle("new", KeyPackageOptions{})
	p := r.commit(alice, CommitOptions{Proposals: []Proposal{&message.Add{KeyPackage: b.KeyPackage}}})
	sign := func(i *message.GroupInfo) {
		i.Signature = good(alice.suite.SignWithLabel(alice.key, nil, "GroupInfoTBS", i.AppendTBS(nil)))(t)
	}
	psk := func(usage message.ResumptionUsage) PreSharedKeyID {
		return PreSharedKeyID{Type: message.PSKResumption, Usage: usage, GroupID: []byte("g"), Nonce: make([]byte, 32)}
	}
	other := r.bundle("other", KeyPackageOptions{}).KeyPackage.LeafNode
	for _, c := range []struct {
		name   string
		change func(*message.GroupSecrets, *message.GroupInfo)
		want   []error
	}{
		{"signed by somebody else", func(_ *message.GroupSecrets, i *message.GroupInfo) { i.Signer = 1 }, []error{ErrGroupInfo, ErrSignature}},
		{"signed by nobody", func(_ *message.GroupSecrets, i *message.GroupInfo) { i.Signer = 77 }, []error{ErrGroupInfo, ErrUnknownSender}},
		{"another confirmation tag", func(_ *message.GroupSecrets, i *message.GroupInfo) { i.ConfirmationTag[0] ^= 1; sign(i) }, []error{ErrConfirmationTag}},
		{"half a confirmation tag", func(_ *message.GroupSecrets, i *message.GroupInfo) {
			i.ConfirmationTag = i.ConfirmationTag[:16]
			sign(i)
		}, []error{ErrConfirmationTag}},
		{"no confirmation tag", func(_ *message.GroupSecrets, i *message.GroupInfo) { i.ConfirmationTag = nil; sign(i) }, []error{ErrConfirmationTag}},
		{"another epoch", func(_ *message.GroupSecrets, i *message.GroupInfo) { i.Context.Epoch++; sign(i) }, []error{ErrConfirmationTag}},
		{"another tree hash", func(_ *message.GroupSecrets, i *message.GroupInfo) { i.Context.TreeHash[0] ^= 1; sign(i) }, []error{ErrTree}},
		{"another suite", func(_ *message.GroupSecrets, i *message.GroupInfo) { i.Context.CipherSuite = 3; sign(i) }, []error{ErrWelcome, ErrSuite}},
		{"another path secret", func(s *message.GroupSecrets, _ *message.GroupInfo) { s.PathSecret[0] ^= 1 }, []error{ErrPath}},
		{"a path secret that is too short", func(s *message.GroupSecrets, _ *message.GroupInfo) { s.PathSecret = s.PathSecret[1:] }, []error{ErrWelcome}},
		{"two groups whose place it takes", func(s *message.GroupSecrets, _ *message.GroupInfo) {
			s.PSKs = []PreSharedKeyID{psk(message.ResumptionReInit), psk(message.ResumptionBranch)}
		}, []error{ErrWelcome}},
		{"a nonce that is too short", func(s *message.GroupSecrets, _ *message.GroupInfo) {
			s.PSKs = []PreSharedKeyID{{Type: message.PSKExternal, Nonce: []byte{1}}}
		}, []error{ErrWelcome}},
		{"a tree without the one who joins", func(_ *message.GroupSecrets, i *message.GroupInfo) {
			list := r.nodes(alice)
			list[6].leaf = other
			list[5].parent, list[3].parent = nil, nil // no parent hash covers the leaf then
			data := marshalNodes(list)
			m := good(message.Unmarshal(r.presented(alice, data)))(t).GroupInfo
			i.Context.TreeHash = m.Context.TreeHash
			i.Extensions = i.Extensions.With(message.ExtensionRatchetTree, data)
			sign(i)
		}, []error{ErrWelcome}},
	} {
		r.Run(c.name, func(t *testing.T) {
			_, err := Join(r.config, r.rewelcome(p.Welcome, b, c.change), JoinOptions{KeyPackages: []*KeyPackageBundle{b}})
			fails(t, err, c.want...)
		})
	}
	r.Run("altered on the way", func(t *testing.T) {
		for _, spoil := range []func(*message.Welcome){
			func(w *message.Welcome) { w.EncryptedGroupInfo[0] ^= 1 },
			func(w *message.Welcome) { w.Secrets[0].Secrets.Ciphertext[0] ^= 1 },
		} {
			data := r.reencoded(p.Welcome, func(m *message.Message) { spoil(m.Welcome) })
			_, err := Join(r.config, data, JoinOptions{KeyPackages: []*KeyPackageBundle{b}})
			fails(t, err, ErrWelcome)
		}
		data := r.reencoded(p.Welcome, func(m *message.Message) { m.Welcome.CipherSuite = 3 })
		_, err := Join(r.config, data, JoinOptions{KeyPackages: []*KeyPackageBundle{b}})
		fails(t, err, ErrNotForMe)
	})
	r.Run("something else", func(t *testing.T) {
		_, err := Join(r.config, r.info(alice), JoinOptions{KeyPackages: []*KeyPackageBundle{b}})
		fails(t, err, ErrWelcome)
		_, _, err = JoinExternal(r.config, p.Welcome, r.identity("new"), ExternalOptions{})
		fails(t, err, ErrGroupInfo)
		_, err = ParseKeyPackage(r.config, p.Welcome)
		fails(t, err, ErrKeyPackage)
		for _, data := range [][]byte{p.Welcome, r.info(alice), b.Message()} {
			r.refuses(alice, data, ErrMalformed)
		}
	})
	r.Run("without the wrapping of a message", func(t *testing.T) {
		w := good(message.Unmarshal(p.Welcome))(t).Welcome
		j := good(Join(r.config, w.Append(nil), JoinOptions{KeyPackages: []*KeyPackageBundle{b}}))(t)
		r.members = append(r.members, j.Group)
		r.agree()
		good(ParseKeyPackage(r.config, b.KeyPackage.Append(nil)))(t)
	})
}

func TestExternalJoin(t *testing.T) {
	r := newRig(t, 3, Config{})
	alice := r.members[0]
	old := r.info(alice)
	g, p := good2(JoinExternal(r.config, old, r.identity("new"), ExternalOptions{AuthenticatedData: []byte("told beside")}))(t)
	r.Run("is no membership before it is confirmed", func(t *testing.T) {
		for _, g := range []*Group{g, r.restored(g)} {
			_, err := g.Encrypt([]byte("text"), nil)
			fails(t, err, ErrJoining)
			_, err = g.Commit(CommitOptions{})
			fails(t, err, ErrJoining)
			_, err = g.Export("label", nil, 16)
			fails(t, err, ErrJoining)
			_, err = g.GroupInfo(GroupInfoOptions{})
			fails(t, err, ErrJoining)
			_, err = g.ProposeUpdate(nil)
			fails(t, err, ErrJoining)
			if e := good(g.Process(p.Message))(t).(*Echo); e.Commit != g.Pending() || e.Commit == nil {
				t.Error("the commit that came back is not the pending one")
			}
		}
	})
	staged := r.stage(alice, p.Message)
	if staged.Committer.Type != message.SenderNewMemberCommit || string(staged.AuthenticatedData) != "told beside" {
		t.Errorf("from %v, with %q", staged.Committer, staged.AuthenticatedData)
	}
	g = r.restored(g)
	p = g.Pending()
	r.members = append(r.members, g)
	r.merge(g, p)
	for _, from := range r.members {
		for _, to := range r.members {
			if from != to {
				r.says(from, to, "to everybody")
			}
		}
	}
	r.Run("with a group info that is old", func(t *testing.T) {
		_, p := good2(JoinExternal(r.config, old, r.identity("late"), ExternalOptions{}))(t)
		r.refuses(alice, p.Message, ErrWrongEpoch)
	})
	r.Run("in place of the leaf with the same key", func(t *testing.T) {
		_, _, err := JoinExternal(r.config, r.info(alice), Identity{}, ExternalOptions{Rejoin: true})
		fails(t, err, ErrConfig)
		_, p := good2(JoinExternal(r.config, r.info(alice), r.identity("stranger"), ExternalOptions{Rejoin: true}))(t)
		if len(p.Removed) != 0 {
			t.Errorf("a stranger removes %v", p.Removed)
		}
		who := Identity{BasicCredential([]byte("new")), &SignatureKey{g.suite, g.key}}
		back, p := good2(JoinExternal(r.config, r.info(alice), who, ExternalOptions{Rejoin: true}))(t)
		r.members = append(r.members, back)
		r.merge(back, p)
		if !g.Removed() || back.OwnIndex() != g.OwnIndex() || back.Size() != 4 {
			t.Errorf("back at leaf %d of %d", back.OwnIndex(), back.Size())
		}
	})
	r.Run("without an external key", func(t *testing.T) {
		info := good(alice.GroupInfo(GroupInfoOptions{}))(t)
		_, _, err := JoinExternal(r.config, info, r.identity("new"), ExternalOptions{})
		fails(t, err, ErrGroupInfo)
	})
	r.Run("with an external key that is none", func(t *testing.T) {
		info := r.reencoded(r.info(alice), func(m *message.Message) {
			m.GroupInfo.Extensions = m.GroupInfo.Extensions.With(message.ExtensionExternalPub, message.MarshalExternalPub(make([]byte, 32)))
			m.GroupInfo.Signature = good(alice.suite.SignWithLabel(alice.key, nil, "GroupInfoTBS", m.GroupInfo.AppendTBS(nil)))(t)
		})
		_, _, err := JoinExternal(r.config, info, r.identity("new"), ExternalOptions{})
		fails(t, err, ErrGroupInfo)
	})
	r.Run("proposes nothing but what is allowed", func(t *testing.T) {
		_, p := good2(JoinExternal(r.config, r.info(alice), r.identity("new"), ExternalOptions{}))(t)
		out := r.propose(alice, good(alice.ProposeUpdate(nil))(t), nil)
		key := p.next.key
		for name, list := range map[string][]message.ProposalOrRef{
			"an addition":         {{Proposal: r.addition("friend")}},
			"another init":        {{Proposal: &message.ExternalInit{}}},
			"two removals":        {{Proposal: &message.Remove{Removed: 1}}, {Proposal: &message.Remove{Removed: 2}}},
			"new extensions":      {{Proposal: &message.GroupContextExtensions{}}},
			"somebody's proposal": {{Reference: out.Ref}},
			"a self-remove":       {{Proposal: &message.SelfRemove{}}},
			"a re-initialisation": {{Proposal: &message.ReInit{Version: message.MLS10, CipherSuite: 1}}},
		} {
			r.Run(name, func(t *testing.T) {
				r.refuses(r.members[1], r.reencoded(p.Message, func(m *message.Message) {
					c := m.Public.Content.Commit
					c.Proposals = append(c.Proposals, list...)
					a := m.Public.Authenticated()
					m.Public.Auth.Signature = good(alice.suite.SignWithLabel(key, nil, "FramedContentTBS", a.AppendTBS(nil, alice.epoch.encoded)))(t)
				}), ErrProposal)
			})
		}
		r.Run("no init", func(t *testing.T) {
			r.refuses(r.members[1], r.reencoded(p.Message, func(m *message.Message) {
				m.Public.Content.Commit.Proposals = nil
				a := m.Public.Authenticated()
				m.Public.Auth.Signature = good(alice.suite.SignWithLabel(key, nil, "FramedContentTBS", a.AppendTBS(nil, alice.epoch.encoded)))(t)
			}), ErrProposal)
		})
	})
	r.Run("an init is for those who join", func(t *testing.T) {
		r.refuses(r.members[1], r.forgeCommit(alice, &message.ExternalInit{KEMOutput: make([]byte, 32)}), ErrProposal)
		r.refuses(r.members[1], r.forgeProposal(alice, &message.ExternalInit{KEMOutput: make([]byte, 32)}), ErrProposal)
	})
}

func TestHandshakesInPublicAndInPrivate(t *testing.T) {
	r := newRig(t, 3, Config{})
	alice, bob, carol := r.members[0], r.members[1], r.members[2]
	public := r.config
	public.PublicHandshake = true
	bob.config = good(public.filled())(t) // each as it likes
	form := func(data []byte) message.WireFormat {
		if good(message.Unmarshal(data))(t).Public != nil {
			return message.WirePublicMessage
		}
		return message.WirePrivateMessage
	}
	for name, c := range map[string]struct {
		g    *Group
		want message.WireFormat
	}{"private": {alice, message.WirePrivateMessage}, "public": {bob, message.WirePublicMessage}} {
		r.Run(name, func(t *testing.T) {
			out := r.propose(c.g, good(c.g.ProposeUpdate(nil))(t), nil)
			p := good(c.g.Commit(CommitOptions{AuthenticatedData: []byte("beside")}))(t)
			if form(out.Message) != c.want || form(p.Message) != c.want {
				t.Errorf("proposal %d, commit %d", form(out.Message), form(p.Message))
			}
			if staged := r.stage(carol, p.Message); string(staged.AuthenticatedData) != "beside" {
				t.Errorf("authenticated data %q", staged.AuthenticatedData)
			}
			r.merge(c.g, p)
			text := good(c.g.Encrypt([]byte("text"), []byte("beside")))(t).Message
			if form(text) != message.WirePrivateMessage {
				t.Error("an application message is public")
			}
			if m := r.hears(carol, text, "text"); string(m.AuthenticatedData) != "beside" {
				t.Errorf("authenticated data %q", m.AuthenticatedData)
			}
		})
	}
	r.Run("application messages are never public", func(t *testing.T) {
		r.refuses(bob, r.forge(alice, &message.FramedContent{Type: message.ContentApplication, Application: []byte("text")}), ErrMalformed)
	})
	r.Run("what is sent beside a text cannot be changed", func(t *testing.T) {
		text := good(alice.Encrypt([]byte("text"), []byte("beside")))(t).Message
		r.refuses(bob, r.reencoded(text, func(m *message.Message) { m.Private.AuthenticatedData = []byte("beSide") }), ErrDecrypt)
		r.refuses(bob, r.reencoded(text, func(m *message.Message) { m.Private.Type = message.ContentCommit }), ErrDecrypt)
		r.hears(bob, text, "text")
		p := good(bob.Commit(CommitOptions{AuthenticatedData: []byte("beside")}))(t)
		r.refuses(alice, r.reencoded(p.Message, func(m *message.Message) { m.Public.Content.AuthenticatedData = nil }), ErrMembershipTag)
		r.refuses(alice, r.reencoded(p.Message, func(m *message.Message) { m.Public.Auth.Signature[0] ^= 1 }), ErrMembershipTag)
	})
	r.Run("another member's signature", func(t *testing.T) {
		data := r.forgeProposal(alice, r.addition("new"))
		m := good(message.Unmarshal(data))(t).Public
		m.Content.Sender.Index = uint32(carol.OwnIndex())
		r.refuses(bob, good(alice.protect(m.Authenticated()))(t), ErrSignature)
	})
}
