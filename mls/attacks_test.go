package mls

import (
	"bytes"
	"runtime"
	"slices"
	"testing"

	"github.com/quicproquo/qpq/mls/internal/transition"
	"github.com/quicproquo/qpq/mls/message"
)

// What a hostile member, or a stranger, once could do.

// TestUselessProposalsStopNobody: what no commit can have is left out of it, and the rest goes in.
func TestUselessProposalsStopNobody(t *testing.T) {
	psk := func(id string) Proposal {
		return &message.PreSharedKey{PSK: PreSharedKeyID{Type: message.PSKExternal, ID: []byte(id), Nonce: make([]byte, 32)}}
	}
	config := Config{MaxMembers: 4, AppData: appending, Padding: NoPadding, MaxMessageSize: 40_000,
		PSK: func(id PreSharedKeyID) ([]byte, bool) {
			return []byte("a key that does not count"), string(id.ID) == "known"
		}}
	for name, useless := range map[string]func(r *rig) []Proposal{
		"a key that nobody has": func(r *rig) []Proposal { return []Proposal{psk("unknown")} },
		"the key of an epoch that nobody keeps": func(r *rig) []Proposal {
			return []Proposal{good(r.members[1].ResumptionPSKProposal(77))(r)}
		},
		"a member's signature key": func(r *rig) []Proposal {
			who := Identity{BasicCredential([]byte("twin")), &SignatureKey{r.members[1].suite, r.members[1].key}}
			return []Proposal{&message.Add{KeyPackage: good(NewKeyPackage(r.config, r.suite, who, KeyPackageOptions{}))(r).KeyPackage}}
		},
		"a type that a member does not know":              func(r *rig) []Proposal { return []Proposal{&message.Custom{ProposalType: customProposal}} },
		"application data that a member does not know of": func(r *rig) []Proposal { return []Proposal{&message.AppDataUpdate{Component: 7}} },
		"application data that is not there":              func(r *rig) []Proposal { return []Proposal{&message.AppDataUpdate{Component: 7, Remove: true}} },
		"an extension that a member does not know": func(r *rig) []Proposal {
			return []Proposal{&message.GroupContextExtensions{Extensions: Extensions{{Type: customExtension}}}}
		},
		"a group that nobody could make": func(r *rig) []Proposal {
			return []Proposal{&message.ReInit{GroupID: []byte("next"), Version: message.MLS10, CipherSuite: 0x0999}}
		},
		"more members than are allowed": func(r *rig) []Proposal { return []Proposal{r.addition("fifth"), r.addition("sixth")} },
		"a member too large for a welcome": func(r *rig) []Proposal {
			b := r.bundle("fifth", KeyPackageOptions{Leaf: LeafOptions{Extensions: Extensions{{Type: message.ExtensionApplicationID, Data: make([]byte, 39_000)}}}})
			return []Proposal{&message.Add{KeyPackage: b.KeyPackage}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 3, config)
			alice, hostile := r.members[0], r.members[1]
			r.config.AppData = nil
			r.add(alice, "who knows less")
			r.config = config
			r.config.Credentials = anyone{}
			list := useless(r)
			for _, p := range append(list, psk("known"), &message.Remove{Removed: 2}) {
				data := r.forgeProposal(hostile, p)
				for _, i := range []int{0, 2, 3} {
					good(r.members[i].Process(data))(t)
				}
				hostile.addProposal(good(message.Unmarshal(data))(t).Public.Authenticated())
			}
			p := good(alice.Commit(CommitOptions{}))(t)
			// Of the two additions one is allowed, because somebody leaves.
			if n := len(p.Skipped); n < 1 || n > len(list) || len(p.Removed) != 1 || len(p.Proposals)+n != len(list)+2 {
				t.Errorf("skipped %d, removed %d, committed %d of %d", n, len(p.Removed), len(p.Proposals), len(list)+2)
			}
			r.merge(alice, p)
			r.says(alice, hostile, "and on it goes")
		})
	}
}

// TestSearchForUselessProposalsEnds: a member that sends very many cannot keep others busy; what is not looked at is left out.
func TestSearchForUselessProposalsEnds(t *testing.T) {
	const n = 2000
	asked := 0
	r := newRig(t, 2, Config{PSK: func(id PreSharedKeyID) ([]byte, bool) {
		asked++
		return []byte("key"), id.ID[0]%2 == 0
	}})
	alice, hostile := r.members[0], r.members[1]
	for i := range n {
		id := PreSharedKeyID{Type: message.PSKExternal, ID: []byte{byte(i), byte(i >> 8)}, Nonce: make([]byte, 32)}
		good(alice.Process(r.forgeProposal(hostile, &message.PreSharedKey{PSK: id})))(t)
	}
	p := good(alice.Commit(CommitOptions{}))(t)
	if len(p.Proposals) == 0 || len(p.Skipped) < n/2 || len(p.Proposals)+len(p.Skipped) != n {
		t.Errorf("%d proposals committed, %d skipped", len(p.Proposals), len(p.Skipped))
	}
	if asked > 150*n {
		t.Errorf("asked for a key %d times", asked)
	}
}

// TestNobodyIsMadeToCommitADowngrade: a re-initialisation that nobody here would propose stays out of commits, also where there is
// nothing else to commit.
func TestNobodyIsMadeToCommitADowngrade(t *testing.T) {
	for name, worse := range map[string]*message.ReInit{
		"without post-quantum security": {GroupID: []byte("worse"), Version: message.MLS10, CipherSuite: X25519_AES128GCM_SHA256_Ed25519},
		"of an unknown version":         {GroupID: []byte("worse"), Version: 2, CipherSuite: MLKEM768X25519_AES128GCM_SHA256_Ed25519},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRigOf(t, MLKEM768X25519_AES128GCM_SHA256_Ed25519, 2, Config{}, nil)
			alice, hostile := r.members[0], r.members[1]
			good(alice.Process(r.forgeProposal(hostile, worse)))(t)
			p := good(alice.Commit(CommitOptions{}))(t)
			if len(p.Skipped) != 1 || p.ReInit != nil {
				t.Errorf("skipped %d, reinit %v", len(p.Skipped), p.ReInit)
			}
			p.Discard()
			next := *worse
			next.CipherSuite, next.Version = MLKEM768X25519_AES128GCM_SHA256_Ed25519, message.MLS10
			good(alice.Process(r.forgeProposal(hostile, &next)))(t)
			if p := good(alice.Commit(CommitOptions{}))(t); len(p.Skipped) != 1 || p.ReInit == nil {
				t.Errorf("skipped %d, reinit %v", len(p.Skipped), p.ReInit)
			}
		})
	}
}

// TestAWipedGroupVouchesForNothing: its resumption keys are gone, not zeros that anybody knows, and nobody joins on its word.
func TestAWipedGroupVouchesForNothing(t *testing.T) {
	r := newRig(t, 3, Config{})
	g := r.members[2]
	for range 3 {
		r.commit(r.members[0], CommitOptions{})
	}
	past := g.past[1]
	b := r.bundle("m2", KeyPackageOptions{})
	_, p, err := r.members[0].Branch(SuccessorOptions{Identity: Identity{BasicCredential([]byte("m0")), r.identity("m0").Key},
		KeyPackages: []*KeyPackage{b.KeyPackage}})
	if err != nil {
		t.Fatal(err)
	}
	at := g.Epoch()
	g.Wipe()
	for e := range at + 1 {
		if psk := g.resumption(e); psk != nil {
			t.Errorf("epoch %d still has the resumption key %x", e, psk)
		}
	}
	if past.resumption != nil || past.senderData != nil || len(g.past)+len(g.keys)+len(g.updates) > 0 {
		t.Error("what was wiped is still there")
	}
	_, err = Join(r.config, p.Welcome, JoinOptions{KeyPackages: []*KeyPackageBundle{b}, Parent: g})
	fails(t, err, ErrRemoved)
	good(Join(r.config, p.Welcome, JoinOptions{KeyPackages: []*KeyPackageBundle{b}, Parent: r.members[1]}))(t)
}

// TestAMessageMayBeOverwritten: the group keeps nothing of the bytes that Process was given.
func TestAMessageMayBeOverwritten(t *testing.T) {
	r := newRig(t, 3, Config{PublicHandshake: true})
	a, b := r.members[0], r.members[1]
	senders := []message.ExternalSender{{SignatureKey: a.tree.Leaf(0).SignatureKey, Credential: BasicCredential([]byte("somebody outside"))}}
	o := good(a.Propose(&message.GroupContextExtensions{Extensions: Extensions{{Type: message.ExtensionExternalSenders, Data: message.MarshalExternalSenders(senders)}}}, nil))(t)
	buffer := bytes.Clone(o.Message)
	good(b.Process(buffer))(t)
	before := bytes.Clone(b.proposals[0].encoded)
	item := b.proposals[0].item.Proposal.(*message.GroupContextExtensions)
	kept := item.Extensions.Append(nil)
	for i := range buffer {
		buffer[i] = 'X'
	}
	if !bytes.Equal(b.proposals[0].encoded, before) || !bytes.Equal(item.Extensions.Append(nil), kept) {
		t.Error("a proposal changed with the buffer that it came in")
	}
}

// TestLongListsOfTypesAreRefused: each of them would be looked up in others.
func TestLongListsOfTypesAreRefused(t *testing.T) {
	r := newRig(t, 2, Config{})
	leaf := *r.members[0].tree.Leaf(0)
	long := *leaf.Capabilities
	for i := range 5000 {
		long.Extensions = append(long.Extensions, message.ExtensionType(0x4000+i))
	}
	leaf.Capabilities = &long
	_, err := message.UnmarshalLeafNode(leaf.Append(nil))
	fails(t, err, ErrMalformed)
}

// appending takes what updates say as it is.
func appending(_ message.ComponentID, current []byte, updates [][]byte) ([]byte, error) {
	return slices.Concat(append([][]byte{current}, updates...)...), nil
}

// TestApplicationDataIsCopiedOnce: what a commit of many changes takes does not grow with its square.
func TestApplicationDataIsCopiedOnce(t *testing.T) {
	const components = 8000
	var dict message.AppDataDictionary
	var items []transition.Item
	for c := range message.ComponentID(components) {
		dict = append(dict, message.ComponentData{Component: c, Data: []byte("before ")})
		items = append(items, transition.Item{Sender: message.MemberSender(0),
			Proposal: &message.AppDataUpdate{Component: c, Update: []byte("after"), Remove: c%2 == 1}})
	}
	extensions := Extensions{{Type: message.ExtensionAppDataDictionary, Data: dict.Marshal()}}
	r := newRigOf(t, X25519_AES128GCM_SHA256_Ed25519, 1, Config{AppData: appending}, extensions)
	g := r.members[0]
	context := g.Context()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	result := good(g.rules.Apply(g.tree, &context, message.MemberSender(0), items))(t)
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > components*2000 {
		t.Errorf("%d bytes for %d components", n, components)
	}
	data, _ := result.Extensions.Find(message.ExtensionAppDataDictionary)
	changed := good(message.UnmarshalAppDataDictionary(data))(t)
	if len(changed) != components/2 || changed[7].Component != 14 || string(changed[7].Data) != "before after" {
		t.Errorf("%d components, the eighth is %v", len(changed), changed[7])
	}
}

// TestWhoIsRefusedCostsNothingMore: an external commit of somebody whose credential is refused has none of its proposals applied.
func TestWhoIsRefusedCostsNothingMore(t *testing.T) {
	applied := 0
	r := newRig(t, 2, Config{Credentials: picky{"mallory"}, AppData: func(c message.ComponentID, current []byte, updates [][]byte) ([]byte, error) {
		applied++
		return appending(c, current, updates)
	}})
	lax := r.config
	lax.Credentials = anyone{}
	alice, bob := r.members[0], r.members[1]
	for name, want := range map[string]struct {
		err     error
		applied int
	}{"mallory": {ErrCredential, 0}, "carol": {ErrPath, 100}} { // carol is refused for having encrypted her path for a group with less
		r.Run(name, func(t *testing.T) {
			_, p := good2(JoinExternal(lax, r.info(alice), r.identity(name), ExternalOptions{}))(t)
			key := p.next.key
			commit := r.reencoded(p.Message, func(m *message.Message) {
				for c := range message.ComponentID(100) {
					m.Public.Content.Commit.Proposals = append(m.Public.Content.Commit.Proposals,
						message.ProposalOrRef{Proposal: &message.AppDataUpdate{Component: c, Update: []byte("x")}})
				}
				a := m.Public.Authenticated()
				m.Public.Auth.Signature = good(alice.suite.SignWithLabel(key, nil, "FramedContentTBS", a.AppendTBS(nil, alice.epoch.encoded)))(t)
			})
			applied = 0
			r.refuses(bob, commit, want.err)
			if applied != want.applied {
				t.Errorf("%d components changed, want %d", applied, want.applied)
			}
		})
	}
}
