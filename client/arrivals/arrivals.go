// Package arrivals keeps rows of an inbox that came with the pushes that tell of them, until they are taken: where those that came follow one another,
// nothing is fetched.
package arrivals

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/quicproquo/qpq/wire"
)

// Most is how many rows wait at most to be taken; more than those are fetched.
const Most = 256

// Rows that were taken are acknowledged together: when they are so many, or when the first of them waits for so long.
const (
	AckEach   = 64
	AckWithin = time.Second
)

// Queue is rows that were pushed. What was in the inbox before the first Take was not. It is safe for use by several goroutines.
type Queue struct {
	mu      sync.Mutex
	rows    []wire.InboxRow
	fetched bool // what is not among them was fetched
}

// Add notes a push. It never blocks.
func (q *Queue) Add(p wire.InboxPush) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if p.Row == nil || p.Row.Sequence != p.Sequence || p.Row.Kind != wire.InboxKindMessage || len(p.Row.Payload) > wire.MaxPushed || len(q.rows) >= Most {
		q.rows, q.fetched = nil, false
		return
	}
	if q.fetched {
		q.rows = append(q.rows, *p.Row)
	}
}

// Take returns the rows after a number, in order. It reports false where others may be there: the caller is about to fetch.
func (q *Queue) Take(after uint64) ([]wire.InboxRow, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	rows, fetched := q.rows, q.fetched
	q.rows, q.fetched = nil, true // what is pushed from here on follows what is taken now
	slices.SortFunc(rows, func(x, y wire.InboxRow) int { return cmp.Compare(x.Sequence, y.Sequence) })
	rows = slices.DeleteFunc(rows, func(r wire.InboxRow) bool { return r.Sequence <= after })
	rows = slices.CompactFunc(rows, func(x, y wire.InboxRow) bool { return x.Sequence == y.Sequence })
	return rows, fetched && (len(rows) == 0 || rows[len(rows)-1].Sequence == after+uint64(len(rows)))
}

// Miss notes that something has to be fetched.
func (q *Queue) Miss() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.fetched = false
}
