package loadtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/conversation"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/internal/clients"
	"github.com/quicproquo/qpq/mls"
	"github.com/quicproquo/qpq/wire"
)

// The series of scenarios that send messages.
const (
	seriesAccepted     = "accepted"     // durable at the server, whose receipt came
	seriesDelivered    = "delivered"    // decrypted by a receiver
	seriesAcknowledged = "acknowledged" // by a receiver, durably
)

// room is a conversation.
type room struct {
	name    string // in the book
	id      qpq.ChannelID
	direct  bool
	members []*person
	seats   []*seat // one for each member
	epoch   uint64

	turns     atomic.Uint64 // messages begun
	accepted  atomic.Int64
	delivered atomic.Int64 // to each of the others
}

// seat is a member in a room.
type seat struct {
	room   *room
	person *person

	mu     sync.Mutex // held by who uses the fields below
	group  *conversation.Group
	bundle *mls.KeyPackageBundle // by which it is going to join
	config conversation.Config
	failed error
}

// seatAll prepares rooms of so many members each, of all people, each in one of them.
func (r *runner) seatAll(ctx context.Context, kind string, size int) error {
	f := r.fleet
	rooms := make([]*room, len(f.people)/size)
	for _, p := range f.people {
		if p.inbox == nil {
			p.open()
		}
	}
	for i := range rooms {
		rooms[i] = &room{name: fmt.Sprintf("%s/%d/%d", kind, size, i), direct: kind == "dm", members: f.people[i*size : (i+1)*size]}
		for _, p := range rooms[i].members {
			rooms[i].seats = append(rooms[i].seats, &seat{room: rooms[i], person: p})
		}
	}
	if err := f.connectAll(ctx); err != nil {
		return err
	}
	found := f.foundOpaque
	if !r.plan.Opaque {
		found = f.circle().found
	}
	var done atomic.Int64
	err := clients.Together(ctx, len(rooms), 16, func(i int) error {
		if err := found(ctx, rooms[i]); err != nil {
			return fmt.Errorf("found a conversation: %w", err)
		}
		f.say("founding conversations", int(done.Add(1)), len(rooms))
		return nil
	})
	r.rooms = append(r.rooms, rooms...)
	r.setup.Conversations = len(r.rooms)
	return err
}

// sit makes the inboxes of all members know a room, which has its id from here on.
func (k *room) sit(id qpq.ChannelID) {
	k.id = id
	for _, s := range k.seats {
		b := s.person.inbox
		b.mu.Lock()
		b.seats[id] = s
		b.mu.Unlock()
	}
}

// emptyAll has the inboxes of a room be read.
func (k *room) emptyAll(ctx context.Context) error {
	for _, s := range k.seats {
		if err := s.person.inbox.Drain(ctx); err != nil {
			return err
		}
	}
	return nil
}

var messages atomic.Uint64

// next returns the member whose turn it is to write.
func (k *room) next() *seat { return k.seats[k.turns.Add(1)%uint64(len(k.seats))] }

// send has a member send a message that was due at a time, with a file or without.
func (s *seat) send(ctx context.Context, due time.Time, file *file) {
	f, k := s.person.fleet, s.room
	q := wire.Send{Channel: k.id, ID: messageID(due, messages.Add(1))}
	if file != nil {
		q.Blobs = [][]byte{file.blob[:]}
		f.files.Store(q.ID, file)
	}
	var err error
	if q.Payload, err = s.write(q.ID, f.plan.Payload); err != nil {
		f.record.fail("encrypt", err)
		return
	}
	reply, err := wire.Call(ctx, s.person, q)
	if err == nil && !f.plan.Opaque && !wire.VerifyMessage(f.info.SigningKey, q, reply) {
		err = qpq.E(qpq.Damaged, "bad-receipt", "the receipt of a message does not bear the server's signature")
	}
	if err != nil {
		f.record.fail("send", err)
		return
	}
	s.person.inbox.Sent(reply)
	k.accepted.Add(1)
	f.record.note(seriesAccepted, time.Since(due), 0)
}

// write makes a message: one that nobody can read, or a text that says which one it is.
func (s *seat) write(id [16]byte, size int) ([]byte, error) {
	if s.group == nil {
		return envelope(s.room.id, s.room.epoch, size), nil
	}
	text := make([]byte, size)
	copy(text, id[:])
	s.mu.Lock()
	defer s.mu.Unlock()
	out, err := s.group.Encrypt(text)
	if err != nil {
		return nil, err
	}
	return out.Message, nil
}

// read takes a message of somebody else.
func (s *seat) read(row wire.InboxRow) error {
	if s.group == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	text, _, err := s.group.Receive(row.Payload)
	if err != nil {
		return err
	}
	if text == nil || len(text.Content) < leastText || [16]byte(text.Content[:leastText]) != row.ID {
		return qpq.E(qpq.Damaged, "other-text", "a message was decrypted to something else than was sent")
	}
	return nil
}

// other takes a row that is no message: a welcome to join by, or somebody else's commit.
func (s *seat) other(row wire.InboxRow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if row.Receipt == nil || s.bundle == nil && s.group == nil {
		return
	}
	var err error
	switch {
	case row.Kind == wire.InboxKindWelcome && s.group == nil && row.Device == s.person.device.ID():
		s.group, _, err = conversation.Join(s.config, row.Receipt.Slot, row.Payload, []*mls.KeyPackageBundle{s.bundle})
	case row.Kind == wire.InboxKindCommit && s.group != nil && row.Receipt.Slot > s.group.Slot() && (row.From == nil || row.From.User != s.person.user):
		_, err = s.group.Accept(row.Receipt.Slot, row.Payload)
	}
	s.failed = errors.Join(s.failed, err)
}

// circle is people who know each other's accounts.
type circle struct {
	fleet  *fleet
	config conversation.Config
}

func (f *fleet) circle() *circle {
	states := make(map[qpq.UserID]*identity.AccountState, len(f.people))
	for _, p := range f.people {
		states[p.user] = p.state
	}
	return &circle{fleet: f, config: conversation.Config{Account: func(u qpq.UserID) (*identity.AccountState, error) { return states[u], nil }}}
}

// mostAdded is how many devices one commit adds: what all of them hand in has to fit it.
const mostAdded = 256

// found has the first member of a room found its conversation and add the others, who join by what comes to their inboxes. Groups are kept
// in memory alone, so that each run founds its own; of two people who have a direct conversation already, one of two members.
func (c *circle) found(ctx context.Context, k *room) error {
	first := k.seats[0]
	made, err := c.begin(ctx, k)
	if err == nil && !made {
		k.direct = false
		made, err = c.begin(ctx, k)
	}
	if err != nil || !made {
		return err
	}
	first.mu.Lock()
	for left, slot := k.seats[1:], uint64(1); len(left) > 0 && err == nil; slot++ {
		some := left[:min(len(left), mostAdded)]
		left = left[len(some):]
		err = c.add(ctx, first, slot, some)
	}
	first.mu.Unlock()
	if err == nil {
		err = k.emptyAll(ctx)
	}
	for _, s := range k.seats {
		s.mu.Lock()
		if err == nil && s.failed == nil && s.group == nil {
			s.failed = fmt.Errorf("%s was added to a conversation, and no welcome came", s.person.user)
		}
		err = errors.Join(err, s.failed)
		s.mu.Unlock()
	}
	return err
}

// begin founds the conversation with its first member alone. It reports false where two people have a direct one already.
func (c *circle) begin(ctx context.Context, k *room) (bool, error) {
	first := k.seats[0]
	founding := wire.Founding{Domain: c.fleet.info.Domain, HubKey: c.fleet.info.SigningKey, Suite: uint16(conversation.Suite),
		Creator: wire.MemberDevice{User: first.person.user, Device: first.person.device.ID()}}
	rand.Read(founding.Channel[:])
	if k.direct {
		founding.Direct, founding.Peer = true, k.members[1].user
	}
	g, request, err := conversation.Found(c.config, first.person.self(), founding, "")
	if err != nil {
		return false, err
	}
	var reply wire.ChannelCreateReply
	err = patiently(ctx, func() (err error) { reply, err = wire.Call(ctx, first.person, *request); return err })
	if err != nil || reply.Channel != founding.Channel {
		return false, err
	}
	first.group = g
	k.sit(founding.Channel)
	return true, nil
}

// add has the first member, whose seat the caller holds, add others by a commit of a slot.
func (c *circle) add(ctx context.Context, first *seat, slot uint64, others []*seat) error {
	var change conversation.Change
	for _, s := range others {
		who, err := s.person.self().Identity(c.config)
		if err != nil {
			return err
		}
		b, err := mls.NewKeyPackage(c.config.MLS(), conversation.Suite, who, mls.KeyPackageOptions{Leaf: s.person.self().Leaf()})
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.bundle, s.config = b, c.config
		s.mu.Unlock()
		change.Add = append(change.Add, b.KeyPackage)
		if !first.room.direct {
			change.Members = append(change.Members, wire.MemberRole{User: s.person.user})
		}
	}
	p, request, err := first.group.Commit(slot, change)
	if err != nil {
		return err
	}
	if err := patiently(ctx, func() error { _, err := wire.Call(ctx, first.person, *request); return err }); err != nil {
		return err
	}
	_, err = first.group.Apply(p)
	return err
}

func (p *person) self() conversation.Self {
	return conversation.Self{Device: p.device, Account: p.state}
}
