package node

import (
	"runtime"
	"testing"
)

// TestPaceCollector counts collections: a server with little in use does not collect each bit of garbage, and with much in use half of that is the limit; while what is in use grows, a quarter of that.
func TestPaceCollector(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		live, before, allocated uint64 // in MiB
		want                    int
	}{
		{0, 0, 0, 800}, {1, 1, 32, 800}, {16, 16, 32, 200}, {64, 64, 32, 50}, {1024, 1024, 512, 50}, {16, 64, 32, 200},
		{20, 16, 30, 40}, {64, 32, 64, 25}, {20, 16, 33, 160}, {2, 1, 7, 200},
	} {
		before := heap{c.before * mib, 1000 * mib}
		if got := percentFor(heap{c.live * mib, before.allocated + c.allocated*mib}, before); got != c.want {
			t.Errorf("with %d MiB in use, and %d before %d were allocated, %d hundredths may be garbage, want %d", c.live, c.before, c.allocated, got, c.want)
		}
	}
	if got := percentFor(heap{64 * mib, 64 * mib}, heap{}); got != growth {
		t.Errorf("at the first collection %d hundredths, want %d", got, growth)
	}
	stop := PaceCollector()
	defer stop()
	runtime.GC() // what is in use is known from here on
	collections := func() uint32 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.NumGC
	}
	var garbage []byte
	before := collections()
	for range 512 {
		garbage = make([]byte, 1<<20)
	}
	runtime.KeepAlive(garbage)
	n := collections() - before
	t.Logf("512 MiB of garbage were collected %d times", n)
	if n > 24 {
		t.Errorf("512 MiB of garbage were collected %d times, at most 24 are expected", n)
	}
}
