package mls

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/quicproquo/qpq/mls/message"
)

func TestOldGroupsCanBeJoined(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	r := newRig(t, 3, Config{Clock: func() time.Time { return now }})
	now = now.AddDate(3, 0, 0) // every leaf but the founder's has a lifetime that passed long ago
	r.add(r.members[1], "by welcome")
	r.joinExternally(r.members[2], "by external commit", ExternalOptions{})
	r.commit(r.members[0], CommitOptions{})
}

func TestLifetimes(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	r := newRig(t, 2, Config{PublicHandshake: true, Clock: func() time.Time { return now }})
	alice, bob := r.members[0], r.members[1]
	lax := r.config
	lax.MaxLifetime = NoLimit
	const day = 24 * time.Hour
	bundle := func(o KeyPackageOptions) *KeyPackage {
		return good(NewKeyPackage(lax, r.suite, r.identity("new"), o))(t).KeyPackage
	}
	tooLong := bundle(KeyPackageOptions{Lifetime: 400*day + time.Second})
	endless := good(NewKeyPackage(lax, r.suite, r.identity("new"), KeyPackageOptions{}))(t)
	endless.KeyPackage.LeafNode.Lifetime = message.Lifetime{NotBefore: 0, NotAfter: math.MaxUint64}
	resignKeyPackage(t, endless)
	backwards := good(NewKeyPackage(lax, r.suite, r.identity("new"), KeyPackageOptions{}))(t)
	backwards.KeyPackage.LeafNode.Lifetime = message.Lifetime{NotBefore: math.MaxUint64, NotAfter: 0}
	resignKeyPackage(t, backwards)
	for name, c := range map[string]struct {
		k *KeyPackage
		// whether others than the one who adds refuse it too: what a clock says, they do not
		all bool
	}{
		"that has passed":       {bundle(KeyPackageOptions{NotBefore: now.Add(-2 * day), Lifetime: day}), false},
		"that has not come":     {bundle(KeyPackageOptions{NotBefore: now.Add(day)}), false},
		"that is too long":      {tooLong, true},
		"that never ends":       {endless.KeyPackage, true},
		"that ends before then": {backwards.KeyPackage, true},
	} {
		r.Run(name, func(t *testing.T) {
			add := &message.Add{KeyPackage: c.k}
			_, err := ParseKeyPackage(r.config, (&message.Message{KeyPackage: c.k}).Marshal())
			fails(t, err, ErrLifetime, ErrKeyPackage)
			_, err = alice.Commit(CommitOptions{Proposals: []Proposal{add}})
			fails(t, err, ErrLifetime)
			_, err = alice.ProposeAdd(c.k)
			fails(t, err, ErrLifetime)
			if c.all {
				r.refuses(bob, r.forgeProposal(alice, add), ErrLifetime)
				r.refuses(bob, r.forgeCommit(alice, add), ErrLifetime)
				return
			}
			good(bob.Process(r.forgeProposal(alice, add)))(t)
			bob.DropProposals(nil)
		})
	}
	r.Run("as long as is allowed", func(t *testing.T) {
		k := bundle(KeyPackageOptions{Lifetime: 400 * day})
		r.commit(alice, CommitOptions{Proposals: []Proposal{&message.Add{KeyPackage: k}}})
	})
	r.Run("without a limit where there is none", func(t *testing.T) {
		good(ParseKeyPackage(lax, (&message.Message{KeyPackage: tooLong}).Marshal()))(t)
	})
}

// resignKeyPackage signs a key package that was changed.
func resignKeyPackage(t *testing.T, b *KeyPackageBundle) {
	t.Helper()
	c := &Config{}
	if err := signLeaf(c, b.suite, b.key.signer, b.KeyPackage.LeafNode, nil, 0); err != nil {
		t.Fatal(err)
	}
	b.KeyPackage.Signature = good(b.suite.SignWithLabel(b.key.signer, nil, "KeyPackageTBS", b.KeyPackage.AppendTBS(nil)))(t)
}

// picky refuses the credentials of one identity.
type picky struct{ refused string }

var errRefused = errors.New("refused by the application")

func (p picky) ValidateCredential(c Credential, _ []byte) error {
	if string(c.Identity) == p.refused {
		return errRefused
	}
	return nil
}

func (p picky) ValidateSuccessor(_, next Credential) error { return p.ValidateCredential(next, nil) }

func TestExtensionsBypassNoOtherCheck(t *testing.T) {
	const custom message.ExtensionType = 0xF0E0
	r := newRig(t, 3, Config{PublicHandshake: true, Credentials: picky{"mallory"},
		Extensions: []message.ExtensionType{custom}, Proposals: []message.ProposalType{message.ProposalAppDataUpdate}})
	alice, bob := r.members[0], r.members[1]
	mallory := r.identity("mallory")
	require := func(c message.RequiredCapabilities) Extensions {
		return Extensions{{Type: message.ExtensionRequiredCapabilities, Data: c.Marshal()}}
	}
	appData := Extensions{{Type: message.ExtensionAppDataDictionary, Data: message.AppDataDictionary{{Component: 7}}.Marshal()}}
	for _, c := range []struct {
		name       string
		extensions Extensions
		want       []error
	}{
		{"a required extension that a member lacks", require(message.RequiredCapabilities{Extensions: []message.ExtensionType{0xF0E1}}), []error{ErrCapabilities}},
		{"a required proposal that a member lacks", require(message.RequiredCapabilities{Proposals: []message.ProposalType{0xF0C1}}), []error{ErrCapabilities}},
		{"a required credential that a member lacks", require(message.RequiredCapabilities{Credentials: []message.CredentialType{0xF0D1}}), []error{ErrCapabilities}},
		{"an extension that a member does not know", Extensions{{Type: 0xF0E1}}, []error{ErrCapabilities}},
		{"required capabilities that are not decoded", Extensions{{Type: message.ExtensionRequiredCapabilities, Data: []byte{1}}}, []error{ErrMalformed}},
		{"an external sender that is refused", Extensions{{Type: message.ExtensionExternalSenders,
			Data: message.MarshalExternalSenders([]message.ExternalSender{{SignatureKey: mallory.Key.Public(), Credential: mallory.Credential}})}},
			[]error{ErrCredential, errRefused}},
		{"application data where that has proposals of its own", append(require(message.RequiredCapabilities{
			Proposals: []message.ProposalType{message.ProposalAppDataUpdate}}), appData...), []error{ErrProposal}},
	} {
		r.Run(c.name, func(t *testing.T) {
			next := &message.GroupContextExtensions{Extensions: c.extensions}
			_, err := alice.Commit(CommitOptions{Proposals: []Proposal{next}})
			fails(t, err, c.want...)
			// The same from somebody who does not ask: the commit of allowed extensions, changed.
			p := good(alice.Commit(CommitOptions{Proposals: []Proposal{&message.GroupContextExtensions{Extensions: Extensions{{Type: custom}}}}}))(t)
			p.Discard()
			r.refuses(bob, r.resign(alice, p.Message, func(m *message.PublicMessage) {
				m.Content.Commit.Proposals[0].Proposal = next
			}), c.want...)
		})
	}
	r.Run("an extension that comes twice", func(t *testing.T) {
		next := &message.GroupContextExtensions{Extensions: Extensions{{Type: custom}, {Type: custom}}}
		r.refuses(bob, r.forgeCommit(alice, next), ErrMalformed)
	})
	r.Run("two replacements", func(t *testing.T) {
		r.refuses(bob, r.forgeCommit(alice, &message.GroupContextExtensions{}, &message.GroupContextExtensions{}), ErrProposal)
	})
	r.Run("requirements for somebody who comes with them", func(t *testing.T) {
		other := r.config
		other.Extensions = nil
		k := good(NewKeyPackage(other, r.suite, r.identity("lacks it"), KeyPackageOptions{}))(t).KeyPackage
		required := &message.GroupContextExtensions{Extensions: require(message.RequiredCapabilities{Extensions: []message.ExtensionType{custom}})}
		_, err := alice.Commit(CommitOptions{Proposals: []Proposal{required, &message.Add{KeyPackage: k}}})
		fails(t, err, ErrCapabilities)
		p := good(alice.Commit(CommitOptions{Proposals: []Proposal{required, r.addition("has it")}}))(t)
		p.Discard()
		r.refuses(bob, r.resign(alice, p.Message, func(m *message.PublicMessage) {
			m.Content.Commit.Proposals[1].Proposal = &message.Add{KeyPackage: k}
			r.fitPath(alice, m.Content.Commit)
		}), ErrCapabilities)
		r.commit(alice, CommitOptions{Proposals: []Proposal{required}})
		_, err = alice.Commit(CommitOptions{Proposals: []Proposal{&message.Add{KeyPackage: k}}})
		fails(t, err, ErrCapabilities)
	})
}

func TestLeafZeroIsALeaf(t *testing.T) {
	r := newRig(t, 3, Config{PublicHandshake: true})
	alice, bob, carol := r.members[0], r.members[1], r.members[2]
	if m := r.says(alice, bob, "from leaf 0"); m.Sender != 0 || m.SenderLeaf == nil {
		t.Errorf("sender %d", m.Sender)
	}
	if p := r.propose(carol, good(carol.ProposeRemove(0))(t), nil); p.Ref == nil {
		t.Error("no reference")
	}
	p := good(bob.Commit(CommitOptions{}))(t)
	staged := r.stage(alice, p.Message)
	if !staged.RemovesMe || len(staged.Removed) != 1 || staged.Removed[0].Index != 0 || staged.Removed[0].Leaf == nil {
		t.Errorf("removed %v", staged.Removed)
	}
	r.merge(bob, p)
	if _, ok := bob.Member(0); ok || bob.Size() != 2 {
		t.Error("leaf 0 is not blank")
	}
	dave := r.add(carol, "dave")[0]
	if dave.OwnIndex() != 0 {
		t.Fatalf("dave is at leaf %d", dave.OwnIndex())
	}
	r.says(dave, carol, "from the new leaf 0")
	r.commit(dave, CommitOptions{})

	zero := LeafIndex(0)
	old := dave.Epoch()
	back := r.joinExternally(bob, "dave", ExternalOptions{Resync: &zero})
	if back.OwnIndex() != 0 || !dave.Removed() || bob.Size() != 3 {
		t.Errorf("back at leaf %d of %d", back.OwnIndex(), bob.Size())
	}
	if bob.Epoch() != old+1 {
		t.Errorf("epoch %d", bob.Epoch())
	}
	r.says(back, bob, "resynchronised")
	e := r.add(back, "invited by leaf 0")[0]
	r.says(e, back, "joined")
}

func TestHybridGroupAcceptsNobodyWithoutIt(t *testing.T) {
	hybrid := MLKEM768X25519_AES128GCM_SHA256_Ed25519
	r := newRigOf(t, hybrid, 3, Config{PublicHandshake: true}, nil)
	alice, bob := r.members[0], r.members[1]
	without := *alice.tree.Leaf(0).Capabilities
	without.CipherSuites = []CipherSuite{X25519_AES128GCM_SHA256_Ed25519}
	lacking := &LeafOptions{Capabilities: &without}

	r.Run("as a new member", func(t *testing.T) {
		b := r.bundle("new", KeyPackageOptions{})
		b.KeyPackage.LeafNode.Capabilities = &without
		resignKeyPackage(t, b)
		_, err := ParseKeyPackage(r.config, b.Message())
		fails(t, err, ErrKeyPackage, ErrCapabilities)
		add := &message.Add{KeyPackage: b.KeyPackage}
		_, err = alice.Commit(CommitOptions{Proposals: []Proposal{add}})
		fails(t, err, ErrCapabilities)
		r.refuses(bob, r.forgeProposal(alice, add), ErrCapabilities)
		r.refuses(bob, r.forgeCommit(alice, add), ErrCapabilities)
	})
	r.Run("by a key package of another suite", func(t *testing.T) {
		classic := good(NewSignatureKey(r.config, X25519_AES128GCM_SHA256_Ed25519))(t)
		k := good(NewKeyPackage(r.config, X25519_AES128GCM_SHA256_Ed25519, Identity{BasicCredential([]byte("new")), classic}, KeyPackageOptions{}))(t).KeyPackage
		_, err := alice.Commit(CommitOptions{Proposals: []Proposal{&message.Add{KeyPackage: k}}})
		fails(t, err, ErrKeyPackage, ErrSuite)
		r.refuses(bob, r.forgeCommit(alice, &message.Add{KeyPackage: k}), ErrSuite)
	})
	r.Run("by an update", func(t *testing.T) {
		_, err := alice.ProposeUpdate(lacking)
		fails(t, err, ErrCapabilities)
		out := good(alice.ProposeUpdate(nil))(t)
		r.refuses(bob, r.resign(alice, out.Message, func(m *message.PublicMessage) {
			n := m.Content.Proposal.(*message.Update).LeafNode
			n.Capabilities = &without
			r.signLeaf(alice, n)
		}), ErrCapabilities)
		alice.DropProposals(nil)
	})
	r.Run("by a commit", func(t *testing.T) {
		_, err := alice.Commit(CommitOptions{Leaf: lacking})
		fails(t, err, ErrCapabilities)
		p := good(alice.Commit(CommitOptions{}))(t)
		r.refuses(bob, r.resignPath(alice, p.Message, func(path *message.UpdatePath) { path.LeafNode.Capabilities = &without }), ErrCapabilities)
		p.Discard()
	})
	r.Run("by an external commit", func(t *testing.T) {
		_, _, err := JoinExternal(r.config, r.info(alice), r.identity("new"), ExternalOptions{Leaf: *lacking})
		fails(t, err, ErrCapabilities)
		_, p := good2(JoinExternal(r.config, r.info(alice), r.identity("new"), ExternalOptions{}))(t)
		key, own := p.next.key, p.next.own
		r.refuses(bob, r.reencoded(p.Message, func(m *message.Message) {
			n := m.Public.Content.Commit.Path.LeafNode
			n.Capabilities = &without
			if err := signLeaf(alice.config, alice.suite, key, n, alice.GroupID(), own); err != nil {
				t.Fatal(err)
			}
			a := m.Public.Authenticated()
			m.Public.Auth.Signature = good(alice.suite.SignWithLabel(key, nil, "FramedContentTBS", a.AppendTBS(nil, alice.epoch.encoded)))(t)
		}), ErrCapabilities)
	})
	r.Run("in a group that is joined", func(t *testing.T) {
		list := r.nodes(alice)
		list[0].leaf.Capabilities = &without // of the last committer, whose leaf no other parent hash covers
		r.signLeaf(alice, list[0].leaf)
		fails(t, r.joinable(alice, list), ErrCapabilities)
	})
	r.Run("as its founder", func(t *testing.T) {
		_, err := NewGroup(r.config, hybrid, r.identity("founder"), GroupOptions{Leaf: *lacking})
		fails(t, err, ErrCapabilities)
	})
	r.Run("and is not replaced by a group without it", func(t *testing.T) {
		classic := &message.ReInit{GroupID: []byte("next"), Version: message.MLS10, CipherSuite: X25519_AES128GCM_SHA256_Ed25519}
		_, err := alice.Propose(classic, nil)
		fails(t, err, ErrDowngrade)
		_, err = alice.Commit(CommitOptions{Proposals: []Proposal{classic}})
		fails(t, err, ErrDowngrade)

		// Somebody who does not ask can end the group, but the others make no such successor.
		b := alice.newCommit(message.MemberSender(0), CommitOptions{})
		b.add(classic)
		r.merge(alice, good(b.asMember(alice.rules, nil))(t))
		key := good(NewSignatureKey(r.config, X25519_AES128GCM_SHA256_Ed25519))(t)
		_, _, err = bob.ReInit(SuccessorOptions{Identity: Identity{BasicCredential([]byte("m1")), key}})
		fails(t, err, ErrDowngrade)
	})
}
