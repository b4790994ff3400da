package mls

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/quicproquo/qpq/mls/internal/suite"
	"github.com/quicproquo/qpq/mls/internal/transition"
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
		r.commit(alice, CommitOptions{Proposals: []Proposal{&message.Remove{Removed: bob.OwnLeaf()}}})
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
		alice.DropProposals()
	})
	psk := r.config
	psk.PSK = func(PreSharedKeyID) ([]byte, bool) { return []byte("key"), true }
	r = newRig(t, 2, psk)
	alice = r.members[0]
	id := good(alice.ExternalPSK([]byte("id")))(t)
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
			func(c *message.GroupContext) { c.ConfirmedTranscriptHash = alice.ConfirmedTranscriptHash() },
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
			bob.DropProposals()
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
	first, second := good(alice.ExternalPSK([]byte("id")))(t), good(alice.ExternalPSK([]byte("other id")))(t)
	_, err := alice.Commit(CommitOptions{Proposals: []Proposal{first, second, first}})
	fails(t, err, ErrProposal)
	r.refuses(bob, r.forgeCommit(alice, first, second, first), ErrProposal)
	r.Run("by value and by reference", func(t *testing.T) {
		out := r.propose(alice, good(alice.Propose(first, nil))(t), nil)
		r.refuses(bob, r.forge(alice, &message.FramedContent{Type: message.ContentCommit, Commit: &message.Commit{
			Proposals: []message.ProposalOrRef{{Reference: out.Ref}, {Proposal: first}}}}), ErrProposal)
		alice.DropProposals()
		bob.DropProposals()
	})
	r.commit(alice, CommitOptions{Proposals: []Proposal{first, second}})
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
	if dave.OwnLeaf() != 0 {
		t.Fatalf("dave is at leaf %d", dave.OwnLeaf())
	}
	r.says(dave, carol, "from the new leaf 0")
	r.commit(dave, CommitOptions{})

	zero := LeafIndex(0)
	old := dave.Epoch()
	back := r.joinExternally(bob, "dave", ExternalOptions{Resync: &zero})
	if back.OwnLeaf() != 0 || !dave.Removed() || bob.Size() != 3 {
		t.Errorf("back at leaf %d of %d", back.OwnLeaf(), bob.Size())
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
		alice.DropProposals()
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
		_, err := alice.ProposeReInit(classic)
		fails(t, err, ErrDowngrade)
		_, err = alice.Commit(CommitOptions{Proposals: []Proposal{classic}})
		fails(t, err, ErrDowngrade)

		// Somebody who does not ask can end the group, but the others make no such successor.
		p := good(alice.commit(CommitOptions{}, []transition.Item{{Proposal: classic, Sender: message.MemberSender(0)}},
			[]message.ProposalOrRef{{Proposal: classic}}, nil, alice.rules))(t)
		r.merge(alice, p)
		key := good(NewSignatureKey(r.config, X25519_AES128GCM_SHA256_Ed25519))(t)
		_, _, err = bob.ReInit(SuccessorOptions{Identity: Identity{BasicCredential([]byte("m1")), key}})
		fails(t, err, ErrDowngrade)
	})
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
