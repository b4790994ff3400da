package playbook

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/quicproquo/qpq"
)

// Figures are what came of a step that was begun at a rate. Times are seconds from when something was to begin to when it ended, so that waiting for
// its turn counts.
type Figures struct {
	Begun  int     `json:"begun"`
	Failed int     `json:"failed"`
	Wanted float64 `json:"wanted"` // beginnings a second
	Rate   float64 `json:"rate"`   // ends a second
	P50    float64 `json:"p50"`
	P90    float64 `json:"p90"`
	P99    float64 `json:"p99"`
	Max    float64 `json:"max"`
}

// String returns it in a line for people.
func (l *Figures) String() string {
	return fmt.Sprintf("%d begun at %.4g/s, %d failed, %.4g/s done; half within %s, 90 %% within %s, 99 %% within %s, all within %s",
		l.Begun, l.Wanted, l.Failed, l.Rate, span(l.P50), span(l.P90), span(l.P99), span(l.Max))
}

// span returns seconds for people.
func span(seconds float64) string {
	switch {
	case seconds < 1:
		return fmt.Sprintf("%.3g ms", seconds*1000)
	case seconds < 60:
		return fmt.Sprintf("%.2f s", seconds)
	}
	return time.Duration(seconds * float64(time.Second)).Round(time.Second).String()
}

// quantiles fills in times from how long things took.
func (l *Figures) quantiles(took []time.Duration) {
	if len(took) == 0 {
		return
	}
	slices.Sort(took)
	at := func(q float64) float64 { // the least time within which at least so many ended
		i := int(q*float64(len(took)) + 0.999999)
		return seconds(took[min(max(i, 1), len(took))-1])
	}
	l.P50, l.P90, l.P99, l.Max = at(0.5), at(0.9), at(0.99), at(1)
}

// load begins a step at a rate. What begins does so when it is its turn, however long that before it takes, as long as there is room.
func (r *run) load(ctx context.Context, s *Step, at place) error {
	began := time.Now()
	if as, err := s.As.text(at.scope); err == nil && s.As.given { // else each beginning has its own
		at.as = as
	}
	rate, err := s.Rate.value(at.scope)
	if err != nil {
		return r.broken(s, at, err)
	}
	length, err := s.For.value(at.scope, 0)
	if err != nil {
		return r.broken(s, at, err)
	}
	limit, err := s.Limit.value(at.scope, 64)
	if err == nil && rate*length.Seconds() > maxLoad {
		err = qpq.E(qpq.TooLarge, "usage", fmt.Sprintf("that would be begun more than %d times: lower rate or for", maxLoad))
	}
	if err != nil {
		return r.broken(s, at, err)
	}
	at.quiet = true
	l := &loading{Figures: Figures{Wanted: rate}, room: make(chan struct{}, max(limit, 1))}
	err = l.begin(ctx, int(max(1, rate*length.Seconds())), func(n int) error {
		return r.iteration(ctx, s, at, map[string]any{"n": int64(n)})
	})
	l.quantiles(l.took)
	l.Rate = float64(len(l.took)) / max(time.Since(began).Seconds(), 1e-9)
	at.quiet = false
	return r.outcome(s, at, began, Event{Attempts: l.Begun, Load: &l.Figures}, err)
}

// loading is a load that goes on.
type loading struct {
	Figures
	room chan struct{}

	mu    sync.Mutex
	took  []time.Duration
	first error
}

// begin begins f so many times, and waits for all of them to end. It returns the first error.
func (l *loading) begin(ctx context.Context, count int, f func(n int) error) error {
	var work sync.WaitGroup
	start := time.Now()
	for n := range count {
		due := start.Add(time.Duration(float64(n) / l.Wanted * float64(time.Second)))
		turn := time.NewTimer(time.Until(due))
		select {
		case <-turn.C:
		case <-ctx.Done():
			turn.Stop()
		}
		if ctx.Err() != nil {
			break
		}
		l.room <- struct{}{} // those within end when ctx does
		l.Begun++
		work.Go(func() {
			defer func() { <-l.room }()
			l.end(due, f(n+1))
		})
	}
	work.Wait()
	if l.first == nil && ctx.Err() != nil {
		return given(ctx)
	}
	return l.first
}

// end notes what came of one that was due at a time.
func (l *loading) end(due time.Time, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		if l.Failed++; l.first == nil {
			l.first = err
		}
		return
	}
	l.took = append(l.took, time.Since(due))
}
