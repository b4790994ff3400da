package loadtest

import (
	"context"
	"encoding/binary"
	"sync"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/wire"
)

// inbox is what a client does with its account's inbox: it is told of rows, reads them, and acknowledges them.
type inbox struct {
	person *person
	wake   chan struct{} // has room for one

	mu    sync.Mutex // held by who reads
	after uint64
	seats map[qpq.ChannelID]*seat // what takes the rows of each conversation

	fetching sync.WaitGroup // downloads under way
}

// open gives a person an inbox. Its conversations are added before it is followed.
func (p *person) open() {
	p.inbox = &inbox{person: p, wake: make(chan struct{}, 1), seats: map[qpq.ChannelID]*seat{}}
}

// pushed is what the person's connection calls.
func (b *inbox) pushed([]byte) {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// follow reads the inbox whenever something came, until ctx ends.
func (b *inbox) follow(ctx context.Context) {
	for {
		select {
		case <-b.wake:
			if err := b.drain(ctx); err != nil {
				b.person.fleet.record.fail("fetch", err)
				b.retry(ctx)
			}
		case <-ctx.Done():
			return
		}
	}
}

// retry has the inbox be read again after a moment, since what failed may have been all that it was told.
func (b *inbox) retry(ctx context.Context) {
	select {
	case <-time.After(time.Second):
		b.pushed(nil)
	case <-ctx.Done():
	}
}

// drain reads and acknowledges what there is. It is not cut off by the end of a measurement.
func (b *inbox) drain(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		reply, err := ask(ctx, b.person, wire.InboxFetch{After: b.after, Acknowledged: b.after})
		if err != nil || len(reply.Rows) == 0 {
			return err
		}
		var due []time.Time
		for _, row := range reply.Rows {
			b.after = row.Sequence
			if at := b.take(row); !at.IsZero() {
				due = append(due, at)
			}
		}
		if _, err := ask(ctx, b.person, wire.InboxAck{Sequence: b.after}); err != nil {
			return err
		}
		for _, at := range due {
			b.person.fleet.record.note(seriesAcknowledged, time.Since(at), 0)
		}
		if b.after >= reply.Head {
			return nil
		}
	}
}

// take hands a row to its conversation. It returns when the message was due, if it is one of this run that came in full.
func (b *inbox) take(row wire.InboxRow) time.Time {
	s := b.seats[row.Channel]
	if s == nil || row.Kind == wire.InboxKindMessage && row.From != nil && row.From.User == b.person.user {
		return time.Time{}
	}
	if row.Kind != wire.InboxKindMessage {
		s.other(row)
		return time.Time{}
	}
	due, record := dueOf(row.ID), b.person.fleet.record
	if began := record.started(); began.IsZero() || due.Before(began) {
		return time.Time{} // of an earlier run
	}
	if err := s.read(row); err != nil {
		record.fail("decrypt", err)
		return time.Time{}
	}
	s.room.delivered.Add(1)
	record.note(seriesDelivered, time.Since(due), 0)
	if f, ok := b.person.fleet.files.LoadAndDelete(row.ID); ok {
		b.fetching.Go(func() { s.download(f.(*file), due) })
	}
	return due
}

// messageID is when a message was due, and a number.
func messageID(due time.Time, n uint64) (id [16]byte) {
	binary.BigEndian.PutUint64(id[:], uint64(due.UnixNano()))
	binary.BigEndian.PutUint64(id[8:], n)
	return id
}

// dueOf returns when a message was due.
func dueOf(id [16]byte) time.Time { return time.Unix(0, int64(binary.BigEndian.Uint64(id[:]))) }
