package node

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/wire"
)

// memory bounds the bytes of requests and replies that are under way: without it, many connections that each
// send a large request slowly, or leave a large reply unread, would fill the machine. Strangers have a quarter of it, accounts
// the rest; and of each an address or a device has no more than an eighth. What finds no room waits, and what is slow
// then makes way.
type memory struct{ strangers, accounts pool }

func (m *memory) init(bytes int) {
	m.strangers.init(bytes / 4)
	m.accounts.init(bytes - bytes/4)
}

const (
	// free is up to how many bytes a call takes no room: connections and lanes are bounded by themselves.
	free = 16 << 10
	// roomWithin is how long a call waits for room.
	roomWithin = 10 * time.Second
	// leastPace is how many bytes a second of a request or reply have to move when others wait for its room.
	leastPace = 512 << 10
	// paceAfter is for how long no pace is asked of it.
	paceAfter = 2 * time.Second
	// lookEvery is how often it is looked for who makes way, as long as anybody waits.
	lookEvery = time.Second
)

// transfer is a call that comes in or whose reply goes out: a transport.Transfer.
type transfer interface {
	Pace() (bytes int, over time.Duration)
	GiveUp()
}

// claim is room that a call holds or waits for.
type claim struct {
	transfer
	by      *holder
	n       int
	granted chan struct{} // closed when it holds it
}

// holder is an address or a device that holds room or waits for it.
type holder struct {
	who    string
	claims int
	held   int
	served int // its latest turn, zero before the first
}

// pool is room that is shared. Those who hold least have their turn first, among them whose latest turn was first, and then who
// came first.
type pool struct {
	share int // of one holder

	mu      sync.Mutex
	left    int
	turn    int
	holders map[string]*holder
	holding map[*claim]struct{}
	waiting []*claim
	looking bool // somebody looks for who makes way in a while
}

func (p *pool) init(bytes int) {
	*p = pool{left: bytes, share: bytes / 8, holders: map[string]*holder{}, holding: map[*claim]struct{}{}}
}

// take waits until there is room for n bytes, and returns what gives it back.
func (p *pool) take(ctx context.Context, who string, n int, t transfer) (release func(), err error) {
	c := &claim{transfer: t, n: min(n, p.share), granted: make(chan struct{})} // a larger one passes alone
	p.mu.Lock()
	if c.by = p.holders[who]; c.by == nil {
		c.by = &holder{who: who}
		p.holders[who] = c.by
	}
	c.by.claims++
	p.waiting = append(p.waiting, c)
	p.grant()
	if len(p.waiting) > 0 && !p.looking {
		p.look()
	}
	p.mu.Unlock()
	select {
	case <-c.granted:
	case <-ctx.Done():
		if p.leave(c) {
			return nil, qpq.E(qpq.Unavailable, "busy", "the server handles as many large requests as it can: try again later")
		}
	}
	return func() { p.release(c) }, nil
}

// leave takes a claim out of those that wait, and reports whether it still waited.
func (p *pool) leave(c *claim) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.drop(c) {
		return false
	}
	p.forget(c)
	p.grant() // it may be the turn of another, who needs less
	return true
}

// drop takes a claim out of those that wait, and reports whether it still waited. The caller holds the lock.
func (p *pool) drop(c *claim) bool {
	i := slices.Index(p.waiting, c)
	if i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
	}
	return i >= 0
}

func (p *pool) release(c *claim) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.holding, c)
	p.left += c.n
	c.by.held -= c.n
	p.forget(c)
	p.grant()
}

// forget takes a claim off its holder. The caller holds the lock.
func (p *pool) forget(c *claim) {
	if c.by.claims--; c.by.claims == 0 {
		delete(p.holders, c.by.who)
	}
}

// grant gives room to those whose turn it is. The caller holds the lock.
func (p *pool) grant() {
	for c := p.next(); c != nil && c.n <= p.left; c = p.next() {
		p.drop(c)
		p.holding[c] = struct{}{}
		p.left -= c.n
		p.turn++
		c.by.held += c.n
		c.by.served = p.turn
		close(c.granted)
	}
}

// next returns whose turn it is: nil where all that wait have their share. The caller holds the lock.
func (p *pool) next() (next *claim) {
	for _, c := range p.waiting {
		if c.by.held+c.n <= p.share && (next == nil || before(c, next) < 0) {
			next = c
		}
	}
	return next
}

// before compares whose turn is first, of two that wait.
func before(a, b *claim) int {
	return cmp.Or(cmp.Compare(a.by.held, b.by.held), cmp.Compare(a.by.served, b.by.served))
}

// look makes way for those who wait, and goes on so as long as anybody does. The caller holds the lock.
func (p *pool) look() {
	if p.looking = len(p.waiting) > 0; !p.looking {
		return
	}
	p.makeWay()
	time.AfterFunc(lookEvery, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.look()
	})
}

// makeWay tells the slowest to go, so many that there is room for those who have the next turns. Who holds no more than they do
// stays. The caller holds the lock.
func (p *pool) makeWay() {
	slow, room := p.slow(), p.left
	for _, next := range p.turns() {
		var leave, stay []*claim
		for _, c := range slow {
			if room < next.n && c.by.held > next.by.held {
				leave = append(leave, c)
				room += c.n
			} else {
				stay = append(stay, c)
			}
		}
		if room < next.n {
			return // nobody leaves in vain
		}
		for _, c := range leave {
			c.GiveUp()
		}
		slow = stay
		room -= next.n
	}
}

// slow returns those who do not keep the least pace, the slowest first. The caller holds the lock.
func (p *pool) slow() (all []*claim) {
	paces := map[*claim]float64{}
	for c := range p.holding {
		bytes, over := c.Pace()
		if pace := float64(bytes) / over.Seconds(); over >= paceAfter && pace < leastPace {
			paces[c] = pace
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b *claim) int { return cmp.Compare(paces[a], paces[b]) })
	return all
}

// turns returns whose turns are next, one of each holder. The caller holds the lock.
func (p *pool) turns() (all []*claim) {
	seen := map[*holder]bool{}
	for _, c := range p.waiting {
		if !seen[c.by] && c.by.held+c.n <= p.share {
			seen[c.by] = true
			all = append(all, c)
		}
	}
	slices.SortStableFunc(all, before)
	return all
}

func nothing() {}

// room answers transport.ServerConfig.Admit: it looks at what can be known of a request before all of it is read.
func (s *Server) room(c *transport.ServerConn, t transport.Transfer, ordinal uint16, length int) (release func(), status uint16, reply []byte) {
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
		release, err = s.takeRoom(c.Context(), by, length+max(r.reply, length), t)
	}
	if err != nil {
		s.record(by, name, err, start)
		status, reply = wire.EncodeError(err)
		return nil, status, reply
	}
	return release, 0, nil
}

// takeRoom waits for room on the account of whoever the connection has proved to be.
func (s *Server) takeRoom(ctx context.Context, c *conn, n int, t transfer) (release func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, roomWithin)
	defer cancel()
	if payer := c.payer(time.Now()); payer != "" {
		return s.memory.accounts.take(ctx, payer, n, t)
	}
	return s.memory.strangers.take(ctx, c.address, n, t)
}
