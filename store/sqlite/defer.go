package sqlite

import (
	"time"

	"github.com/quicproquo/qpq/internal/wal"
)

const (
	company  = 20 * time.Millisecond // after an update that others wait for, the next is expected for so long: one comes at 50 a second
	longWait = 20 * time.Millisecond // for which the first whose commit was not synced waits for its answer
	retry    = time.Second           // after a sync that failed
)

// deferral has transactions of what can wait alone be committed without a sync of their own, where updates come that others wait for: whose next one would have to
// wait for that sync. They are answered when they are durable: with the next commit that is synced, or when none comes.
type deferral struct {
	log     *wal.Log
	updates []*update // committed, and not answered
	first   time.Time // when the first of them was committed
	awaited time.Time // when an update came last that others wait for
}

// newDeferral returns that of a connection, which writes.
func newDeferral(c *conn) (*deferral, error) {
	if err := c.db.Exec(`SELECT 1 FROM sqlite_schema`); err != nil { // opens the log
		return nil, kinded(err)
	}
	l, err := wal.Of(c.db)
	return &deferral{log: l}, kinded(err)
}

// begin decides whether the commit of a batch is to be synced.
func (d *deferral) begin(batch []*update) {
	now := time.Now()
	if !batch[0].later {
		d.awaited = now
	}
	d.log.Begin(batch[0].later && now.Sub(d.awaited) < company && d.left(now) > 0)
}

// left returns how long the log may stay behind.
func (d *deferral) left(now time.Time) time.Duration {
	if len(d.updates) == 0 {
		return longWait
	}
	return d.first.Add(longWait).Sub(now)
}

// due tells when the log is to be synced where nothing else comes. A nil channel never does.
func (d *deferral) due() <-chan time.Time {
	switch {
	case len(d.updates) > 0:
		return time.After(d.left(time.Now()))
	case d.log.Behind():
		return time.After(retry)
	}
	return nil
}

// keep holds on to updates until they are durable.
func (d *deferral) keep(batch []*update) {
	if len(d.updates) == 0 {
		d.first = time.Now()
	}
	d.updates = append(d.updates, batch...)
}

// release returns what is held on to, to be answered.
func (d *deferral) release() []*update {
	updates := d.updates
	d.updates = nil
	return updates
}
