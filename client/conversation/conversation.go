// Package conversation is one conversation as a member sees it: an MLS group with the rules that its members hold each other
// to (docs/protocol.md, section 12).
//
// It does no I/O and reads no clock but the one in its Config. What changes a Group returns the MLS records that changed; the
// caller stores them, with Slot and Access, in one transaction, before it sends or shows what came with them.
package conversation

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/mls"
	"github.com/quicproquo/qpq/mls/message"
	"github.com/quicproquo/qpq/wire"
)

// Suite is that of all groups: MLKEM768X25519 with AES128GCM, SHA256 and Ed25519.
const Suite = mls.MLKEM768X25519_AES128GCM_SHA256_Ed25519

// The extension types of this protocol, for private use (RFC 9420, section 17.3).
const (
	// ExtensionStateVersion is of leaf nodes: the version of the account state, a uint64, when the leaf was made.
	ExtensionStateVersion message.ExtensionType = 0xF1D0
	// ExtensionConversation is of group contexts: a wire.Conversation.
	ExtensionConversation message.ExtensionType = 0xF1D1
	// ExtensionAccess is of group infos in welcomes: a wire.AccessGrant.
	ExtensionAccess message.ExtensionType = 0xF1D2
)

// Config is what conversations need from outside. It is not changed after first use.
type Config struct {
	// Account returns the newest state of an account that is known, nil if none is. Required.
	Account func(qpq.UserID) (*identity.AccountState, error)
	// Gone reports whether an account is known to have been deleted. Nil is never.
	Gone func(qpq.UserID) bool
	// Clock tells the time. Nil is time.Now.
	Clock func() time.Time
	// Rand is where own randomness is drawn. Nil is crypto/rand.
	Rand io.Reader
}

// maxMissing is how many messages of one sender in an epoch may be missing before the next one is read: those that disappeared, or that a server dropped,
// while a device was away.
const maxMissing = 1 << 16

// MLS returns what package mls is to go by.
func (c Config) MLS() mls.Config {
	return c.collecting(nil)
}

func (c Config) collecting(u *unknown) mls.Config {
	return mls.Config{Credentials: credentials{c, u}, Clock: c.Clock, Rand: c.Rand, Padding: SizeClass, MaxForward: maxMissing,
		Extensions: []message.ExtensionType{ExtensionStateVersion, ExtensionConversation}}
}

// Self is the device that sees the conversation.
type Self struct {
	Device  *identity.DeviceKey
	Account *identity.AccountState // the newest one of the own account
}

// Identity returns who the device is in MLS groups. The caller wipes its key.
func (s Self) Identity(c Config) (mls.Identity, error) {
	certificate := s.Account.Device(s.Device.ID())
	if certificate == nil {
		return mls.Identity{}, qpq.E(qpq.Denied, wire.CodeDeviceUnknown, "this device is not part of its account")
	}
	seed := s.Device.SigningKey()
	defer clear(seed)
	key, err := mls.ParseSignatureKey(c.MLS(), Suite, seed.Seed())
	if err != nil {
		return mls.Identity{}, err
	}
	return mls.Identity{Credential: mls.BasicCredential(certificate.Bytes()), Key: key}, nil
}

// Leaf returns what the device says of itself in leaf nodes.
func (s Self) Leaf() mls.LeafOptions {
	return mls.LeafOptions{Extensions: mls.Extensions{{Type: ExtensionStateVersion, Data: stateVersion(s.Account)}}}
}

func (s Self) member() wire.MemberDevice {
	return wire.MemberDevice{User: s.Account.User, Device: s.Device.ID()}
}

// Access is the key of what the hub keeps for devices that join by themselves, and the slot at which it was made.
type Access struct {
	Slot uint64
	Key  []byte // 32 bytes, secret
}

// Group is one device's view of a conversation. It is owned by one goroutine.
type Group struct {
	config       Config
	mls          *mls.Group
	founding     wire.Founding
	conversation wire.Conversation
	slot         uint64 // the last one accepted
	access       Access
	signer       qpq.UserID // who vouched for the group state by which this device joined
}

// GroupID returns the id of a channel's MLS group.
func GroupID(id qpq.ChannelID, generation uint32) []byte {
	return append(id[:], byte(generation>>24), byte(generation>>16), byte(generation>>8), byte(generation))
}

// Restore puts a group together from its records and from what was stored beside them.
func Restore(c Config, records map[string][]byte, slot uint64, access Access) (*Group, error) {
	g, err := mls.Restore(c.MLS(), records)
	if err != nil {
		return nil, err
	}
	return view(c, g, slot, access)
}

// view reads what the members of a group agree on.
func view(c Config, m *mls.Group, slot uint64, access Access) (*Group, error) {
	g := &Group{config: c, mls: m, slot: slot, access: access.clone()}
	var err error
	if g.conversation, err = conversationOf(m.Extensions()); err != nil {
		return nil, err
	}
	if g.founding, err = wire.Unmarshal[wire.Founding](g.conversation.Founding); err != nil {
		return nil, err
	}
	switch f := g.founding; {
	case !bytes.Equal(m.GroupID(), GroupID(f.Channel, 0)), f.Suite != uint16(m.CipherSuite()):
		return nil, qpq.E(qpq.Invalid, "wrong-group", "a group says that it is another conversation than it is")
	case f.Direct && (!slices.Equal(g.conversation.Members, foundingMembers(f)) || g.conversation.Title != ""):
		return nil, qpq.E(qpq.Invalid, "wrong-group", "a group says that it is a direct conversation, and has other members")
	}
	return g, nil
}

func (c Config) gone(u qpq.UserID) bool { return c.Gone != nil && c.Gone(u) }

func conversationOf(e mls.Extensions) (wire.Conversation, error) {
	data, ok := e.Find(ExtensionConversation)
	if !ok {
		return wire.Conversation{}, qpq.E(qpq.Invalid, "no-conversation", "a group is no conversation: its context says nothing of one")
	}
	c, err := wire.Unmarshal[wire.Conversation](data)
	for i := 1; err == nil && i < len(c.Members); i++ {
		if compareRoles(c.Members[i-1], c.Members[i]) >= 0 {
			err = qpq.E(qpq.Invalid, "no-conversation", "the members of a conversation are out of order")
		}
	}
	return c, err
}

func compareRoles(a, b wire.MemberRole) int { return compareUsers(a.User, b.User) }

func compareUsers(a, b qpq.UserID) int {
	if n := strings.Compare(a.Name, b.Name); n != 0 {
		return n
	}
	return strings.Compare(a.Domain, b.Domain)
}

// Founding returns what the conversation is from its beginning.
func (g *Group) Founding() wire.Founding { return g.founding }

// Conversation returns what members agree on besides the group.
func (g *Group) Conversation() wire.Conversation { return g.conversation }

// Slot returns the last slot that was accepted.
func (g *Group) Slot() uint64 { return g.slot }

// Access returns a copy of the access key, which outlives the group.
func (g *Group) Access() Access { return g.access.clone() }

// Epoch returns the number of the group's epoch.
func (g *Group) Epoch() uint64 { return g.mls.Epoch() }

// Authenticator returns what members can compare to see that they are in the same epoch (RFC 9420, section 8.7).
func (g *Group) Authenticator() []byte { return g.mls.EpochAuthenticator() }

// Removed reports whether this device was removed.
func (g *Group) Removed() bool { return g.mls.Removed() }

// Records returns the whole state of the group, for Restore.
func (g *Group) Records() []mls.Record { return g.mls.Records() }

// Wipe erases the group's secrets. It is unusable then.
func (g *Group) Wipe() {
	g.mls.Wipe()
	clear(g.access.Key)
}

// Role returns the role of an account, and whether it is a member.
func (g *Group) Role(u qpq.UserID) (wire.Role, bool) { return roleIn(g.conversation.Members, u) }

func roleIn(members []wire.MemberRole, u qpq.UserID) (wire.Role, bool) {
	i, found := slices.BinarySearchFunc(members, u, func(m wire.MemberRole, u qpq.UserID) int { return compareUsers(m.User, u) })
	if !found {
		return 0, false
	}
	return members[i].Role, true
}

// Devices returns the devices in the group, by account.
func (g *Group) Devices() (map[qpq.UserID][]qpq.DeviceID, error) {
	out := map[qpq.UserID][]qpq.DeviceID{}
	for m := range g.mls.Members() {
		d, err := deviceOf(m.Leaf)
		if err != nil {
			return nil, err
		}
		out[d.User] = append(out[d.User], d.Device)
	}
	return out, nil
}

// Found makes a conversation whose only device is this one. It returns the group, to be stored, and what its hub needs to know.
func Found(c Config, self Self, founding wire.Founding, title string) (*Group, *wire.ChannelCreate, error) {
	b, err := wire.Marshal(founding)
	if err != nil {
		return nil, nil, err
	}
	conversation := wire.Conversation{Founding: b, Title: title, Members: foundingMembers(founding)}
	data, err := wire.Marshal(conversation)
	if err != nil {
		return nil, nil, err
	}
	who, err := self.Identity(c)
	if err != nil {
		return nil, nil, err
	}
	m, err := mls.NewGroup(c.MLS(), Suite, who, mls.GroupOptions{ID: GroupID(founding.Channel, 0), Leaf: self.Leaf(),
		Extensions: mls.Extensions{{Type: ExtensionConversation, Data: data}}})
	if err != nil {
		return nil, nil, fmt.Errorf("found a conversation: %w", err)
	}
	access, err := exportAccess(m, founding.Channel, 0)
	if err != nil {
		return nil, nil, err
	}
	g := &Group{config: c, mls: m, founding: founding, conversation: conversation, access: access}
	info, err := m.GroupInfo(mls.GroupInfoOptions{WithoutTree: true, ExternalPub: true})
	if err != nil {
		return nil, nil, err
	}
	state, err := g.sealState(0, access, info, m.RatchetTree(), nil)
	if err != nil {
		return nil, nil, err
	}
	if state.AccessKeys, err = g.grant(conversation.Members, access); err != nil {
		return nil, nil, err
	}
	return g, &wire.ChannelCreate{Founding: b, Group: *state}, nil
}

// foundingMembers returns the accounts of a conversation at its beginning. In a direct one nobody is above the other.
func foundingMembers(f wire.Founding) []wire.MemberRole {
	if !f.Direct {
		return []wire.MemberRole{{User: f.Creator.User, Role: wire.RoleOwner}}
	}
	members := []wire.MemberRole{{User: f.Creator.User}}
	if !f.Peer.IsZero() && f.Peer != f.Creator.User { // left out of notes to oneself
		members = append(members, wire.MemberRole{User: f.Peer})
	}
	slices.SortFunc(members, compareRoles)
	return members
}
