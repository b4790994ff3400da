package mls

import (
	"errors"
	"math/rand/v2"
	"runtime/metrics"
	"slices"
	"testing"
	"time"

	"github.com/quicproquo/qpq/mls/internal/schedule"
	"github.com/quicproquo/qpq/mls/internal/tree"
	"github.com/quicproquo/qpq/mls/message"
)

// fuzzed is a group that inputs are thrown at. It is the same in each process that fuzzes.
type fuzzed struct {
	config   Config
	store    records // of the member that takes the input
	other    *Group  // somebody who can sign what no honest member would
	bundle   *KeyPackageBundle
	identity Identity
	info     []byte
	welcome  []byte
	joiner   []byte // the joiner secret of the welcome
	messages [][]byte
	records  []Record
}

func newFuzzed(tb testing.TB) *fuzzed {
	tb.Helper()
	clock := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	f := &fuzzed{config: Config{Credentials: anyone{}, Rand: rand.NewChaCha8([32]byte{1}), Clock: func() time.Time { return clock },
		MaxMembers: 1000, MaxMessageSize: 1 << 20, PSK: func(PreSharedKeyID) ([]byte, bool) { return []byte("key"), true }}}
	who := func(name string) Identity {
		return Identity{BasicCredential([]byte(name)), good(NewSignatureKey(f.config, 1))(tb)}
	}
	bundle := func(name string) *KeyPackageBundle {
		return good(NewKeyPackage(f.config, 1, who(name), KeyPackageOptions{}))(tb)
	}
	f.identity = who("outsider")
	a := good(NewGroup(f.config, 1, who("a"), GroupOptions{ID: []byte("fuzzed")}))(tb)
	b, c := bundle("b"), bundle("c")
	p := good(a.Commit(CommitOptions{Proposals: []Proposal{&message.Add{KeyPackage: b.KeyPackage}, &message.Add{KeyPackage: c.KeyPackage}}}))(tb)
	good(p.Apply())(tb)
	g := good(Join(f.config, p.Welcome, JoinOptions{KeyPackages: []*KeyPackageBundle{b}}))(tb).Group
	f.other = good(Join(f.config, p.Welcome, JoinOptions{KeyPackages: []*KeyPackageBundle{c}}))(tb).Group
	late := good(a.Encrypt([]byte("late"), nil))(tb).Message
	p = good(f.other.Commit(CommitOptions{}))(tb)
	for _, member := range []*Group{a, g} {
		good(good(member.Process(p.Message))(tb).(*StagedCommit).Merge())(tb)
	}
	good(p.Apply())(tb)
	f.info = good(a.GroupInfo(GroupInfoOptions{ExternalPub: true}))(tb)
	text := good(a.Encrypt([]byte("text"), []byte("data")))(tb).Message
	proposal := good(a.ProposeUpdate(nil))(tb).Message
	good(g.Process(proposal))(tb)
	f.bundle = bundle("joiner")
	p = good(a.Commit(CommitOptions{Proposals: []Proposal{&message.Add{KeyPackage: f.bundle.KeyPackage}, good(a.ExternalPSKProposal([]byte("id")))(tb)}, WithoutReceived: true}))(tb)
	f.welcome = p.Welcome
	public := *a.config
	public.PublicHandshake = true
	a.config = &public
	f.messages = [][]byte{late, text, proposal, p.Message, p.Welcome, f.info, good(a.ProposeRemove(2))(tb).Message,
		good(ProposeJoin(f.config, a.GroupID(), a.Epoch(), f.bundle))(tb), f.bundle.Message()}
	_, e := good2(JoinExternal(f.config, f.info, f.identity, ExternalOptions{}))(tb)
	f.messages = append(f.messages, e.Message)
	good(g.Commit(CommitOptions{WithoutReceived: true}))(tb)
	f.records = g.Records()
	f.store = records{}
	f.store.apply(f.records)
	delete(f.store, recordPending)
	w := good(message.Unmarshal(slices.Clone(p.Welcome)))(tb).Welcome
	s := w.Secrets[0].Secrets
	plaintext := good(a.suite.DecryptWithLabel(f.bundle.init, "Welcome", w.EncryptedGroupInfo, s.KEMOutput, s.Ciphertext))(tb)
	f.joiner = plaintext
	return f
}

// allocatedBy returns how many bytes of memory f takes, all garbage included.
func allocatedBy(f func()) uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	before := sample[0].Value.Uint64()
	f()
	metrics.Read(sample)
	return sample[0].Value.Uint64() - before
}

// frugal runs f, which may take a multiple of the input in memory, besides what work on a group of three takes.
func frugal(t *testing.T, input int, f func()) {
	t.Helper()
	if n := allocatedBy(f); n > uint64(64*input+4<<20) {
		t.Errorf("%d bytes of input take %d of memory", input, n)
	}
}

// member returns the member that takes the input.
func (f *fuzzed) member(t *testing.T) *Group { return good(Restore(f.config, f.store))(t) }

// take has a member take a message and go on from what it makes of it.
func (f *fuzzed) take(t *testing.T, data []byte) {
	g := f.member(t)
	before := g.EpochAuthenticator()
	var r Received
	var err error
	frugal(t, len(data), func() { r, err = g.Process(data) })
	if (r == nil) != (err != nil) {
		t.Errorf("received %T and %v", r, err)
	}
	same(t, "epoch authenticator of a message that was not merged", g.EpochAuthenticator(), before)
	if s, ok := r.(*StagedCommit); ok {
		good(s.Merge())(t)
	}
	use(g)
}

func FuzzProcess(f *testing.F) {
	group := newFuzzed(f)
	for _, m := range group.messages {
		f.Add(m)
	}
	f.Fuzz(group.take)
}

// FuzzProcessFromMember has a member sign and encrypt any proposals and commits, as no honest one would.
func FuzzProcessFromMember(f *testing.F) {
	group := newFuzzed(f)
	for _, data := range group.messages {
		m := good(message.Unmarshal(slices.Clone(data)))(f)
		if m.Public != nil {
			f.Add(byte(m.Public.Content.Type), false, m.Public.Content.AppendBody(nil))
			f.Add(byte(m.Public.Content.Type), true, m.Public.Content.AppendBody(nil))
		}
	}
	for _, p := range []Proposal{&message.Add{KeyPackage: group.bundle.KeyPackage}, &message.Remove{Removed: 1}, &message.GroupContextExtensions{},
		&message.Update{LeafNode: group.bundle.KeyPackage.LeafNode}, &message.SelfRemove{}, &message.ReInit{Version: 1, CipherSuite: 1},
		&message.PreSharedKey{PSK: PreSharedKeyID{Type: message.PSKExternal, Nonce: make([]byte, 32)}}, &message.ExternalInit{KEMOutput: make([]byte, 32)},
		&message.AppDataUpdate{Component: 1}, &message.AppEphemeral{}, &message.Custom{ProposalType: 0xf000}} {
		f.Add(byte(message.ContentProposal), false, message.AppendProposal(nil, p))
		c := &message.Commit{Proposals: []message.ProposalOrRef{{Proposal: p}}}
		f.Add(byte(message.ContentCommit), true, c.Append(nil))
		f.Add(byte(message.ContentCommit), false, c.Append(nil))
	}
	f.Fuzz(func(t *testing.T, kind byte, private bool, body []byte) {
		by := good(Restore(group.config, recordsOf(group.other)))(t)
		m := &message.PrivateMessage{GroupID: by.GroupID(), Epoch: by.Epoch(), Type: message.ContentType(kind)}
		body = append(body, 0, 0) // room for an empty signature and confirmation tag
		a, err := m.UnmarshalPrivateContent(body, message.MemberSender(by.own))
		if err != nil || kind < 1 || kind > 3 {
			return
		}
		if !private {
			a.WireFormat = message.WirePublicMessage
		}
		a.Auth = message.FramedContentAuthData{ConfirmationTag: make([]byte, by.suite.HashSize())}
		if err := by.sign(a, by.key); err != nil {
			t.Fatal(err)
		}
		group.take(t, good(by.protect(a))(t))
	})
}

func recordsOf(g *Group) records {
	store := records{}
	store.apply(g.Records())
	return store
}

func FuzzJoin(f *testing.F) {
	group := newFuzzed(f)
	f.Add(group.welcome)
	f.Add(group.welcome[4:])
	f.Fuzz(func(t *testing.T, data []byte) {
		frugal(t, len(data), func() {
			if j, err := Join(group.config, data, JoinOptions{KeyPackages: []*KeyPackageBundle{group.bundle}}); err == nil {
				use(j.Group)
			}
		})
	})
}

// FuzzJoinInvited has a member invite somebody with any secrets and any group info.
func FuzzJoinInvited(f *testing.F) {
	group := newFuzzed(f)
	w := good(message.Unmarshal(slices.Clone(group.welcome)))(f).Welcome
	secrets := good(message.UnmarshalGroupSecrets(group.joiner))(f)
	psks := good(group.config.psks(secrets.PSKs))(f)
	key, nonce := schedule.Welcome(group.other.suite, secrets.JoinerSecret, schedule.PSKSecret(group.other.suite, psks))
	info := good(group.other.suite.Open(key, nonce, nil, w.EncryptedGroupInfo))(f)
	f.Add(group.joiner, info)
	f.Add(secrets.Append(nil), good(message.Unmarshal(group.info))(f).GroupInfo.Append(nil))
	f.Fuzz(func(t *testing.T, encoded, info []byte) {
		s := group.other.suite
		secrets, err := message.UnmarshalGroupSecrets(encoded)
		if err != nil {
			return
		}
		psks, _ := group.config.psks(secrets.PSKs)
		key, nonce := schedule.Welcome(s, secrets.JoinerSecret, schedule.PSKSecret(s, psks))
		w := &message.Welcome{CipherSuite: 1, Secrets: make([]message.EncryptedGroupSecrets, 1)}
		w.EncryptedGroupInfo = good(s.Seal(key, nonce, nil, info))(t)
		out := &w.Secrets[0]
		out.NewMember = group.bundle.Ref()
		out.Secrets.KEMOutput, out.Secrets.Ciphertext, err = s.EncryptWithLabel(nil, group.bundle.KeyPackage.InitKey, "Welcome", w.EncryptedGroupInfo, encoded)
		if err != nil {
			t.Fatal(err)
		}
		frugal(t, len(info)+len(encoded), func() {
			if j, err := Join(group.config, w.Append(nil), JoinOptions{KeyPackages: []*KeyPackageBundle{group.bundle}}); err == nil {
				use(j.Group)
			}
		})
	})
}

// FuzzJoinExternal joins by group infos: as they are, and with the tree's hash and a signature that fit.
func FuzzJoinExternal(f *testing.F) {
	group := newFuzzed(f)
	f.Add(group.info)
	f.Fuzz(func(t *testing.T, data []byte) {
		frugal(t, 2*len(data), func() {
			group.joinBy(data)
			m, err := message.Unmarshal(slices.Clone(data))
			if err != nil || m.GroupInfo == nil {
				return
			}
			info := m.GroupInfo
			ratchetTree, _ := info.Extensions.Find(message.ExtensionRatchetTree)
			if tr, err := tree.Unmarshal(group.other.suite, ratchetTree, 1000); err == nil {
				info.Context.TreeHash = tr.Hash()
			}
			info.Signer = group.other.own
			info.Signature = good(group.other.suite.SignWithLabel(group.other.key, nil, "GroupInfoTBS", info.AppendTBS(nil)))(t)
			group.joinBy(m.Marshal())
		})
	})
}

func (f *fuzzed) joinBy(info []byte) {
	g, p, err := JoinExternal(f.config, info, f.identity, ExternalOptions{PSKs: [][]byte{{1}}})
	if err != nil {
		return
	}
	if _, err := p.Apply(); err == nil {
		use(g)
	}
}

// FuzzKeyPackage reads what others publish, and what one stored of one's own.
func FuzzKeyPackage(f *testing.F) {
	group := newFuzzed(f)
	f.Add(group.bundle.Message())
	f.Add(group.bundle.KeyPackage.Append(nil))
	f.Add(group.bundle.Marshal())
	f.Fuzz(func(t *testing.T, data []byte) {
		frugal(t, 2*len(data), func() {
			_, _ = ParseKeyPackage(group.config, data)
			if b, err := UnmarshalKeyPackageBundle(group.config, data); err == nil {
				b.Marshal()
				b.Message()
			}
		})
	})
}

// FuzzRestore replaces one record.
func FuzzRestore(f *testing.F) {
	group := newFuzzed(f)
	full := records{}
	full.apply(group.records)
	for i, r := range group.records {
		f.Add(byte(i), r.Value)
	}
	f.Fuzz(func(t *testing.T, which byte, data []byte) {
		r := group.records[int(which)%len(group.records)]
		damaged := records{}
		for key, value := range full {
			damaged[key] = value
		}
		damaged[r.Key] = data
		frugal(t, len(data), func() {
			g, err := Restore(group.config, damaged)
			switch {
			case err == nil:
				use(g, group.messages...)
			case !errors.Is(err, ErrState):
				t.Errorf("record %s: %v", r.Key, err)
			}
		})
	})
}
