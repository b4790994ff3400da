package conversation_test

import (
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/conversation"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/mls"
	"github.com/quicproquo/qpq/wire"
)

// rig is some accounts, the members of one conversation among them, and what its hub keeps.
type rig struct {
	*testing.T
	states map[qpq.UserID]*identity.AccountState
	keys   map[qpq.UserID]*identity.AccountKey
	vaults map[qpq.UserID]*identity.VaultKey
	slot   uint64
	hub    *wire.GroupState
	chunks map[string][]byte
}

// member is a device of one of them.
type member struct {
	*conversation.Group
	self   conversation.Self
	config conversation.Config
	bundle *mls.KeyPackageBundle
}

func newRig(t *testing.T) *rig {
	return &rig{T: t, states: map[qpq.UserID]*identity.AccountState{}, keys: map[qpq.UserID]*identity.AccountKey{},
		vaults: map[qpq.UserID]*identity.VaultKey{}, chunks: map[string][]byte{}}
}

func must[T any](v T, err error) func(*rig) T {
	return func(r *rig) T {
		r.Helper()
		if err != nil {
			r.Fatal(err)
		}
		return v
	}
}

func user(name string) qpq.UserID { return qpq.UserID{Name: name, Domain: "example.org"} }

// device makes another device of a user, who is new with the first.
func (r *rig) device(name string) *member {
	r.Helper()
	u := user(name)
	key := must(identity.NewDeviceKey(rand.Reader))(r)
	request := must(key.Request(u, []uint16{uint16(conversation.Suite)}))(r)
	if r.states[u] == nil {
		r.keys[u] = must(identity.NewAccountKey(rand.Reader))(r)
		r.vaults[u] = must(identity.NewVaultKey(rand.Reader))(r)
		r.states[u] = must(identity.NewAccount(r.keys[u], request, r.vaults[u], time.Now()))(r)
	} else {
		r.states[u] = must(r.states[u].Next(identity.Change{Now: time.Now(), Key: r.keys[u], Add: []*identity.DeviceRequest{request}}))(r)
	}
	m := &member{self: conversation.Self{Device: key, Account: r.states[u]}}
	m.config = conversation.Config{Account: func(u qpq.UserID) (*identity.AccountState, error) { return r.states[u], nil }}
	return m
}

// invite returns a fresh key package of a device.
func (r *rig) invite(m *member) *mls.KeyPackage {
	r.Helper()
	who := must(m.self.Identity(m.config))(r)
	m.bundle = must(mls.NewKeyPackage(m.config.MLS(), conversation.Suite, who, mls.KeyPackageOptions{Leaf: m.self.Leaf()}))(r)
	return m.bundle.KeyPackage
}

// found has a device found a conversation.
func (r *rig) found(m *member, f wire.Founding) {
	r.Helper()
	f.Channel, f.Domain, f.Suite = qpq.ChannelID{1}, "example.org", uint16(conversation.Suite)
	f.Creator = wire.MemberDevice{User: m.self.Account.User, Device: m.self.Device.ID()}
	g, request, err := conversation.Found(m.config, m.self, f, "")
	if err != nil {
		r.Fatal(err)
	}
	m.Group = g
	r.keep(&request.Group)
}

// keep has the hub take a group state.
func (r *rig) keep(s *wire.GroupState) {
	for _, c := range s.Chunks {
		r.chunks[sum(c)] = c
	}
	if r.hub != nil && len(s.AccessKeys) == 0 {
		s.AccessKeys = r.hub.AccessKeys
	}
	r.hub = s
}

// commit has a member commit a change, others accept it, and those it adds join.
func (r *rig) commit(by *member, c conversation.Change, others []*member, joining ...*member) {
	r.Helper()
	r.slot++
	p, request, err := by.Commit(r.slot, c)
	if err != nil {
		r.Fatal(err)
	}
	for _, m := range others {
		must(m.Accept(r.slot, request.Commit))(r)
	}
	must(by.Apply(p))(r)
	for _, m := range joining {
		g, _, err := conversation.Join(m.config, r.slot, request.Welcome, []*mls.KeyPackageBundle{m.bundle})
		if err != nil {
			r.Fatal(err)
		}
		m.Group = g
	}
	r.keep(&request.Group)
}

// state returns what the hub shows to an account.
func (r *rig) state(u qpq.UserID) *conversation.State {
	r.Helper()
	reply := &wire.ChannelGroupReply{Slot: r.slot, GroupInfo: r.hub.GroupInfo, Manifest: r.hub.Manifest, AccessSlot: r.hub.AccessSlot}
	for _, k := range r.hub.AccessKeys {
		if k.User == u {
			reply.AccessKey = k.Data
		}
	}
	access := must(conversation.OpenAccess(r.vaults[u], u, qpq.ChannelID{1}, reply.AccessKey))(r)
	var chunks [][]byte
	for _, h := range reply.Manifest {
		c := r.chunks[string(h)]
		if c == nil {
			r.Fatal("the hub lacks a chunk")
		}
		chunks = append(chunks, c)
	}
	return must(conversation.OpenState(access, qpq.ChannelID{1}, reply, chunks))(r)
}

// known returns what somebody knows of the conversation, in the words of its hub.
func (r *rig) known(m *member) conversation.Known {
	r.Helper()
	k := conversation.Known{Founding: m.Conversation().Founding, Hub: wire.ChannelGroupReply{Policy: m.Conversation().Policy}}
	devices := must(m.Devices())(r)
	for _, x := range m.Conversation().Members {
		k.Hub.Members = append(k.Hub.Members, wire.Member{User: x.User, Role: x.Role, Devices: devices[x.User]})
	}
	return k
}

// rejoin has a device join by itself, and others accept it.
func (r *rig) rejoin(m *member, others ...*member) {
	r.Helper()
	state := r.state(m.self.Account.User)
	r.slot++
	g, p, request, err := conversation.Rejoin(m.config, m.self, qpq.ChannelID{1}, state, r.slot, r.known(others[0]))
	if err != nil {
		r.Fatal(err)
	}
	m.Group = g
	for _, o := range others {
		must(o.Accept(r.slot, request.Commit))(r)
	}
	must(g.Apply(p))(r)
	r.keep(&request.Group)
}

// says has one say something that all others read.
func (r *rig) says(from *member, to ...*member) {
	r.Helper()
	out := must(from.Encrypt([]byte("hello")))(r)
	for _, m := range to {
		text, _, err := m.Receive(out.Message)
		if err != nil {
			r.Fatal(err)
		}
		if string(text.Content) != "hello" || text.From.User != from.self.Account.User {
			r.Fatalf("%s said %q", text.From.User, text.Content)
		}
	}
}

var errRule = qpq.E(qpq.Denied, "rule", "")

func broke(err error) bool {
	return errors.Is(err, conversation.ErrVoid) || qpq.CodeOf(err) == errRule.Code || qpq.CodeOf(err) == wire.CodeDirect
}
