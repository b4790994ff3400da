package node

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/mls/frame"
	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/wire"
)

// vector is a variable-size vector of MLS (RFC 9420, section 2.1.2).
func vector(b []byte) []byte {
	switch n := len(b); {
	case n < 1<<6:
		return append([]byte{byte(n)}, b...)
	case n < 1<<14:
		return append(binary.BigEndian.AppendUint16(nil, uint16(n)|1<<14), b...)
	default:
		return append(binary.BigEndian.AppendUint32(nil, uint32(n)|2<<30), b...)
	}
}

// private is a PrivateMessage as a server sees it.
func private(channel qpq.ChannelID, epoch uint64, content frame.ContentType, data []byte, ciphertext string) []byte {
	b := append([]byte{0, 1, 0, 2}, vector(groupID(channel))...)
	b = binary.BigEndian.AppendUint64(b, epoch)
	b = append(b, byte(content))
	b = append(b, vector(data)...)
	b = append(b, vector([]byte("sender"))...)
	return append(b, vector([]byte(ciphertext))...)
}

// external is the PublicMessage of a commit by which a device joins.
func external(channel qpq.ChannelID, epoch uint64, data []byte) []byte {
	b := append([]byte{0, 1, 0, 1}, vector(groupID(channel))...)
	b = binary.BigEndian.AppendUint64(b, epoch)
	b = append(b, byte(frame.NewMemberCommit))
	b = append(b, vector(data)...)
	return append(b, byte(frame.Commit), 0)
}

// welcome is a Welcome as a server sees it.
func welcome(text string) []byte {
	return slices.Concat([]byte{0, 1, 0, 3, 0xf0, 1}, vector([]byte("secrets")), vector([]byte(text)))
}

// room is a channel as a test talks about it.
type room struct {
	t      testing.TB
	id     qpq.ChannelID
	hub    [32]byte
	slots  map[uint64]wire.SlotReceipt
	epoch  map[uint64]uint64
	access map[uint64]uint64 // the slot at which the access key of a slot was made
	n      int
}

// member is somebody with a connection.
type member struct {
	*line
	*person
	as *device
}

func (m member) device() wire.MemberDevice {
	return wire.MemberDevice{User: m.user, Device: m.as.key.ID()}
}

// join registers somebody.
func (r *rig) join(name string) member {
	r.t.Helper()
	l := r.dial()
	p := l.register(name)
	return member{l, p, p.device}
}

// secondDevice enrols another device of somebody.
func (r *rig) secondDevice(m member) member {
	r.t.Helper()
	d, l := r.enrol(m.person)
	return member{l, m.person, d}
}

// crowd registers accounts that nobody uses, to be members.
func (r *rig) crowd(n int) (list []wire.MemberRole) {
	r.t.Helper()
	for i := range n {
		name := fmt.Sprintf("user%d", i)
		_, err := r.cfg.Store.Register(r.t.Context(), store.Registration{Name: name, Device: store.Device{ID: qpq.DeviceID{1}}, State: store.AccountState{Version: 1}, Now: now()})
		check(r.t, err)
		list = append(list, wire.MemberRole{User: r.local(name)})
	}
	return list
}

// groupAt is a group state that differs from slot to slot: one chunk is its own, one is that of every slot.
func groupAt(slot, access uint64) wire.GroupState {
	own, all := fmt.Appendf(nil, "chunk of slot %d", slot), []byte("chunk of all slots")
	hash := func(b []byte) []byte { h := sha256.Sum256(b); return h[:] }
	return wire.GroupState{GroupInfo: fmt.Appendf(nil, "info %d", slot), Manifest: [][]byte{hash(all), hash(own)}, Chunks: [][]byte{own, all}, AccessSlot: access}
}

func (r *rig) founding(by member, change func(*wire.Founding)) wire.ChannelCreate {
	f := wire.Founding{Channel: newChannelID(), Domain: domain, HubKey: [32]byte(r.cfg.SigningKey.Public().(ed25519.PublicKey)), Suite: 0xf001, Creator: by.device()}
	if change != nil {
		change(&f)
	}
	return wire.ChannelCreate{Founding: must(wire.Marshal(f)), Group: groupAt(0, 0)}
}

var lastChannel uint64

func newChannelID() (id qpq.ChannelID) {
	lastChannel++
	binary.BigEndian.PutUint64(id[:], lastChannel)
	return id
}

// create makes a channel and checks its receipt.
func (r *rig) create(by member, change func(*wire.Founding)) *room {
	r.t.Helper()
	return r.opened(by, r.founding(by, change))
}

func (r *rig) opened(by member, q wire.ChannelCreate) *room {
	r.t.Helper()
	reply := call(by.line, q)
	if !reply.Created || reply.Receipt == nil || reply.Receipt.Commit != sha256.Sum256(q.Founding) || !wire.VerifySlot(r.hubKey(), reply.Channel, *reply.Receipt) {
		r.t.Fatalf("created: %+v", reply)
	}
	return &room{t: r.t, id: reply.Channel, hub: r.hubKey(), slots: map[uint64]wire.SlotReceipt{0: *reply.Receipt}, epoch: map[uint64]uint64{0: 0}, access: map[uint64]uint64{}}
}

// commit is a request for a claim, by whoever is a member after the claim's parent.
func (x *room) commit(c wire.Claim) wire.ChannelCommit {
	x.n++
	access := x.access[c.Parent]
	if c.Rekeys {
		access = c.Slot
	}
	q := wire.ChannelCommit{Channel: x.id, Group: groupAt(c.Slot, access), Commit: private(x.id, x.epoch[c.Parent], frame.Commit, must(wire.Marshal(c)), fmt.Sprint("commit ", x.n))}
	if len(c.Joined) > 0 {
		q.Welcome = welcome(fmt.Sprint("welcome ", x.n))
	}
	return q
}

// rejoin is a request by which a device joins by itself.
func (x *room) rejoin(m member, slot, parent uint64) wire.ChannelCommit {
	c := wire.Claim{Slot: slot, Parent: parent, Joined: []wire.MemberDevice{m.device()}}
	return wire.ChannelCommit{Channel: x.id, Group: groupAt(slot, x.access[parent]), Commit: external(x.id, x.epoch[parent], must(wire.Marshal(c)))}
}

// take commits, and checks the receipt.
func (x *room) take(m member, q wire.ChannelCommit) wire.ChannelCommitReply {
	x.t.Helper()
	reply := call(m.line, q)
	r := reply.Receipt
	before, ok := x.slots[r.Slot-1]
	if r.Commit != sha256.Sum256(q.Commit) || !wire.VerifySlot(x.hub, x.id, r) || ok && r.Previous != wire.SlotHash(x.id, before) {
		x.t.Fatalf("the receipt of slot %d does not fit: %+v", r.Slot, r)
	}
	x.slots[r.Slot], x.epoch[r.Slot], x.access[r.Slot] = r, x.epoch[r.Parent]+1, q.Group.AccessSlot
	return reply
}

// message is a request to send text in an epoch.
func (x *room) message(text string, epoch uint64) wire.Send {
	x.n++
	q := wire.Send{Channel: x.id, Payload: private(x.id, epoch, frame.Application, nil, text)}
	binary.BigEndian.PutUint64(q.ID[:], uint64(x.n))
	return q
}

// say sends text and checks the receipt.
func (x *room) say(m member, text string, epoch uint64) wire.SendReply {
	x.t.Helper()
	q := x.message(text, epoch)
	reply := call(m.line, q)
	if !wire.VerifyMessage(x.hub, q, reply) {
		x.t.Fatalf("the receipt of %q does not fit: %+v", text, reply)
	}
	return reply
}

// add claims that members become such, with the devices given.
func add(slot, parent uint64, members ...member) wire.Claim {
	c := wire.Claim{Slot: slot, Parent: parent}
	for _, m := range members {
		c.Roles = append(c.Roles, wire.MemberRole{User: m.user})
		c.Joined = append(c.Joined, m.device())
	}
	return c
}

// inbox fetches all rows after a number, and writes them in words: kind, number in the channel, text.
func (m member) inbox(after uint64) (lines []string) {
	m.r.t.Helper()
	for _, row := range call(m.line, wire.InboxFetch{After: after}).Rows {
		lines = append(lines, words(row))
	}
	return lines
}

func words(row wire.InboxRow) string {
	return fmt.Sprintf("%s %d %s", row.Kind, row.ChannelSequence, lastVector(row.Payload))
}

// lastVector returns what a message of this rig ends with.
func lastVector(b []byte) string {
	for n := range min(64, len(b)) {
		if i := len(b) - n - 1; int(b[i]) == n {
			return string(b[i+1:])
		}
	}
	return ""
}
