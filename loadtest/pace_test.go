package loadtest

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestOpenLoop: what is due begins when it is due although what came before is stuck, and counts its latency from then.
func TestOpenLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &runner{plan: Plan{Rate: 100, Duration: time.Second, Slice: time.Second}, began: time.Now(), record: newRecorder()}
		r.record.start(r.began, time.Second)
		var mu sync.Mutex
		var late []time.Duration
		r.pace(t.Context(), -1, func(ctx context.Context, n int, due time.Time) {
			mu.Lock()
			late = append(late, time.Since(due))
			mu.Unlock()
			if want := r.began.Add(time.Duration(n) * 10 * time.Millisecond); !due.Equal(want) {
				t.Errorf("number %d was due at %v, and not %v", n, due, want)
			}
			if n >= 30 && n < 80 { // the server stalls for half a second
				time.Sleep(time.Until(r.began.Add(800 * time.Millisecond)))
			}
			r.record.note(seriesAccepted, time.Since(due), 0)
		})
		if slices.Max(late) > 0 || len(late) != 100 {
			t.Errorf("%d began, at most %v late", len(late), slices.Max(late))
		}
		all := r.record.series[seriesAccepted].all
		if all.TotalCount() != 100 || all.Max() < 499_000 || all.ValueAtQuantile(75) < 200_000 || all.ValueAtQuantile(45) > 1 {
			t.Errorf("the stall does not show: %d, at most %d µs, p75 %d, p45 %d", all.TotalCount(), all.Max(), all.ValueAtQuantile(75), all.ValueAtQuantile(45))
		}
	})
}

// TestFlatOut: each worker does one thing after the other, until it is over.
func TestFlatOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &runner{plan: Plan{Duration: time.Second}, began: time.Now()}
		var mu sync.Mutex
		done := map[int]int{}
		r.flatOut(t.Context(), 3, func(ctx context.Context, worker int, due time.Time) {
			time.Sleep(100 * time.Millisecond)
			mu.Lock()
			done[worker]++
			mu.Unlock()
		})
		if done[0] != 10 || done[1] != 10 || done[2] != 10 {
			t.Errorf("%v", done)
		}
	})
}

// TestInterruptedPace: nothing begins after an interruption, and what is under way is given up after a moment.
func TestInterruptedPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &runner{plan: Plan{Rate: 10, Duration: time.Hour}, began: time.Now()}
		ctx, stop := context.WithTimeout(t.Context(), time.Second+time.Millisecond)
		defer stop()
		var mu sync.Mutex
		begun := 0
		r.pace(ctx, -1, func(ctx context.Context, _ int, _ time.Time) {
			mu.Lock()
			begun++
			mu.Unlock()
			<-ctx.Done() // nothing ever answers
		})
		if took := time.Since(r.began); begun != 11 || took != time.Second+time.Millisecond+grace {
			t.Errorf("%d began, and it took %v", begun, took)
		}
	})
}
