package loadtest

import (
	"context"
	"time"
)

// The series of scenarios about connections.
const (
	seriesConnected = "connected" // a device is authenticated
	seriesLogin     = "login"     // a password is proved
	seriesBack      = "back"      // a device that was cut off is authenticated again
)

// connectThem has clients connect and prove their devices, and stay until the run ends.
func (r *runner) connectThem(ctx context.Context) error {
	people := r.fleet.people
	one := func(ctx context.Context, i int, due time.Time) {
		if err := people[i].connect(ctx); err != nil {
			r.record.fail("connect", err)
			return
		}
		r.record.note(seriesConnected, time.Since(due), 0)
	}
	if r.plan.Rate > 0 {
		r.pace(ctx, func(ctx context.Context, n int, due time.Time) {
			if n < len(people) {
				one(ctx, n, due)
			}
		})
		return nil
	}
	work, cancel := outlive(ctx)
	defer cancel()
	_ = together(ctx, len(people), atOnce, func(i int) error { one(work, i, time.Now()); return nil }) // it is ctx alone that fails it
	sleepUntil(ctx, r.end())
	return nil
}
