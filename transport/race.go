package transport

import (
	"context"
	"errors"
	"time"
)

// Attempt is one way to connect.
type Attempt struct {
	Name string
	// After is how long the attempt waits for those before it. It starts at once when they have all failed.
	After time.Duration
	Dial  func(context.Context) (Conn, error)
}

// Race connects by the first attempt that succeeds, and gives the others up. Notice, if not nil, is called as each attempt
// but the first starts. If all fail, the error has those of all.
func Race(ctx context.Context, attempts []Attempt, notice func(Attempt)) (Conn, Attempt, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		conn    Conn
		attempt Attempt
		err     error
	}
	results := make(chan result, len(attempts))
	started, ended := 0, 0
	start := func() {
		a := attempts[started]
		if started > 0 && notice != nil {
			notice(a)
		}
		started++
		go func() {
			conn, err := a.Dial(ctx)
			results <- result{conn, a, err}
		}()
	}
	var errs []error
	for start(); ended < len(attempts); {
		var timer <-chan time.Time
		if started < len(attempts) {
			timer = time.After(attempts[started].After)
		}
		select {
		case <-timer:
			start()
		case r := <-results:
			ended++
			if r.err == nil {
				go func(left int) { // those that succeed too late
					for range left {
						if r := <-results; r.err == nil {
							_ = r.conn.Close(CodeDone, "")
						}
					}
				}(started - ended)
				return r.conn, r.attempt, nil
			}
			errs = append(errs, r.err)
			if ended == started && started < len(attempts) && ctx.Err() == nil {
				start()
			} else if ctx.Err() != nil && ended == started {
				return nil, Attempt{}, errors.Join(append(errs, ctx.Err())...)
			}
		}
	}
	return nil, Attempt{}, errors.Join(errs...)
}
