package tlsmux

import (
	"encoding/binary"
	"net"
	"time"

	"github.com/quicproquo/qpq/transport"
)

// At most maxPings may come in any pingWindow. yamux starts a goroutine for each, which waits for as long as the peer reads no
// answers. A peer that keeps to muxConfig sends one in 25 seconds.
const (
	maxPings   = 16
	pingWindow = 10 * time.Second
)

// guard reads the headers of the yamux frames that pass through it, and ends the connection at what would cost too much.
type guard struct {
	net.Conn
	head  [headerSize]byte
	have  int    // bytes of the header that have come
	skip  uint32 // bytes of a payload that are still to come
	pings [maxPings]time.Time
	next  int // the oldest of pings
	err   error
}

// A header of yamux (its spec.md, "Framing"), big-endian: version uint8, type uint8, flags uint16, stream uint32, length uint32. The
// length is that of a payload only in data frames.
const headerSize = 12

const (
	typeData   = 0
	typePing   = 2
	typeGoAway = 3 // the last one
	flagSYN    = 1
)

// Read implements net.Conn.
func (g *guard) Read(b []byte) (int, error) {
	if g.err != nil {
		return 0, g.err
	}
	n, err := g.Conn.Read(b)
	if g.err = g.pass(b[:n]); g.err != nil {
		return 0, g.err
	}
	return n, err
}

// pass looks at bytes that came. Its error ends the connection.
func (g *guard) pass(b []byte) error {
	for len(b) > 0 {
		if n := min(uint32(len(b)), g.skip); n > 0 {
			g.skip -= n
			b = b[n:]
			continue
		}
		n := copy(g.head[g.have:], b)
		b = b[n:]
		if g.have += n; g.have < headerSize {
			return nil
		}
		g.have = 0
		if err := g.frame(); err != nil {
			return err
		}
	}
	return nil
}

// frame looks at a header that is complete.
func (g *guard) frame() error {
	version, kind, flags := g.head[0], g.head[1], binary.BigEndian.Uint16(g.head[2:])
	switch {
	case version != 0 || kind > typeGoAway:
		return transport.Closed{Code: transport.CodeMalformed}
	case kind == typeData:
		g.skip = binary.BigEndian.Uint32(g.head[8:])
	case kind == typePing && flags&flagSYN != 0:
		return g.ping(time.Now())
	}
	return nil
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
