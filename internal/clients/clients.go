// Package clients has what programs share that are many clients at once: load tests and benchmarks.
package clients

import (
	"context"
	"sync"
	"sync/atomic"
)

// Together calls do for the numbers below n, so many at a time, and returns the first error, after which it begins nothing more. Where ctx ends it begins
// nothing more either, and returns why.
func Together(ctx context.Context, n, most int, do func(i int) error) error {
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	for range min(n, most) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && failed.Load() == nil && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := do(i); err != nil {
					failed.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return ctx.Err()
}
