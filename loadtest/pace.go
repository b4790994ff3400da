package loadtest

import (
	"context"
	"sync"
	"time"
)

// mostUnderWay is how much may be under way at a time. What is due beyond it waits, and its latency counts from when it was due.
const mostUnderWay = 1 << 16

// grace is how long what is under way may go on after an interruption.
const grace = 2 * time.Second

// outlive returns a context that ends a moment after ctx, so that what is under way ends by itself.
func outlive(ctx context.Context) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })
	return longer, func() { stop(); cancel() }
}

// again calls do again and again, at the plan's rate, or flat out by so many workers where it has none: with a number that counts calls, or is that of the worker.
func (r *runner) again(ctx context.Context, workers int, do func(ctx context.Context, n int, due time.Time)) {
	if r.plan.Rate > 0 {
		r.pace(ctx, -1, do)
	} else {
		r.flatOut(ctx, workers, do)
	}
}

// timed notes how something ended that was due at a time.
func (r *runner) timed(during, series string, due time.Time, err error) {
	if err != nil {
		r.record.fail(during, err)
		return
	}
	r.record.note(series, time.Since(due), 0)
}

// pace calls do at the plan's rate, with a number and when it was due, at most so many times where most is not negative, until the run is to
// end or ctx does; and returns when all calls have.
// What is due begins, however much of what was due before is still under way.
func (r *runner) pace(ctx context.Context, most int, do func(ctx context.Context, n int, due time.Time)) {
	work, cancel := outlive(ctx)
	defer cancel()
	slots := make(chan struct{}, mostUnderWay)
	var wg sync.WaitGroup
	defer wg.Wait()
	for n := 0; n != most; n++ {
		due := r.began.Add(time.Duration(float64(n) / r.plan.Rate * float64(time.Second)))
		if !due.Before(r.end()) || !sleepUntil(ctx, due) {
			return
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		wg.Go(func() {
			do(work, n, due)
			<-slots
		})
	}
}

// flatOut has so many workers call do, each one call after the other, until the run is to end or ctx does.
func (r *runner) flatOut(ctx context.Context, workers int, do func(ctx context.Context, worker int, due time.Time)) {
	work, cancel := outlive(ctx)
	defer cancel()
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() {
			for now := time.Now(); now.Before(r.end()) && ctx.Err() == nil; now = time.Now() {
				do(work, i, now)
			}
		})
	}
	wg.Wait()
}

// sleepUntil waits for a time. It reports false where ctx ended before.
func sleepUntil(ctx context.Context, at time.Time) bool {
	left := time.Until(at)
	if left <= 0 {
		return ctx.Err() == nil
	}
	if left < 20*time.Millisecond { // no timer to be stopped
		time.Sleep(left)
		return ctx.Err() == nil
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
