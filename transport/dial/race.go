package dial

import (
	"context"
	"errors"
	"time"

	"github.com/quicproquo/qpq/transport"
)

// attempt is one way to connect.
type attempt struct {
	name string
	// after is how long the attempt waits for those before it. It starts at once when they have all failed.
	after time.Duration
	dial  func(context.Context) (transport.Conn, error)
}

// race connects by the first attempt that succeeds, and gives the others up. notice, if not nil, is called as each attempt
// but the first starts. If all fail, the error has those of all.
func race(ctx context.Context, attempts []attempt, notice func(attempt)) (transport.Conn, attempt, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		conn    transport.Conn
		attempt attempt
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
			conn, err := a.dial(ctx)
			results <- result{conn, a, err}
		}()
	}
	var errs []error
	for start(); ended < len(attempts); {
		var timer <-chan time.Time
		if started < len(attempts) {
			timer = time.After(attempts[started].after)
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
							_ = r.conn.Close(transport.CodeDone, "")
						}
					}
				}(started - ended)
				return r.conn, r.attempt, nil
			}
			errs = append(errs, r.err)
			if ended == started && started < len(attempts) && ctx.Err() == nil {
				start()
			} else if ctx.Err() != nil && ended == started {
				return nil, attempt{}, errors.Join(append(errs, ctx.Err())...)
			}
		}
	}
	return nil, attempt{}, errors.Join(errs...)
}
