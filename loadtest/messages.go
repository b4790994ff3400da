package loadtest

import (
	"context"
	"sync"
	"time"
)

// converse sends messages in all rooms by turns.
func (r *runner) converse(ctx context.Context) error {
	r.byTurns(ctx, func(ctx context.Context, s *seat, due time.Time) { s.send(ctx, due, nil) })
	return nil
}

// byTurns has the members of all rooms do something by turns while everybody reads, and waits until what was sent has come.
func (r *runner) byTurns(ctx context.Context, do func(ctx context.Context, s *seat, due time.Time)) {
	settled := r.readAll(ctx)
	r.again(ctx, len(r.rooms)*r.plan.Window, func(ctx context.Context, n int, due time.Time) { do(ctx, r.rooms[n%len(r.rooms)].next(), due) })
	settled()
}

// readAll has everybody read what comes. The function that it returns waits until all that was accepted has reached everybody, counts
// what has not, and ends the reading.
func (r *runner) readAll(ctx context.Context) func() {
	reading, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	for _, p := range r.fleet.people {
		wg.Go(func() { p.inbox.follow(reading) })
	}
	return func() {
		r.settle(ctx, r.rooms)
		stop()
		wg.Wait()
		for _, p := range r.fleet.people {
			p.inbox.fetching.Wait()
		}
		r.record.failed("delivery", "not delivered", "a message that the server accepted did not reach a member", missing(r.rooms))
	}
}

// settle waits until nothing is missing, as long as patience lasts, which is short after an interruption.
func (r *runner) settle(ctx context.Context, rooms []*room) {
	longer, cancel := outlive(ctx)
	defer cancel()
	longer, end := context.WithTimeout(longer, r.plan.Patience)
	defer end()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for missing(rooms) > 0 {
		select {
		case <-tick.C:
		case <-longer.Done():
			return
		}
	}
}

// missing counts the deliveries that accepted messages lack.
func missing(rooms []*room) (n int64) {
	for _, k := range rooms {
		n += max(0, k.accepted.Load()*int64(len(k.members)-1)-k.delivered.Load())
	}
	return n
}
