package clients_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/quicproquo/qpq/internal/clients"
)

func TestTogether(t *testing.T) {
	var calls [100]atomic.Int32
	var now, most atomic.Int32
	err := clients.Together(t.Context(), len(calls), 7, func(i int) error {
		for n := now.Add(1); n > most.Load() && !most.CompareAndSwap(most.Load(), n); {
		}
		calls[i].Add(1)
		now.Add(-1)
		return nil
	})
	for i := range calls {
		if n := calls[i].Load(); n != 1 {
			t.Errorf("%d was called %d times", i, n)
		}
	}
	if err != nil || most.Load() > 7 {
		t.Errorf("%v, %d at a time", err, most.Load())
	}
}

// TestTogetherEnds with the first error, or with its context: what has begun ends, and nothing more begins.
func TestTogetherEnds(t *testing.T) {
	var begun []int
	bad := errors.New("bad")
	if err := clients.Together(t.Context(), 100, 1, func(i int) error {
		begun = append(begun, i)
		if i == 3 {
			return bad
		}
		return nil
	}); err != bad || !slices.Equal(begun, []int{0, 1, 2, 3}) {
		t.Errorf("%v after %v", err, begun)
	}
	ctx, stop := context.WithCancel(t.Context())
	begun = nil
	if err := clients.Together(ctx, 100, 1, func(i int) error {
		begun = append(begun, i)
		if i == 1 {
			stop()
		}
		return nil
	}); !errors.Is(err, context.Canceled) || !slices.Equal(begun, []int{0, 1}) {
		t.Errorf("%v after %v", err, begun)
	}
}
