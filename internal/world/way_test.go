package world

import (
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// carried plays what becomes of datagrams on a road: the numbers of those that arrive, in the order in which they do.
func carried(t *testing.T, seed uint64, w Weather, passes func(n int) bool) (arrived []int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		var mu sync.Mutex
		r := &road{rand: rand.New(rand.NewPCG(seed, 0)), weather: func() Weather { return w }, passes: func() bool { return passes(int(n.Load())) }}
		for i := range 1000 {
			n.Store(int64(i))
			r.carry(func() {
				mu.Lock()
				defer mu.Unlock()
				arrived = append(arrived, i)
			})
			time.Sleep(time.Millisecond)
			synctest.Wait()
		}
	})
	return arrived
}

// TestRoads: on a road datagrams get lost and overtake each other as the seed has it, and none passes where the road is closed.
func TestRoads(t *testing.T) {
	open := func(int) bool { return true }
	if got := carried(t, 1, Weather{}, open); len(got) != 1000 || !slices.IsSorted(got) {
		t.Errorf("in fine weather %d of 1000 arrive, in order: %v", len(got), slices.IsSorted(got))
	}
	rough := Weather{Delay: 20 * time.Millisecond, Loss: 0.1}
	got := carried(t, 1, rough, open)
	if len(got) < 800 || len(got) > 970 || slices.IsSorted(got) {
		t.Errorf("in rough weather %d of 1000 arrive, in order: %v", len(got), slices.IsSorted(got))
	}
	if again := carried(t, 1, rough, open); !slices.Equal(got, again) {
		t.Error("the same seed has it otherwise")
	}
	if other := carried(t, 2, rough, open); slices.Equal(got, other) {
		t.Error("another seed has it the same")
	}
	for _, n := range carried(t, 1, rough, func(n int) bool { return n < 500 }) {
		if n >= 500 {
			t.Fatalf("%d arrives on a closed road", n)
		}
	}
}
