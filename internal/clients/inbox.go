package clients

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quicproquo/qpq/client/arrivals"
	"github.com/quicproquo/qpq/wire"
)

// Position is how far an inbox was read, and acknowledged.
type Position struct{ Read, Acknowledged uint64 }

// Inbox is what a client does with its account's inbox. It costs a server what the SDK does: rows that come with pushes are taken from there, others are
// fetched, and acknowledgements wait for one another. Nothing is kept.
type Inbox struct {
	// Acknowledged, if not nil, is told up to which row the server has all acknowledgements. It is set before anything is read.
	Acknowledged func(upTo uint64)

	server wire.Caller
	take   func(wire.InboxRow) error
	queue  arrivals.Queue
	wake   chan struct{} // has room for one
	acks   atomic.Int64

	mu sync.Mutex // held by who reads
	at Position
}

// NewInbox returns an inbox that was read up to a position. What came since then is fetched where the first row that is pushed does not follow, or by
// Missed or Drain. Rows are handed to take in order, one after the other; those of messages that the client sent
// itself are left out, unless they are fetched. What take fails with ends the reading.
func NewInbox(server wire.Caller, at Position, take func(wire.InboxRow) error) *Inbox {
	b := &Inbox{server: server, take: take, wake: make(chan struct{}, 1), at: at}
	b.queue.Take(0)
	return b
}

// Pushed takes what a connection of the client pushes. It never blocks.
func (b *Inbox) Pushed(payload []byte) {
	p, err := wire.Unmarshal[wire.Push](payload)
	if err != nil {
		return
	}
	if e, ok := p.Event.(wire.InboxPush); ok {
		b.queue.Add(e)
		b.look()
	}
}

// Sent takes the row of a message of this client, which is not pushed to it; here it has no channel.
func (b *Inbox) Sent(r wire.SendReply) {
	if r.Inbox > 0 {
		b.queue.Add(wire.InboxPush{Sequence: r.Inbox, Row: &wire.InboxRow{Kind: wire.InboxKindMessage, Sequence: r.Inbox}})
		b.look()
	}
}

// Missed has the inbox be fetched: pushes may have been lost.
func (b *Inbox) Missed() {
	b.queue.Miss()
	b.look()
}

// look has Follow look at what came.
func (b *Inbox) look() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// Follow reads the inbox whenever something came, until ctx ends: then it returns nil, and what was read may not be acknowledged. What is under way then
// is brought to its end.
func (b *Inbox) Follow(ctx context.Context) error {
	work := context.WithoutCancel(ctx)
	var due <-chan time.Time
	var acked chan error // of the acknowledgement under way, nil for none: what comes does not wait for it
	for {
		var err error
		ripe := false
		select {
		case <-b.wake:
			err = b.read(work)
		case <-due:
			due, ripe = nil, true
		case err = <-acked:
			acked = nil
		case <-ctx.Done():
			if acked != nil {
				<-acked
			}
			return nil
		}
		at := b.Position()
		switch n := at.Read - at.Acknowledged; {
		case err != nil:
			if acked != nil {
				<-acked
			}
			return err
		case acked != nil:
		case n == 0:
			due = nil
		case ripe || n >= arrivals.AckEach:
			due, acked = nil, make(chan error, 1)
			go func(acked chan<- error) { acked <- b.Acknowledge(work) }(acked)
		case due == nil:
			due = time.After(arrivals.AckWithin)
		}
	}
}

// Drain fetches and acknowledges all there is.
func (b *Inbox) Drain(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queue.Take(0)
	return b.fetch(ctx)
}

// Acknowledge tells the server what was read.
func (b *Inbox) Acknowledge(ctx context.Context) error {
	at := b.Position()
	if at.Read <= at.Acknowledged {
		return nil
	}
	if err := b.tell(ctx, at.Read); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.told(at.Read)
	return nil
}

// Position returns how far the inbox was read.
func (b *Inbox) Position() Position {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.at
}

// Acknowledgements returns how many there were.
func (b *Inbox) Acknowledgements() int64 { return b.acks.Load() }

// read takes what was pushed, or fetches all there is where that is not everything.
func (b *Inbox) read(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	rows, whole := b.queue.Take(b.at.Read)
	if !whole {
		return b.fetch(ctx)
	}
	err := b.takeAll(rows)
	if err != nil {
		b.queue.Miss()
	}
	return err
}

// fetch is Drain for who holds mu and emptied the queue.
func (b *Inbox) fetch(ctx context.Context) error {
	err := b.pages(ctx)
	if err != nil {
		b.queue.Miss()
	}
	return err
}

func (b *Inbox) pages(ctx context.Context) error {
	for {
		reply, err := wire.Call(ctx, b.server, wire.InboxFetch{After: b.at.Read, Acknowledged: b.at.Acknowledged})
		if err != nil {
			return err
		}
		if err := b.takeAll(reply.Rows); err != nil {
			return err
		}
		if err := b.acknowledge(ctx); err != nil || len(reply.Rows) == 0 || b.at.Read >= reply.Head {
			return err
		}
	}
}

func (b *Inbox) takeAll(rows []wire.InboxRow) error {
	for _, row := range rows {
		if row.Sequence <= b.at.Read {
			continue
		}
		if sent := row.Channel.IsZero(); !sent {
			if err := b.take(row); err != nil {
				return err
			}
		}
		b.at.Read = row.Sequence
	}
	return nil
}

// acknowledge is Acknowledge for who holds mu.
func (b *Inbox) acknowledge(ctx context.Context) error {
	if b.at.Read <= b.at.Acknowledged {
		return nil
	}
	if err := b.tell(ctx, b.at.Read); err != nil {
		return err
	}
	b.told(b.at.Read)
	return nil
}

// tell tells the server up to where the inbox was read.
func (b *Inbox) tell(ctx context.Context, upTo uint64) error {
	b.acks.Add(1)
	_, err := wire.Call(ctx, b.server, wire.InboxAck{Sequence: upTo})
	return err
}

// told notes that the server knows. The caller holds mu.
func (b *Inbox) told(upTo uint64) {
	if upTo <= b.at.Acknowledged {
		return
	}
	b.at.Acknowledged = upTo
	if b.Acknowledged != nil {
		b.Acknowledged(upTo)
	}
}
