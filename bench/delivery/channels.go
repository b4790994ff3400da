package main

import (
	"context"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quicproquo/qpq"
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

// inbox is what a program does with its account's inbox: it takes the rows that are pushed to it, fetches them where it missed any, and acknowledges
// them, together those of a second.
type inbox struct {
	person *person
	took   func(wire.InboxRow)
	wake   chan struct{} // has room for one
	acks   atomic.Int64  // calls

	mu     sync.Mutex
	after  uint64 // what was read
	acked  uint64
	missed bool // something is there that was not pushed
}

// ackAfter is how long a program waits for more before it acknowledges what it has.
const ackAfter = time.Second

func newInbox(p *person, took func(wire.InboxRow)) *inbox {
	return &inbox{person: p, wake: make(chan struct{}, 1), took: took, missed: true}
}

// pushed is what the person's connection calls.
func (b *inbox) pushed(payload []byte) {
	p, err := wire.Unmarshal[wire.Push](payload)
	if err != nil {
		return
	}
	in, ok := p.Event.(wire.InboxPush)
	if !ok {
		return
	}
	b.mu.Lock()
	switch {
	case in.Sequence > 0 && in.Sequence <= b.after:
	case in.Row != nil && in.Sequence == b.after+1 && !b.missed:
		b.take(*in.Row)
	default:
		b.missed = true
	}
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// take takes a row. The caller holds mu.
func (b *inbox) take(row wire.InboxRow) {
	b.after = row.Sequence
	if b.took != nil {
		b.took(row)
	}
}

// follow reads the inbox whenever something came, until ctx ends.
func (b *inbox) follow(ctx context.Context) error {
	var due <-chan time.Time
	for {
		select {
		case <-b.wake:
			if err := b.catchUp(ctx); err != nil {
				return err
			}
			if due == nil {
				due = time.After(ackAfter)
			}
		case <-due:
			due = nil
			if err := b.acknowledge(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// catchUp fetches what was not pushed.
func (b *inbox) catchUp(ctx context.Context) error {
	b.mu.Lock()
	missed := b.missed
	b.mu.Unlock()
	if !missed {
		return nil
	}
	return b.drain(ctx)
}

// acknowledge says up to where the inbox was read.
func (b *inbox) acknowledge(ctx context.Context) error {
	b.mu.Lock()
	after := b.after
	b.mu.Unlock()
	if after == b.acked {
		return nil
	}
	b.acks.Add(1)
	b.acked = after
	_, err := call(context.WithoutCancel(ctx), b.person, wire.InboxAck{Sequence: after})
	return err
}

// drain fetches and acknowledges what there is. It is not cut off by the end of a measurement.
func (b *inbox) drain(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	for {
		b.mu.Lock()
		after := b.after
		b.missed = false // what is pushed from here on, and does not follow, sets it again
		b.mu.Unlock()
		reply, err := call(ctx, b.person, wire.InboxFetch{After: after, Acknowledged: b.acked})
		if err != nil {
			return err
		}
		b.mu.Lock()
		for _, row := range reply.Rows {
			if row.Sequence > b.after {
				b.take(row)
			}
		}
		done := len(reply.Rows) == 0 || b.after >= reply.Head
		b.mu.Unlock()
		if err := b.acknowledge(ctx); err != nil || done {
			return err
		}
	}
}
