package sqlite

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/quicproquo/qpq/store"
)

// maxBatch bounds how many updates of each queue are collected for a commit, and with it how long the first of them waits.
const maxBatch = 1024

// How many rows of a transaction may be changed by updates that can wait. Who sends now and then is not to find a long transaction under way.
const (
	maxLater   = 64   // or as many as the others change
	mostLater  = 1024 // where nobody waits: maxLater doubles up to this
	doubleEach = 8    // transactions in a row without others, after which it doubles
)

// maxGather bounds for how long the first of a batch waits for more, where they keep coming.
const maxGather = 5 * time.Millisecond

// update is one call of Update on its way through the writer.
type update struct {
	fn       func(store.Tx) error
	later    bool         // others come first
	owner    atomic.Int32 // who decides what becomes of it: nobody yet, writer or caller
	err      error        // set before done is closed
	panicked error
	done     chan struct{}
}

const (
	nobody int32 = iota
	writer       // took it: it will be answered
	caller       // withdrew it: it will not run
)

// Update implements store.Engine.
func (e *Engine) Update(ctx context.Context, fn func(store.Tx) error) error {
	return e.wait(ctx, e.queue, &update{fn: fn, done: make(chan struct{})})
}

// UpdateLater implements store.Engine.
func (e *Engine) UpdateLater(ctx context.Context, fn func(store.Tx) error) error {
	return e.wait(ctx, e.later, &update{fn: fn, later: true, done: make(chan struct{})})
}

// wait has the writer carry out an update, and waits until it is answered.
func (e *Engine) wait(ctx context.Context, queue chan<- *update, u *update) error {
	if err := e.enqueue(ctx, queue, u); err != nil {
		return err
	}
	select {
	case <-u.done:
	case <-ctx.Done():
		if u.owner.CompareAndSwap(nobody, caller) {
			return cancelled(ctx)
		}
		<-u.done
	}
	if u.panicked != nil {
		panic(u.panicked)
	}
	return u.err
}

func (e *Engine) enqueue(ctx context.Context, queue chan<- *update, u *update) error {
	e.closing.RLock()
	defer e.closing.RUnlock()
	if e.closed {
		return errClosed
	}
	if ctx.Err() != nil {
		return cancelled(ctx)
	}
	select {
	case queue <- u:
		return nil
	case <-ctx.Done():
		return cancelled(ctx)
	}
}

// next waits until there is something to do, and adds to a batch all that others wait for, and to later what can wait. Both are empty when the log is to be
// synced, and when there will be nothing any more, which it reports by false.
func (e *Engine) next(batch, later []*update) (nextBatch, nextLater []*update, open bool) {
	if len(later) == 0 {
		select {
		case <-e.deferral.due():
			return batch, later, true
		case u, open := <-e.queue:
			if open {
				batch = append(batch, u)
			} else if u, open = <-e.later; open {
				later = append(later, u)
			} else {
				return batch, later, false
			}
		case u, open := <-e.later:
			if open {
				later = append(later, u)
			} else if u, open = <-e.queue; open {
				batch = append(batch, u)
			} else {
				return batch, later, false
			}
		}
	}
	batch, later = e.gather(batch, later)
	return batch, later, true
}

// gather collects until nobody comes any more who was about to: whoever is ready to run runs first. Where an fsync takes less than what
// callers do between their updates, each would else get one of its own.
func (e *Engine) gather(batch, later []*update) (fullBatch, fullLater []*update) {
	start := time.Now()
	for before := -1; len(batch)+len(later) > before && len(batch) < maxBatch && time.Since(start) < maxGather; {
		before = len(batch) + len(later)
		runtime.Gosched()
		batch, later = collect(batch, e.queue), collect(later, e.later)
	}
	return batch, later
}

// collect adds all updates that wait in a queue to the batch.
func collect(batch []*update, queue <-chan *update) []*update {
	for len(batch) < maxBatch {
		select {
		case u, open := <-queue:
			if !open {
				return batch
			}
			batch = append(batch, u)
		default:
			return batch
		}
	}
	return batch
}
