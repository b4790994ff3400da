package node

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/wire"
)

// memory bounds the bytes of requests and replies that are under way: without it, many connections that each
// send a large request slowly, or leave a large reply unread, would fill the machine. Strangers and accounts
// have a half each, and nobody more than a quarter of that. What finds no room waits.
type memory struct{ strangers, accounts pool }

func (m *memory) init(bytes int) {
	for _, p := range []*pool{&m.strangers, &m.accounts} {
		*p = pool{left: bytes / 2, share: bytes / 8, held: map[string]int{}, freed: make(chan struct{})}
	}
}

const (
	// free is up to how many bytes a call takes no room: connections and lanes are bounded by themselves.
	free = 16 << 10
	// roomWithin is how long a call waits for room.
	roomWithin = 10 * time.Second
)

// pool is room that is shared.
type pool struct {
	share int // of one holder

	mu    sync.Mutex
	left  int
	held  map[string]int
	freed chan struct{} // closed and replaced when room comes back
}

// take waits until there is room for n bytes, and returns what gives it back.
func (p *pool) take(ctx context.Context, who string, n int) (release func(), err error) {
	n = min(n, p.share) // a larger one passes alone
	for {
		p.mu.Lock()
		if p.left >= n && p.held[who]+n <= p.share {
			p.left -= n
			p.held[who] += n
			p.mu.Unlock()
			return func() { p.release(who, n) }, nil
		}
		freed := p.freed
		p.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
			return nil, qpq.E(qpq.Unavailable, "busy", "the server handles as many large requests as it can: try again later")
		}
	}
}

func (p *pool) release(who string, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left += n
	if p.held[who] -= n; p.held[who] == 0 {
		delete(p.held, who)
	}
	close(p.freed)
	p.freed = make(chan struct{})
}

func nothing() {}

// room answers transport.ServerConfig.Admit: it looks at what can be known of a request before all of it is read.
func (s *Server) room(c *transport.ServerConn, ordinal uint16, length int) (release func(), status uint16, reply []byte) {
	by, start, name := c.Value.(*conn), time.Now(), "unknown"
	h, r, err := s.find(ordinal)
	if length+r.reply <= free {
		return nothing, 0, nil // dispatch refuses it, if need be
	}
	if err == nil {
		name = h.Method.Name
		if err = s.fits(by, h.Method, r, length, start); err != nil {
			err = cmp.Or(s.rates.take(by, r.cost, start), err)
		}
	}
	if err == nil {
		release, err = s.takeRoom(c.Context(), by, length+max(r.reply, length))
	}
	if err != nil {
		s.record(by, name, err, start)
		status, reply = wire.EncodeError(err)
		return nil, status, reply
	}
	return release, 0, nil
}

// takeRoom waits for room on the account of whoever the connection has proved to be.
func (s *Server) takeRoom(ctx context.Context, c *conn, n int) (release func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, roomWithin)
	defer cancel()
	if payer := c.payer(time.Now()); payer != "" {
		return s.memory.accounts.take(ctx, payer, n)
	}
	return s.memory.strangers.take(ctx, c.address, n)
}
