package node

import (
	"runtime"
	"runtime/debug"
	measures "runtime/metrics"
	"sync/atomic"
)

const (
	// headroom is how much garbage there may be before it is collected, whatever else there is.
	headroom = 32 << 20
	// growth is how much there may be of what is in use, in hundredths. Most of the memory of a server is that of idle connections, which
	// handshakes leave with holes: at half the growth that Go chooses it stays a tenth smaller, and few collections are needed.
	growth = 50
	// leastLive is what is in use at least: nothing was measured before the first collection.
	leastLive = 4 << 20
)

// PaceCollector sets how often this program, a server, collects garbage: not before there are 32 MiB of it, or half of what is in use. By a part of what
// is in use alone, a server with little in use would spend a tenth of its time on collections when messages come. It returns what ends it.
func PaceCollector() (stop func()) {
	p := &collector{}
	before := p.set(0)
	p.watch()
	return func() {
		p.stopped.Store(true)
		debug.SetGCPercent(before)
	}
}

// collector looks after each collection when the next one is due.
type collector struct {
	stopped atomic.Bool
	percent int
}

// cycle is an object that nobody holds: it goes with the next collection.
type cycle struct{ _ *byte }

func (p *collector) watch() {
	runtime.AddCleanup(new(cycle), func(p *collector) {
		if p.stopped.Load() {
			return
		}
		live := []measures.Sample{{Name: "/gc/heap/live:bytes"}}
		measures.Read(live)
		p.set(live[0].Value.Uint64())
		p.watch()
	}, p)
}

// set sets the pace for so many bytes in use, unless it is nearly what it was, and returns what was set before.
func (p *collector) set(live uint64) (before int) {
	next := percentFor(live)
	if change := next - p.percent; change*change < p.percent*p.percent/64 {
		return p.percent
	}
	p.percent = next
	return debug.SetGCPercent(next)
}

// percentFor returns how much may be allocated before the next collection, in hundredths of what is in use.
func percentFor(live uint64) int {
	return max(growth, int(headroom*100/max(live, leastLive)))
}
