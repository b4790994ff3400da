package mls

import (
	"slices"
	"testing"

	"github.com/quicproquo/qpq/mls/message"
)

// succession is a group, and what its members need for one that takes its place.
type succession struct {
	*rig
	suite   CipherSuite // of the new group
	bundles []*KeyPackageBundle
	keys    []*KeyPackage
}

// newSuccession makes key packages of all members but the first, in the suite of the new group.
func newSuccession(r *rig, suite CipherSuite) *succession {
	r.Helper()
	s := &succession{rig: r, suite: suite}
	for _, g := range r.members[1:] {
		id := s.identityOf(g)
		b := good(NewKeyPackage(r.config, suite, id, KeyPackageOptions{}))(r)
		s.bundles, s.keys = append(s.bundles, b), append(s.keys, b.KeyPackage)
	}
	return s
}

// identityOf returns the member's credential with a key for the new group.
func (s *succession) identityOf(g *Group) Identity {
	s.Helper()
	return Identity{g.tree.Leaf(g.own).Credential, good(NewSignatureKey(s.config, s.suite))(s)}
}

// join has the member at an index of the old group join the new one.
func (s *succession) join(i int, welcome []byte) (*Joined, error) {
	return Join(s.config, welcome, JoinOptions{KeyPackages: s.bundles[i-1 : i], Parent: s.members[i]})
}

func TestReInitialisation(t *testing.T) {
	hybrid := MLKEM768X25519_AES128GCM_SHA256_Ed25519
	r := newRig(t, 3, Config{})
	alice, bob, carol := r.members[0], r.members[1], r.members[2]
	announced := &message.ReInit{GroupID: []byte("next group"), Version: message.MLS10, CipherSuite: hybrid,
		Extensions: Extensions{{Type: message.ExtensionRequiredCapabilities, Data: (&message.RequiredCapabilities{}).Marshal()}}}
	late := good(bob.Encrypt([]byte("late"), nil))(t).Message

	r.Run("stands alone in its commit", func(t *testing.T) {
		_, err := alice.Commit(CommitOptions{Proposals: []Proposal{announced, r.addition("new")}})
		fails(t, err, ErrProposal)
	})
	r.propose(bob, good(bob.Propose(announced, nil))(t), nil)
	p := r.commit(carol, CommitOptions{WithoutPath: true})
	if p.ReInit == nil || p.ReInit.CipherSuite != hybrid {
		t.Errorf("the commit tells %v", p.ReInit)
	}
	r.Run("ends the group", func(t *testing.T) {
		for _, g := range []*Group{alice, r.restored(bob)} {
			got, ended := g.ReInitialised()
			if !ended || string(got.GroupID) != "next group" {
				t.Errorf("re-initialised: %v, %v", got, ended)
			}
			_, err := g.Encrypt([]byte("text"), nil)
			fails(t, err, ErrReInit)
			_, err = g.Commit(CommitOptions{})
			fails(t, err, ErrReInit)
			_, err = g.ProposeUpdate(nil)
			fails(t, err, ErrReInit)
			_, err = g.ProposeAdd(r.addition("new").KeyPackage)
			fails(t, err, ErrReInit)
		}
		r.hears(alice, late, "late")
		r.refuses(alice, r.forgeCommit(bob), ErrReInit)
	})

	s := newSuccession(r, hybrid)
	options := SuccessorOptions{Identity: s.identityOf(alice), KeyPackages: s.keys}
	r.Run("takes all members along", func(t *testing.T) {
		few := options
		few.KeyPackages = s.keys[:1]
		_, _, err := alice.ReInit(few)
		fails(t, err, ErrConfig)
		stranger := options
		stranger.KeyPackages = []*KeyPackage{s.keys[0], good(NewKeyPackage(r.config, hybrid,
			Identity{BasicCredential([]byte("stranger")), good(NewSignatureKey(r.config, hybrid))(t)}, KeyPackageOptions{}))(t).KeyPackage}
		_, _, err = alice.ReInit(stranger)
		fails(t, err, ErrCredential)
	})
	next, p := good2(alice.ReInit(options))(t)
	good(p.Apply())(t)
	successors := &rig{T: t, config: r.config, suite: hybrid, members: []*Group{next}}
	for i := range s.bundles {
		j := good(s.join(i+1, p.Welcome))(t)
		if len(j.PSKs) != 1 || j.PSKs[0].Usage != message.ResumptionReInit {
			t.Errorf("started with %v", j.PSKs)
		}
		successors.members = append(successors.members, j.Group)
	}
	successors.agree()
	if string(next.GroupID()) != "next group" || next.CipherSuite() != hybrid || next.Epoch() != 1 || !next.Extensions().Equal(announced.Extensions) {
		t.Errorf("group %q, suite %#04x, epoch %d", next.GroupID(), next.CipherSuite(), next.Epoch())
	}
	successors.says(successors.members[2], next, "in the new group")
	successors.commit(successors.members[1], CommitOptions{})

	r.Run("is joined by those who know the old group", func(t *testing.T) {
		_, err := Join(r.config, p.Welcome, JoinOptions{KeyPackages: s.bundles[:1]})
		fails(t, err, ErrMissingPSK)
		other := newRig(t, 1, Config{}).members[0]
		_, err = Join(r.config, p.Welcome, JoinOptions{KeyPackages: s.bundles[:1], Parent: other})
		fails(t, err, ErrMissingPSK)
	})
	r.Run("is the group that was announced", func(t *testing.T) {
		for name, spoil := range map[string]func(*message.ReInit){
			"another id":         func(r *message.ReInit) { r.GroupID = []byte("other") },
			"other extensions":   func(r *message.ReInit) { r.Extensions = nil },
			"another suite":      func(r *message.ReInit) { r.CipherSuite = 1 },
			"no such thing said": nil,
		} {
			r.Run(name, func(t *testing.T) {
				said := bob.reinit
				defer func() { bob.reinit = said }()
				if bob.reinit = nil; spoil != nil {
					other := *said
					spoil(&other)
					bob.reinit = &other
				}
				_, err := s.join(1, p.Welcome)
				fails(t, err, ErrWelcome)
			})
		}
	})
	r.Run("comes of the epoch in which the group ended", func(t *testing.T) {
		early := r.restored(alice)
		early.secrets.Resumption = early.resumption(early.Epoch() - 1)
		early.epoch.context.Epoch--
		_, p := good2(early.ReInit(options))(t)
		_, err := s.join(1, p.Welcome)
		fails(t, err, ErrWelcome)
	})
	r.Run("has the members that the old one had", func(t *testing.T) {
		strict := s.config
		strict.Credentials = sameName{}
		bob.config = good(strict.filled())(t)
		good(Join(strict, p.Welcome, JoinOptions{KeyPackages: s.bundles[:1], Parent: bob}))(t)
		lonely := r.restored(carol)
		lonely.config = bob.config
		d := lonely.tree.Diff()
		d.SetLeaf(0, nil) // as if Alice had not been a member
		d.Merge()
		_, err := Join(strict, p.Welcome, JoinOptions{KeyPackages: s.bundles[1:], Parent: lonely})
		fails(t, err, ErrCredential)
	})
	r.Run("is made only where one was announced", func(t *testing.T) {
		_, _, err := next.ReInit(SuccessorOptions{Identity: options.Identity})
		fails(t, err, ErrProposal)
	})
	r.Run("needs a suite that is known", func(t *testing.T) {
		_, err := next.Propose(&message.ReInit{GroupID: []byte("x"), Version: message.MLS10, CipherSuite: 0x0999}, nil)
		fails(t, err, ErrSuite)
	})
}

// sameName lets a credential be succeeded by one of the same name only.
type sameName struct{ anyone }

func (sameName) ValidateSuccessor(old, next Credential) error {
	if string(old.Identity) != string(next.Identity) {
		return errRefused
	}
	return nil
}

func TestBranch(t *testing.T) {
	r := newRig(t, 4, Config{Credentials: sameName{}, PastEpochs: -1})
	alice, bob := r.members[0], r.members[1]
	s := newSuccession(r, r.suite)
	options := SuccessorOptions{Identity: s.identityOf(alice), KeyPackages: s.keys[:2], GroupID: []byte("branch")}
	branch, p := good2(alice.Branch(options))(t)
	good(p.Apply())(t)
	sub := &rig{T: t, config: r.config, suite: r.suite, members: []*Group{branch}}
	for i := range 2 {
		j := good(s.join(i+1, p.Welcome))(t)
		if j.PSKs[0].Usage != message.ResumptionBranch {
			t.Errorf("started with %v", j.PSKs)
		}
		sub.members = append(sub.members, j.Group)
	}
	sub.agree()
	if branch.Size() != 3 || branch.Epoch() != 1 || string(branch.GroupID()) != "branch" {
		t.Errorf("branch of %d in epoch %d", branch.Size(), branch.Epoch())
	}
	r.says(alice, bob, "the group goes on")
	r.commit(bob, CommitOptions{})

	r.Run("keeps what its maker decided", func(t *testing.T) {
		late := good(branch.Encrypt([]byte("late"), nil))(t).Message
		fromBob := good(sub.members[1].Encrypt([]byte("late"), nil))(t).Message
		sub.commit(sub.members[1], CommitOptions{})
		sub.refuses(sub.members[1], late, ErrEpochGone)
		sub.refuses(branch, fromBob, ErrEpochGone)
	})
	r.Run("has the suite of the group, and starts with it", func(t *testing.T) {
		s := newSuccession(r, MLKEM768X25519_AES128GCM_SHA256_Ed25519)
		_, p := good2(bob.succeed(SuccessorOptions{Identity: s.identityOf(bob), KeyPackages: s.keys[1:2]}, s.suite, message.ResumptionBranch))(t)
		_, err := s.join(2, p.Welcome)
		fails(t, err, ErrWelcome)

		s = newSuccession(r, r.suite)
		late, p := good2(bob.Branch(SuccessorOptions{Identity: s.identityOf(bob)}))(t)
		good(p.Apply())(t)
		rules := *late.rules
		rules.ResumptionUsage = message.ResumptionBranch
		psk := good(bob.ResumptionPSKProposal(bob.Epoch()))(t)
		psk.PSK.Usage = message.ResumptionBranch
		b := late.newCommit(message.MemberSender(0), CommitOptions{})
		b.add(psk)
		b.add(&message.Add{KeyPackage: s.keys[1]})
		p = good(b.asMember(&rules, bob))(t)
		_, err = s.join(2, p.Welcome)
		fails(t, err, ErrWelcome)
	})
	r.Run("has no members but the group's", func(t *testing.T) {
		stranger := options
		stranger.KeyPackages = []*KeyPackage{r.addition("stranger").KeyPackage}
		_, _, err := alice.Branch(stranger)
		fails(t, err, ErrCredential)
	})
	r.Run("is joined by those who know the group and its epoch", func(t *testing.T) {
		_, err := Join(r.config, p.Welcome, JoinOptions{KeyPackages: s.bundles[:1]})
		fails(t, err, ErrMissingPSK)
		_, err = s.join(1, p.Welcome) // Bob has moved on, and keeps no past epoch
		fails(t, err, ErrMissingPSK)
	})
	r.Run("cannot be started in a usual commit", func(t *testing.T) {
		for _, usage := range []message.ResumptionUsage{message.ResumptionBranch, message.ResumptionReInit} {
			psk := good(alice.ResumptionPSKProposal(alice.Epoch()))(t)
			psk.PSK.Usage = usage
			_, err := alice.Commit(CommitOptions{Proposals: []Proposal{psk}})
			fails(t, err, ErrProposal)
			r.refuses(bob, r.forgeCommit(alice, psk), ErrProposal)
		}
	})
}

func TestPreSharedKeys(t *testing.T) {
	external := map[string][]byte{"shared": []byte("secret")}
	c := Config{PublicHandshake: true, PastEpochs: 2, PSK: func(id PreSharedKeyID) ([]byte, bool) {
		key, ok := external[string(id.ID)]
		return key, ok && (id.Type == message.PSKExternal || id.Component == 7)
	}}
	r := newRig(t, 3, c)
	alice, bob, carol := r.members[0], r.members[1], r.members[2]
	psk := func(id string) *message.PreSharedKey { return good(alice.ExternalPSKProposal([]byte(id)))(t) }

	r.Run("of the application, by value and by reference", func(t *testing.T) {
		r.propose(bob, good(bob.ProposePSK([]byte("shared")))(t), nil)
		p := r.commit(alice, CommitOptions{Proposals: []Proposal{psk("shared")}})
		if len(p.Proposals) != 2 {
			t.Errorf("%d proposals", len(p.Proposals))
		}
	})
	r.Run("of a component", func(t *testing.T) {
		p := psk("shared")
		p.PSK.Type, p.PSK.Component = message.PSKApplication, 7
		r.commit(alice, CommitOptions{Proposals: []Proposal{p}})
	})
	r.Run("for somebody who joins", func(t *testing.T) {
		b := r.bundle("dave", KeyPackageOptions{})
		p := r.commit(alice, CommitOptions{Proposals: []Proposal{psk("shared"), &message.Add{KeyPackage: b.KeyPackage}}})
		without := r.config
		without.PSK = nil
		_, err := Join(without, p.Welcome, JoinOptions{KeyPackages: []*KeyPackageBundle{b}})
		fails(t, err, ErrMissingPSK)
		without.PSK = func(PreSharedKeyID) ([]byte, bool) { return []byte("wrong"), true }
		_, err = Join(without, p.Welcome, JoinOptions{KeyPackages: []*KeyPackageBundle{b}})
		fails(t, err, ErrWelcome)
		j := good(Join(r.config, p.Welcome, JoinOptions{KeyPackages: []*KeyPackageBundle{b}}))(t)
		r.members = append(r.members, j.Group)
		r.agree()
		if len(j.PSKs) != 1 || string(j.PSKs[0].ID) != "shared" {
			t.Errorf("started with %v", j.PSKs)
		}
	})
	r.Run("in an external commit", func(t *testing.T) {
		r.joinExternally(alice, "erin", ExternalOptions{PSKs: [][]byte{[]byte("shared")}})
	})
	r.Run("that nobody knows", func(t *testing.T) {
		_, err := alice.Commit(CommitOptions{Proposals: []Proposal{psk("unknown")}})
		fails(t, err, ErrMissingPSK)
		external["only alice"] = []byte("secret")
		p := good(alice.Commit(CommitOptions{Proposals: []Proposal{psk("only alice")}}))(t)
		delete(external, "only alice")
		r.refuses(bob, p.Message, ErrMissingPSK)
		external["only alice"] = []byte("another")
		r.refuses(bob, p.Message, ErrConfirmationTag)
		p.Discard()
	})
	r.Run("with a nonce that is too short", func(t *testing.T) {
		p := psk("shared")
		p.PSK.Nonce = p.PSK.Nonce[1:]
		_, err := alice.Commit(CommitOptions{Proposals: []Proposal{p}})
		fails(t, err, ErrProposal)
		r.refuses(bob, r.forgeCommit(alice, p), ErrProposal)
	})
	r.Run("of an epoch of this group", func(t *testing.T) {
		now := alice.Epoch()
		r.commit(alice, CommitOptions{})
		for _, epoch := range []uint64{now + 1, now} {
			before := alice.EpochAuthenticator()
			r.commit(alice, CommitOptions{Proposals: []Proposal{good(alice.ResumptionPSKProposal(epoch))(t)}})
			if slices.Equal(before, alice.EpochAuthenticator()) {
				t.Error("the epoch did not change")
			}
		}
		r.Run("after a restart", func(t *testing.T) {
			r.members[1] = r.restored(bob)
			r.commit(alice, CommitOptions{Proposals: []Proposal{good(alice.ResumptionPSKProposal(alice.Epoch() - 1))(t)}})
		})
		for _, epoch := range []uint64{now, alice.Epoch() + 1} {
			_, err := alice.Commit(CommitOptions{Proposals: []Proposal{good(alice.ResumptionPSKProposal(epoch))(t)}})
			fails(t, err, ErrMissingPSK)
		}
	})
	r.says(carol, alice, "all of them")
}

// TestSuccessorsAreStoredWhole: the records that come with a branch are all that restoring it takes.
func TestSuccessorsAreStoredWhole(t *testing.T) {
	r := newRig(t, 3, Config{})
	who := func(g *Group) Identity {
		return Identity{g.tree.Leaf(g.own).Credential, &SignatureKey{g.suite, g.key}}
	}
	b := good(NewKeyPackage(r.config, r.members[1].CipherSuite(), who(r.members[1]), KeyPackageOptions{}))(t)
	_, p, err := r.members[0].Branch(SuccessorOptions{Identity: who(r.members[0]), KeyPackages: []*KeyPackage{b.KeyPackage}})
	if err != nil {
		t.Fatal(err)
	}
	store := records{}
	store.apply(p.Records)
	g := good(Restore(r.config, store))(t)
	good(g.Pending().Apply())(t)
	if g.Size() != 2 {
		t.Errorf("%d members", g.Size())
	}
}
