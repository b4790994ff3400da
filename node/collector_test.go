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
	inUse := make([]byte, 64*mib) // so much that the pace at the beginning would be far too slow
	p := &collector{}
	defer p.pace()()
	look := func() {
		for before := p.looks.Load(); p.looks.Load() == before; {
			runtime.GC()
		}
	}
	look() // what is in use is known from here on
	n := 0
	for pace := uint64(0); pace < 512*mib && n <= 24; n++ {
		room := roomLeft()
		pace += room
		for range room / mib / 2 { // of what may come until the next collection, so much that none begins by itself
			runtime.KeepAlive(make([]byte, mib))
		}
		look()
	}
	t.Logf("512 MiB of garbage would be collected %d times", n)
	if n < 12 || n > 24 {
		t.Errorf("512 MiB of garbage would be collected %d times or more, 12 to 24 are expected", n)
	}
	runtime.KeepAlive(inUse)
}

// roomLeft returns how many bytes may be allocated before the next collection.
func roomLeft() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.NextGC - min(m.HeapAlloc, m.NextGC-1)
}
