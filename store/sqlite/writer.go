package sqlite

import (
	"cmp"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/store"
)

// write is the writer: it owns c and ends when the queues are closed and empty.
func (e *Engine) write(c *conn) {
	defer close(e.written)
	defer c.close()
	var batch, later []*update
	for open := true; open; {
		if batch, later, open = e.next(batch[:0], later); len(batch)+len(later) == 0 {
			e.sync()
			continue
		}
		if e.alone++; len(batch) > 0 {
			e.alone = 0
		}
		batch = append(batch, later...)
		rest := batch
		for first := true; first || len(rest) > 0 && !rest[0].later; first = false {
			e.log.gate.Lock()
			rest = e.commit(c, rest)
			e.log.bound()
			e.log.gate.Unlock()
		}
		later = append(later[:0], rest...)
		clear(batch)
	}
}

// commit carries out a batch in one transaction, has its receipts signed and answers it. If a failure undoes the whole
// transaction, all that ran share it, and the updates not reached are returned for the next one.
//
// Savepoints cost a fifth of the rate, and updates that fail have rarely written before. So a batch runs
// without; if one update must be undone, all is undone and the batch runs again, each in a savepoint.
func (e *Engine) commit(c *conn, batch []*update) (rest []*update) {
	start := time.Now()
	e.deferral.begin(batch)
	ran, err := e.try(c, batch, (*conn).apply)
	if err == errUndo {
		ran, err = e.try(c, batch, (*conn).applyApart)
	}
	if err == nil {
		err = c.run(`COMMIT`)
	}
	if err != nil && !c.db.GetAutocommit() {
		_ = c.run(`ROLLBACK`) // the error before it is the one to tell
	}
	took := time.Since(start)
	err = e.explain(err)
	if reached := e.deferral.log.End(err == nil); reached {
		err = unsure(err)
	}
	if err == nil {
		c.receipts.Sign()
	}
	c.receipts = store.Receipts{} // they hold on to messages
	behind := e.deferral.log.Behind()
	e.stats.committed(err, took, err == nil && behind && batch[0].later)
	switch {
	case err != nil:
		e.answer(batch[:ran], err)
	case behind:
		e.deferral.keep(batch[:ran])
	default:
		e.answer(batch[:ran], nil)
	}
	if !behind {
		e.answer(e.deferral.release(), nil)
	} else if !batch[0].later { // it wrote nothing, or failed
		e.sync()
	}
	return batch[ran:]
}

// sync makes durable what was committed, and answers it.
func (e *Engine) sync() {
	if !e.deferral.log.Behind() {
		return
	}
	start := time.Now()
	err := unsure(e.explain(kinded(e.deferral.log.Settle())))
	e.stats.synced(err, time.Since(start))
	e.answer(e.deferral.release(), err)
}

// unsure returns an error after which all may be there all the same, unlike after one of another kind; nil stays nil.
func unsure(err error) error {
	var known *qpq.Error
	if errors.As(err, &known) {
		return qpq.Wrap(qpq.Unavailable, known.Code, known.Text, err)
	}
	return err
}

// try runs a batch in a new transaction and returns how far it came: of updates that can wait it carries out one, and then more until it is enough.
// It returns errUndo, with nothing done, if the way to apply updates was too weak.
func (e *Engine) try(c *conn, batch []*update, apply func(*conn, *update) error) (ran int, err error) {
	c.receipts = store.Receipts{}
	if err := c.run(`BEGIN IMMEDIATE`); err != nil {
		return len(batch), err
	}
	before, others := c.db.TotalChanges(), int64(-1)
	for i, u := range batch {
		if changed := c.db.TotalChanges() - before; u.later && others < 0 {
			others = changed
		} else if u.later && e.enough(changed-others, others) {
			return i, nil
		}
		if !u.take() {
			continue
		}
		if err := apply(c, u); err == errUndo {
			if err := c.run(`ROLLBACK`); err != nil {
				return i + 1, err
			}
			return 0, errUndo
		} else if err != nil {
			return i + 1, err
		}
	}
	return len(batch), nil
}

// enough reports whether a transaction is to end in which updates that can wait changed so many rows, and others so many.
func (e *Engine) enough(later, others int64) bool {
	if len(e.queue) > 0 || e.alone == 0 {
		return later >= max(others, maxLater)
	}
	return later >= min(int64(maxLater)<<min(e.alone/doubleEach, 8), mostLater)
}

// take reports whether the writer decides about u.
func (u *update) take() bool {
	return u.owner.CompareAndSwap(nobody, writer) || u.owner.Load() == writer
}

// answer tells every caller the outcome: its own error, or that of the commit or of its sync.
func (e *Engine) answer(batch []*update, err error) {
	ok, failed := 0, 0
	for _, u := range batch {
		if !u.take() {
			continue
		}
		if u.err == nil && u.panicked == nil {
			u.err = err
		} else if qpq.CodeOf(u.err) == codeFailing {
			u.err = e.explain(u.err)
		}
		if u.err != nil || u.panicked != nil {
			failed++
		} else {
			ok++
		}
	}
	e.stats.answered(ok, failed)
	for _, u := range batch {
		close(u.done)
	}
}

// errUndo says that an update failed and has written, and that only undoing the whole transaction helps.
var errUndo = errors.New("undo the transaction")

// apply runs one update. Its error is the transaction's; that of the update is in u.
func (c *conn) apply(u *update) error {
	before := c.db.TotalChanges()
	u.err, u.panicked = contained(u.fn, c)
	switch {
	case c.db.GetAutocommit(): // SQLite gave up on the transaction: disk full, I/O error
		return cmp.Or(u.err, error(errRolledBack))
	case (u.err != nil || u.panicked != nil) && c.db.TotalChanges() != before:
		return errUndo
	}
	return nil
}

// applyApart runs one update in a savepoint, so that its failure leaves the others alone.
func (c *conn) applyApart(u *update) error {
	if err := c.run(`SAVEPOINT one`); err != nil {
		return err
	}
	if err := c.apply(u); err == errUndo {
		if err := c.run(`ROLLBACK TO one`); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	return c.run(`RELEASE one`)
}

// contained runs fn and catches its panic, for the caller to go on with.
func contained(fn func(store.Tx) error, tx store.Tx) (err, panicked error) {
	defer func() {
		if p := recover(); p != nil {
			panicked = fmt.Errorf("panic in a store transaction: %v\n%s", p, debug.Stack())
		}
	}()
	return fn(tx), nil
}

// counters are the engine's Stats.
type counters struct {
	mu    sync.Mutex
	stats store.Stats
}

func (c *counters) read() store.Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}

// answered counts updates that were answered together.
func (c *counters) answered(ok, failed int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Updates += uint64(ok)
	c.stats.Failed += uint64(failed)
	c.stats.LargestBatch = max(c.stats.LargestBatch, ok+failed)
}

// committed counts a commit.
func (c *counters) committed(err error, took time.Duration, deferred bool) {
	c.mu.Lock()
	c.stats.Commits++
	if deferred {
		c.stats.Deferred++
	}
	c.mu.Unlock()
	c.synced(err, took)
}

// synced counts what a commit took, or a sync that was left out of one.
func (c *counters) synced(err error, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.CommitTime += took
	if err != nil {
		c.stats.CommitErrors++
	}
}

// copied counts that a part of the log was copied.
func (c *counters) copied(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil && !errors.Is(err, sqlite3.BUSY) {
		c.stats.LogErrors++
	}
}

// begun counts that the log was made to begin anew, for which commits were held up so long, or that somebody read it.
func (c *counters) begun(err error, held time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.HeldTime += held
	switch {
	case err == nil:
		c.stats.LogStarts++
	case !errors.Is(err, sqlite3.BUSY):
		c.stats.LogErrors++
	}
}
