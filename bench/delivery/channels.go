package main

import (
	"context"
	"encoding/binary"
	"sync/atomic"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/internal/clients"
	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/wire"
)

// payloadSize is how many bytes an opaque payload has: those of a sentence or two, encrypted and padded.
const payloadSize = 512

// envelope is what a server sees of an application message of epoch 0, and accepts: a header and bytes.
func envelope(channel qpq.ChannelID, size int) []byte {
	b := append([]byte{0, 1, 0, 2, 20}, channel[:]...)
	b = append(b, 0, 0, 0, 0)                  // the group's generation
	b = binary.BigEndian.AppendUint64(b, 0)    // epoch
	b = append(b, 1, 0, 4, 's', 'e', 'n', 'd') // an application message, no authenticated data, who sends it
	rest := size - len(b) - 2
	b = binary.BigEndian.AppendUint16(b, uint16(rest)|1<<14)
	return append(b, make([]byte, rest)...)
}

var channels atomic.Uint64

// channelID returns an id that was not used before. Like real ones, it tells nothing of when it was made.
func channelID() (id qpq.ChannelID) {
	n := channels.Add(1)
	binary.BigEndian.PutUint64(id[:], n*0x9e3779b97f4a7c15)
	binary.BigEndian.PutUint64(id[8:], n)
	return id
}

// found makes a channel of accounts, whose one device each is known, in a store.
func found(ctx context.Context, s *store.Store, members []address) (qpq.ChannelID, error) {
	n := store.NewChannel{ID: channelID(), Founding: make([]byte, 200), Account: members[0].name, Device: members[0].device, Now: time.Now(),
		Slot:  store.Slot{Previous: make([]byte, 32), Hash: make([]byte, 32), Signature: make([]byte, 64), Time: time.Now()},
		Group: store.GroupState{Info: make([]byte, 600), Keys: map[string][]byte{}}}
	for _, m := range members {
		n.Roster.Put(m.name, 0)
		n.Roster.Join(m.name, m.device)
		n.Group.Keys[m.name] = make([]byte, 1300)
	}
	id, _, _, err := s.CreateChannel(ctx, n)
	return id, err
}

// address is an account with its one device.
type address struct {
	name   string
	device qpq.DeviceID
}

func (p *person) address() address { return address{p.user.Name, p.device.ID()} }

// foundAll makes channels of n members out of all people, each in one.
func foundAll(ctx context.Context, s *store.Store, people []*person, n int) ([]qpq.ChannelID, error) {
	ids := make([]qpq.ChannelID, len(people)/n)
	return ids, together(len(ids), 64, func(i int) (err error) {
		var members []address
		for _, p := range people[i*n : (i+1)*n] {
			members = append(members, p.address())
		}
		ids[i], err = found(ctx, s, members)
		return err
	})
}

// messageID is when a message was due, and a number.
func messageID(due time.Time, n int) (id [16]byte) {
	binary.BigEndian.PutUint64(id[:], uint64(due.UnixNano()))
	binary.BigEndian.PutUint64(id[8:], uint64(n))
	return id
}

// dueOf returns when a message was due.
func dueOf(id [16]byte) time.Time { return time.Unix(0, int64(binary.BigEndian.Uint64(id[:]))) }

// inbox is that of a person.
type inbox struct {
	*clients.Inbox
	person *person
	took   func(wire.InboxRow) // nil where nobody looks at rows; it changes while nobody reads
}

func newInbox(p *person) *inbox {
	b := &inbox{person: p}
	b.Inbox = clients.NewInbox(patient{p}, clients.Position{}, func(row wire.InboxRow) error {
		if b.took != nil {
			b.took(row)
		}
		return nil
	})
	return b
}
