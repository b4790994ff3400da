package node

import (
	"runtime"
	"runtime/debug"
	measures "runtime/metrics"
	"sync/atomic"
)

const (
	// headroom is how much garbage there may be before it is collected, unless what is in use grows.
	headroom = 32 << 20
	// growth is how much there may be of what is in use, in hundredths. Most of the memory of a server is that of idle connections, which
	// handshakes leave with holes: at half the growth that Go chooses it stays a tenth smaller, and few collections are needed.
	growth = 50
	// growing is how much there may be while more than one in retained of the bytes allocated stay in use, as when many connect: what stays of a handshake
	// lies among its garbage, and less garbage leaves fewer pages that are held for little.
	growing, retained = 25, 8
	// leastLive is what is in use at least: nothing was measured before the first collection.
	leastLive = 4 << 20
)

// PaceCollector sets how often this program, a server, collects garbage: not before there are 32 MiB of it, or half of what is in use, but at a quarter
// of either while much of what is allocated stays. By a part of what is in use alone, a server with little in use would spend a tenth of its time on
// collections when messages come. It returns what ends it.
func PaceCollector() (stop func()) {
	return new(collector).pace()
}

func (p *collector) pace() (stop func()) {
	before := p.set(percentFor(heap{}, heap{}))
	p.watch()
	return func() {
		p.stopped.Store(true)
		debug.SetGCPercent(before)
	}
}

// collector looks after each collection when the next one is due.
type collector struct {
	stopped atomic.Bool
	looks   atomic.Int64 // how often it did; for tests
	percent int
	latest  heap
}

// heap is what a collection found, in bytes.
type heap struct {
	live      uint64
	allocated uint64 // since the start of the program
}

// cycle is an object that nobody holds: it goes with the next collection.
type cycle struct{ _ *byte }

func (p *collector) watch() {
	runtime.AddCleanup(new(cycle), func(p *collector) {
		if p.stopped.Load() {
			return
		}
		found := []measures.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/heap/allocs:bytes"}}
		measures.Read(found)
		now := heap{found[0].Value.Uint64(), found[1].Value.Uint64()}
		p.set(percentFor(now, p.latest))
		p.latest = now
		p.watch()
		p.looks.Add(1)
	}, p)
}

// set sets the pace, unless it is nearly what it was, and returns what was set before.
func (p *collector) set(percent int) (before int) {
	if change := percent - p.percent; change*change < p.percent*p.percent/64 {
		return p.percent
	}
	p.percent = percent
	return debug.SetGCPercent(percent)
}

// percentFor returns how much may be allocated before the next collection, in hundredths of what is in use now.
func percentFor(now, before heap) int {
	if now.live > before.live+(now.allocated-before.allocated)/retained && before != (heap{}) {
		return max(growing, percentOf(headroom/4, now.live))
	}
	return max(growth, percentOf(headroom, now.live))
}

// percentOf returns how much so many bytes are in hundredths of what is in use.
func percentOf(n, live uint64) int { return int(n * 100 / max(live, leastLive)) }
