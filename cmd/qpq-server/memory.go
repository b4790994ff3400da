package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// lookEvery is how often it is looked whether memory can be given back.
	lookEvery = 20 * time.Second
	// backMost is how often it is given back at most: a collection of all that is alive costs processor time.
	backMost = 2 * time.Minute
	// worthwhile is how many bytes are worth it.
	worthwhile = 8 << 20
)

// usage is what the runtime tells of the process's memory, in bytes.
type usage struct {
	allocated uint64 // since the start
	live      uint64 // on the heap when it was last collected
	garbage   uint64 // or not looked at yet
	free      uint64 // held for what may come
}

func readUsage() usage {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/free:bytes"}}
	metrics.Read(s)
	live, objects := s[1].Value.Uint64(), s[2].Value.Uint64()
	return usage{allocated: s[0].Value.Uint64(), live: live, garbage: objects - min(objects, live), free: s[3].Value.Uint64()}
}

// rests reports whether little was done since before. A server whose clients are idle allocates a little for the packets that keep their
// connections.
func (u usage) rests(before usage) bool {
	return u.allocated-before.allocated < max(worthwhile, u.live/4)
}

// spare reports whether so much can be given back that it is worth the work.
func (u usage) spare() bool { return u.garbage+u.free >= max(worthwhile, u.live/8) }

// rest gives memory back to the system when the server has nothing to do after it had much, until ctx is done. The runtime by itself keeps half as
// much again as what is alive, which after a morning when everybody connects is what thousands of idle connections take.
func rest(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	before, last := readUsage(), time.Time{}
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		now := readUsage()
		if now.rests(before) && now.spare() && time.Since(last) >= backMost {
			giveBack()
			now, last = readUsage(), time.Now()
		}
		before = now
	}
}

// giveBack collects twice, because what pools hold outlives a collection.
func giveBack() {
	debug.FreeOSMemory()
	debug.FreeOSMemory()
}
