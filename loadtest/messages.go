package loadtest

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// scenario is something that a load test can do.
type scenario struct {
	does     string
	accounts bool // clients have accounts
	prepare  func(ctx context.Context, r *runner) error
	run      func(r *runner, ctx context.Context) error
	least    func(p Plan) int // clients
}

func two(Plan) int { return 2 }
func one(Plan) int { return 1 }

// scenarios are all there are, by name.
var scenarios = map[string]scenario{
	"dm": {does: "pairs of people write to each other", accounts: true, least: two,
		prepare: func(ctx context.Context, r *runner) error { return r.seatAll(ctx, "dm", 2) }, run: (*runner).converse},
	"group": {does: "people write to conversations of several", accounts: true, least: func(p Plan) int { return p.GroupSize },
		prepare: func(ctx context.Context, r *runner) error { return r.seatAll(ctx, "group", r.plan.GroupSize) }, run: (*runner).converse},
	"connect": {does: "clients connect and stay", least: one, accounts: true, run: (*runner).connectThem},
}

// Scenarios returns the names of all scenarios.
func Scenarios() []string { return slices.Sorted(maps.Keys(scenarios)) }

// Describe says of each scenario what it does.
func Describe() string {
	var list []string
	for _, name := range Scenarios() {
		list = append(list, name+" ("+scenarios[name].does+")")
	}
	return strings.Join(list, ", ")
}

// converse sends messages in all rooms by turns.
func (r *runner) converse(ctx context.Context) error {
	rooms := r.rooms
	settled := r.readAll(ctx)
	if r.plan.Rate > 0 {
		r.pace(ctx, func(ctx context.Context, n int, due time.Time) { rooms[n%len(rooms)].send(ctx, due) })
	} else {
		r.flatOut(ctx, len(rooms)*r.plan.Window, func(ctx context.Context, i int, due time.Time) { rooms[i%len(rooms)].send(ctx, due) })
	}
	settled()
	return nil
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
