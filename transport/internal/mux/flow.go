package mux

import (
	"time"

	"github.com/hashicorp/yamux"

	"github.com/quicproquo/qpq/transport"
)

// yamux has a window for each stream, of 256 KiB at least, and none for the connection. maxUnread takes its place: the payloads
// that are held unread. The buffers that yamux holds them in are up to twice as large.
const maxUnread = transport.ConnectionWindow / 2

// A stream whose bytes were all read keeps its buffer for more to come until it ends, unless the connection then holds more than maxKept.
const maxKept = maxUnread / 4

// flow counts what a stream has brought and nobody has read. guard.mu guards it.
type flow struct {
	unread int
	peak   int  // the most that unread has been since the buffer was last given back
	dead   bool // nobody reads it any more: what still comes is not handed on
	done   bool // this end has ended it
	over   bool // so has the other, or it was reset

	stream *yamux.Stream // nil until somebody has it
}

// open begins to count what a stream brings. It reports whether there may be one more, and of this number.
func (g *guard) open(id uint32) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.flows[id] != nil || len(g.flows) >= maxHeld {
		return false
	}
	g.flows[id] = &flow{}
	return true
}

// begin returns the flow of a stream that this end has not ended. One that is not counted, because the connection is ending or has too
// many, can only fail.
func (g *guard) begin(s *yamux.Stream) *flow {
	g.mu.Lock()
	defer g.mu.Unlock()
	f := g.flows[s.StreamID()]
	counted := f != nil
	if !counted {
		f = &flow{dead: true}
	}
	if f.stream = s; g.closed || !counted {
		f.interrupt()
	}
	return f
}

// interrupt has calls fail that wait on the stream.
func (f *flow) interrupt() {
	if f.stream != nil {
		_ = f.stream.SetDeadline(time.Unix(1, 0))
	}
}

// wait waits until there is room for more of a stream, and returns its flow; nil if nobody reads it.
func (g *guard) wait(id uint32) *flow {
	g.mu.Lock()
	defer g.mu.Unlock()
	for {
		f := g.flows[id]
		if f == nil || f.dead || g.closed {
			return nil
		}
		if g.held < maxUnread {
			return f
		}
		g.room.Wait()
	}
}

// arrive counts bytes that have come, and reports whether anybody reads them.
func (g *guard) arrive(f *flow, n int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f == nil || f.dead {
		return false
	}
	f.unread += n
	if more := f.unread - f.peak; more > 0 {
		f.peak += more
		g.held += more
	}
	return true
}

// take counts bytes that were read, and reports whether they still count. When all were, shrink may give back the buffer, to which
// nothing is added meanwhile.
func (g *guard) take(f *flow, n int, shrink func()) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f.dead {
		return false
	}
	f.unread -= n
	if f.unread == 0 && (g.held > maxKept || f.done && f.over) {
		shrink()
		g.free(f)
	}
	return true
}

// abandon says that nobody reads a stream any more, and reports whether that is news.
func (g *guard) abandon(f *flow) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f.dead {
		return false
	}
	f.dead = true
	g.room.Broadcast()
	return true
}

// release says that the buffer of a stream is empty and given back.
func (g *guard) release(f *flow) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.free(f)
}

// free gives back the room of a flow. The caller holds the lock.
func (g *guard) free(f *flow) {
	g.held -= f.peak
	f.unread, f.peak = 0, 0
	g.room.Broadcast()
}

// finish says that this end has ended a stream.
func (g *guard) finish(id uint32) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f := g.flows[id]; f != nil {
		f.done = true
		g.forget(id, f)
	}
}

// end says that the peer has ended a stream, or one of both has reset it.
func (g *guard) end(id uint32) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f := g.flows[id]; f != nil {
		f.over = true
		g.forget(id, f)
	}
}

// forget lets go of a stream that both have ended. What it brought counts until it was read. The caller holds the lock.
func (g *guard) forget(id uint32, f *flow) {
	if !f.done || !f.over {
		return
	}
	delete(g.flows, id)
	if f.unread == 0 {
		g.free(f)
	}
}
