package loadtest

import (
	"context"
	"encoding/binary"
	"sync"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/internal/clients"
	"github.com/quicproquo/qpq/wire"
)

// inbox is what a client does with its account's inbox: it takes rows as they are pushed, as the SDK does, and acknowledges them together.
type inbox struct {
	*clients.Inbox
	person *person
	taken  []taken // and not acknowledged yet; held by who reads

	mu    sync.Mutex
	seats map[qpq.ChannelID]*seat // what takes the rows of each conversation

	fetching sync.WaitGroup // downloads under way
}

// taken is a message of this run that was delivered in a row.
type taken struct {
	row uint64
	due time.Time
}

// open gives a person an inbox. Its conversations are added before it is followed.
func (p *person) open() {
	b := &inbox{person: p, seats: map[qpq.ChannelID]*seat{}}
	b.Inbox = clients.NewInbox(p, clients.Position{}, b.take)
	b.Inbox.Acknowledged = b.acknowledged
	p.inbox = b
}

// follow reads the inbox whenever something came, until ctx ends, and acknowledges all that was read.
func (b *inbox) follow(ctx context.Context) {
	for ctx.Err() == nil {
		if err := b.Follow(ctx); err != nil {
			b.person.fleet.record.fail("fetch", err)
			b.retry(ctx)
		}
	}
	b.person.fleet.record.fail("acknowledge", b.Acknowledge(context.WithoutCancel(ctx)))
}

// retry has the inbox be read again after a moment, since what failed may have been all that it was told.
func (b *inbox) retry(ctx context.Context) {
	select {
	case <-time.After(time.Second):
		b.Missed()
	case <-ctx.Done():
	}
}

// take hands a row to its conversation.
func (b *inbox) take(row wire.InboxRow) error {
	b.mu.Lock()
	s := b.seats[row.Channel]
	b.mu.Unlock()
	if s == nil || row.Kind == wire.InboxKindMessage && row.From != nil && row.From.User == b.person.user {
		return nil
	}
	if row.Kind != wire.InboxKindMessage {
		s.other(row)
		return nil
	}
	due, record := dueOf(row.ID), b.person.fleet.record
	if began := record.started(); began.IsZero() || due.Before(began) {
		return nil // of an earlier run
	}
	if err := s.read(row); err != nil {
		record.fail("decrypt", err)
		return nil
	}
	s.room.delivered.Add(1)
	record.note(seriesDelivered, time.Since(due), 0)
	b.taken = append(b.taken, taken{row.Sequence, due})
	if f, ok := b.person.fleet.files.LoadAndDelete(row.ID); ok {
		b.fetching.Go(func() { s.download(f.(*file), due) })
	}
	return nil
}

// acknowledged notes that the server has the acknowledgements of all rows up to a number.
func (b *inbox) acknowledged(upTo uint64) {
	n := 0
	for ; n < len(b.taken) && b.taken[n].row <= upTo; n++ {
		b.person.fleet.record.note(seriesAcknowledged, time.Since(b.taken[n].due), 0)
	}
	b.taken = b.taken[n:]
}

// messageID is when a message was due, and a number.
func messageID(due time.Time, n uint64) (id [16]byte) {
	binary.BigEndian.PutUint64(id[:], uint64(due.UnixNano()))
	binary.BigEndian.PutUint64(id[8:], n)
	return id
}

// dueOf returns when a message was due.
func dueOf(id [16]byte) time.Time { return time.Unix(0, int64(binary.BigEndian.Uint64(id[:]))) }
