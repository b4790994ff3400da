package loadtest

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/quicproquo/qpq/internal/clients"
)

// The series of scenarios about connections.
const (
	seriesConnected = "connected" // a device is authenticated
	seriesLogin     = "login"     // a password is proved
	seriesBack      = "back"      // a device that was cut off is authenticated again
)

// connectThem has clients connect and prove their devices, and stay until the run ends.
func (r *runner) connectThem(ctx context.Context) error {
	if r.plan.FindLimit {
		return r.findLimit(ctx)
	}
	people := r.fleet.people
	one := func(ctx context.Context, i int, due time.Time) {
		r.timed("connect", seriesConnected, due, people[i].connect(ctx))
	}
	if r.plan.Rate > 0 {
		r.pace(ctx, len(people), one)
	} else {
		work, cancel := outlive(ctx)
		defer cancel()
		_ = clients.Together(ctx, len(people), atOnce, func(i int) error { one(work, i, time.Now()); return nil }) // ctx alone fails it
	}
	sleepUntil(ctx, r.end())
	return nil
}

// logIn has clients prove their passwords, each on a connection of its own.
func (r *runner) logIn(ctx context.Context) error {
	people := r.fleet.people
	r.again(ctx, len(people), func(ctx context.Context, n int, due time.Time) {
		r.timed("login", seriesLogin, due, people[n%len(people)].login(ctx))
	})
	return nil
}

// weather has storms, as long as another is likely to be over in time.
func (r *runner) weather(ctx context.Context) error {
	const calm = time.Second
	for longest := time.Duration(0); len(r.storms) == 0 || time.Now().Add(calm+2*longest).Before(r.end()) && sleepUntil(ctx, time.Now().Add(calm)); {
		began := time.Now()
		if err := r.storm(ctx); err != nil {
			return err
		}
		longest = max(longest, time.Since(began))
	}
	return nil
}

// storm cuts all clients off at once and has all of them come back at once. Who is refused tries again, as clients do, until the run is to
// end and patience is over.
func (r *runner) storm(ctx context.Context) error {
	work, cancel := outlive(ctx)
	defer cancel()
	people := r.fleet.people
	began := time.Now()
	until := r.end()
	if patient := began.Add(r.plan.Patience); patient.After(until) {
		until = patient
	}
	work, end := context.WithDeadline(work, until)
	defer end()
	if err := r.fleet.cut(); err != nil {
		return err
	}
	s := Storm{Clients: len(people)}
	var tries, back, last atomic.Int64
	_ = clients.Together(work, len(people), len(people), func(i int) error {
		n, ok := r.comeBack(work, people[i])
		tries.Add(n)
		if !ok {
			return nil
		}
		took := time.Since(began)
		back.Add(1)
		r.record.note(seriesBack, took, 0)
		for was := last.Load(); int64(took) > was && !last.CompareAndSwap(was, int64(took)); was = last.Load() {
		}
		return nil
	})
	s.Back, s.Tries, s.Seconds = int(back.Load()), tries.Load(), time.Duration(last.Load()).Seconds()
	s.Refused = s.Clients - s.Back
	r.storms = append(r.storms, s)
	r.record.failed("reconnect", "refused for good", "a client that was cut off was not back when run and patience were over", int64(s.Refused))
	return nil
}

// comeBack connects, again and again with growing pauses where it fails, until ctx ends. It returns how often it tried.
func (r *runner) comeBack(ctx context.Context, p *person) (tries int64, ok bool) {
	const first, most = time.Second, 30 * time.Second
	for wait := first; ; wait = min(2*wait, most) {
		tries++
		err := p.connect(ctx)
		if err == nil {
			return tries, true
		}
		r.record.retried(err)
		if !sleepUntil(ctx, time.Now().Add(wait/2+rand.N(wait))) {
			return tries, false
		}
	}
}
