package loadtest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/internal/clients"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/wire"
)

// streak is how many connections have to fail for the limit to be found, with none that was begun after them by so many and did not: others
// are errors.
const streak = 20

// steadyRate is how many connections a second the search for the limit opens where the plan has no rate.
const steadyRate = 200

// search is a search for the number of connections that a server takes.
type search struct {
	fleet *fleet

	mu    sync.Mutex
	open  []*transport.Session
	fails map[int]string // kinds of failures that may be the limit, by the number of the connection
	why   string         // the limit is found; empty before
}

// findLimit opens connections, whom nobody stands behind, until the server takes no more.
func (r *runner) findLimit(ctx context.Context) error {
	s := &search{fleet: r.fleet, fails: map[int]string{}, open: []*transport.Session{r.fleet.met}}
	searching, found := context.WithCancel(ctx)
	defer found()
	r.pace(searching, r.plan.Clients-1, func(ctx context.Context, n int, due time.Time) {
		err := s.add(ctx)
		if err == nil {
			r.record.note(seriesConnected, time.Since(due), 0)
		}
		if s.judge(n, err, r.record) {
			found()
		}
	})
	r.limit = s.limit(ctx, r.plan)
	for _, c := range s.open {
		_ = c.Close()
	}
	return nil
}

// add opens a connection, and asks the server what it is, which shows that it was taken in.
func (s *search) add(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.fleet.plan.Patience)
	defer cancel()
	c, err := s.fleet.dial(ctx, nil)
	if err != nil {
		return err
	}
	if _, err := wire.Call(ctx, c, wire.ServerInfo{Client: "qpq-loadtest"}); err != nil {
		_ = c.Close()
		return err
	}
	s.mu.Lock()
	s.open = append(s.open, c)
	s.mu.Unlock()
	return nil
}

// judge counts what became of a connection. It reports whether the limit is found.
func (s *search) judge(number int, err error, record *recorder) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.why != "" {
		return true // these are of those that were under way
	}
	if err == nil {
		for failed, kind := range s.fails {
			if failed < number-streak { // it was no limit after all
				record.failed("connect", kind, "a connection failed, and later ones did not", 1)
				delete(s.fails, failed)
			}
		}
		return false
	}
	s.fails[number] = kindOf(err)
	if len(s.fails) < streak {
		return false
	}
	kinds := map[string]int{}
	for _, kind := range s.fails {
		kinds[kind]++
	}
	s.why = "connections failed one after the other:"
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		s.why += fmt.Sprintf(" %d × %s", kinds[kind], kind)
	}
	s.why += " (" + qpq.Printable(err.Error()) + ")"
	return true
}

// limit says what was found, and asks all connections whether they are alive.
func (s *search) limit(ctx context.Context, p Plan) *Limit {
	s.mu.Lock()
	open := s.open
	s.mu.Unlock()
	l := &Limit{Connections: len(open), Why: s.why, Reached: s.why != ""}
	switch {
	case l.Reached:
	case ctx.Err() != nil:
		l.Why = "it was interrupted"
	case len(open) < p.Clients:
		l.Why = fmt.Sprintf("--duration was over, at %g connections a second", p.Rate)
	default:
		l.Why = "no more were asked for: raise --clients"
	}
	var alive atomic.Int64
	_ = clients.Together(context.WithoutCancel(ctx), len(open), atOnce, func(i int) error {
		ctx, cancel := context.WithTimeout(ctx, p.Patience)
		defer cancel()
		if _, err := wire.Call(ctx, open[i], wire.Ping{}); err == nil {
			alive.Add(1)
		}
		return nil
	})
	l.Alive = int(alive.Load())
	return l
}
