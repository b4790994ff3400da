package mux

import (
	"encoding/binary"
	"io"
	"sync"
	"time"

	"github.com/quicproquo/qpq/transport"
)

// At most maxPings may come in any pingWindow. yamux starts a goroutine for each, which waits for as long as the peer reads no
// answers. A peer that keeps to muxConfig sends one in 25 seconds.
const (
	maxPings   = 16
	pingWindow = 10 * time.Second
)

// guard stands between yamux and the connection, and ends it at what would cost too much. Data frames it hands on in pieces
// that have arrived: yamux takes room on the word of a header, and lets nobody read a stream before the frame under way has come
// whole. What is not read it counts, and reads on only when there is room again (see flow).
type guard struct {
	over  io.ReadWriteCloser
	head  [headerSize]byte
	have  int    // bytes of the header that have come
	rest  uint32 // bytes of the payload of a data frame that are still to come
	flags uint16 // of that frame, those not handed on yet
	pings [maxPings]time.Time
	next  int // the oldest of pings
	err   error
	body  uint32 // bytes of a payload that are still to be written

	mu     sync.Mutex
	room   sync.Cond // there is more of it, or nobody needs it any more
	flows  map[uint32]*flow
	held   int // the sum of all peaks
	closed bool
}

func newGuard(c io.ReadWriteCloser) *guard {
	g := &guard{over: c, flows: map[uint32]*flow{}}
	g.room.L = &g.mu
	return g
}

// A header of yamux (its spec.md, "Framing"), big-endian: version uint8, type uint8, flags uint16, stream uint32, length uint32. The
// length is that of a payload only in data frames.
const headerSize = 12

const (
	typeData   = 0
	typeWindow = 1
	typePing   = 2
	typeGoAway = 3 // the last one

	flagSYN = 1
	flagACK = 2
	flagFIN = 4
	flagRST = 8
)

// Read implements io.ReadWriteCloser. b has room for more than a header: yamux reads 4 KiB at a time.
func (g *guard) Read(b []byte) (n int, err error) {
	if len(b) <= headerSize {
		return 0, io.ErrShortBuffer
	}
	for n == 0 && err == nil {
		if g.rest == 0 {
			n, err = g.header(b)
		} else {
			n, err = g.piece(b)
		}
	}
	return n, err
}

// fill reads what has come. An error waits until the bytes that came with it have been looked at.
func (g *guard) fill(b []byte) (int, error) {
	if g.err != nil {
		return 0, g.err
	}
	n, err := g.over.Read(b)
	if n > 0 {
		g.err, err = err, nil
	}
	return n, err
}

// header reads on in a header. It hands it on once it is whole, unless there is a payload: that comes in pieces.
func (g *guard) header(b []byte) (int, error) {
	n, err := g.fill(g.head[g.have:])
	if g.have += n; err != nil || g.have < headerSize {
		return 0, err
	}
	g.have = 0
	version, kind, length := g.head[0], g.head[1], binary.BigEndian.Uint32(g.head[8:])
	g.flags = binary.BigEndian.Uint16(g.head[2:])
	switch {
	case version != 0 || kind > typeGoAway:
		return 0, transport.Closed{Code: transport.CodeMalformed}
	case kind == typePing && g.flags&flagSYN != 0:
		if err := g.ping(time.Now()); err != nil {
			return 0, err
		}
	case kind <= typeWindow && g.flags&flagSYN != 0 && !g.open(g.stream()):
		return 0, transport.Closed{Code: transport.CodeUnwelcome}
	}
	if kind == typeData && length > 0 {
		g.rest = length
		return 0, nil
	}
	if kind <= typeWindow && g.flags&(flagFIN|flagRST) != 0 {
		g.end(g.stream())
	}
	return copy(b, g.head[:]), nil
}

// stream returns the number in the header.
func (g *guard) stream() uint32 { return binary.BigEndian.Uint32(g.head[4:]) }

// piece hands on what has come of a payload as a frame of its own; nothing of a stream that nobody reads. The first
// piece begins the stream, the last one ends it.
func (g *guard) piece(b []byte) (int, error) {
	f := g.wait(g.stream())
	n, err := g.fill(b[headerSize : headerSize+min(int64(g.rest), int64(len(b)-headerSize))])
	if n == 0 {
		return 0, err
	}
	g.rest -= uint32(n)
	if !g.arrive(f, n) {
		n = 0
	}
	flags := g.flags
	if g.rest > 0 {
		flags &= flagSYN | flagACK
	}
	if g.flags &^= flags; flags&(flagFIN|flagRST) != 0 {
		g.end(g.stream())
	}
	if n == 0 && flags == 0 {
		return 0, nil
	}
	copy(b, g.head[:])
	binary.BigEndian.PutUint16(b[2:], flags)
	binary.BigEndian.PutUint32(b[8:], uint32(n))
	return headerSize + n, nil
}

// ping counts a ping.
func (g *guard) ping(now time.Time) error {
	if oldest := g.pings[g.next]; !oldest.IsZero() && now.Sub(oldest) < pingWindow {
		return transport.Closed{Code: transport.CodeUnwelcome}
	}
	g.pings[g.next] = now
	g.next = (g.next + 1) % maxPings
	return nil
}

// Write implements io.ReadWriteCloser. yamux begins a Write with each header, and writes from one goroutine.
func (g *guard) Write(b []byte) (int, error) {
	if g.body > 0 {
		g.body -= uint32(len(b))
		return g.over.Write(b)
	}
	kind, flags, id := b[1], binary.BigEndian.Uint16(b[2:]), binary.BigEndian.Uint32(b[4:])
	if kind == typeData {
		g.body = binary.BigEndian.Uint32(b[8:]) - uint32(len(b)-headerSize)
	}
	if kind <= typeWindow && flags&flagSYN != 0 {
		g.open(id)
	}
	if kind <= typeWindow && flags&flagRST != 0 {
		g.end(id)
	}
	return g.over.Write(b)
}

// Close implements io.ReadWriteCloser. yamux calls it when it has begun to end, and may have to wait for the goroutine that reads. From
// then until it has ended, who waits on a stream does not rest but looks again and again, which where there is one thread and no
// preemption (js/wasm) is for ever: so they are interrupted.
func (g *guard) Close() error {
	g.mu.Lock()
	g.closed = true
	for _, f := range g.flows {
		f.interrupt()
	}
	g.room.Broadcast()
	g.mu.Unlock()
	return g.over.Close()
}
