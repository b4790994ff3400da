package node

import (
	"runtime"
	"testing"
)

// TestPaceCollector counts collections: a server with little in use does not collect each bit of garbage, and with much in use half of that is the limit.
func TestPaceCollector(t *testing.T) {
	for live, want := range map[uint64]int{0: 800, 1 << 20: 800, 16 << 20: 200, 64 << 20: 50, 1 << 30: 50} {
		if got := percentFor(live); got != want {
			t.Errorf("with %d bytes in use, %d hundredths may be garbage, want %d", live, got, want)
		}
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
