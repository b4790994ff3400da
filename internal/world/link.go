package world

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/wire"
)

// Net is the network between the devices and the server.
type Net struct {
	w *World

	mu    sync.Mutex
	conns map[*conn]struct{}
}

// Weather is how a network treats its traffic.
type Weather struct {
	Delay time.Duration // the most that a request or a reply takes
	Loss  float64       // of calls: the connection breaks at it
}

// line is what connects one device, and its troubles.
type line struct {
	net  *Net
	name string      // of the device
	dead func() bool // whether the device is

	mu     sync.Mutex
	rand   *rand.Rand
	open   chan struct{}   // closed while traffic passes
	heard  chan struct{}   // closed while the device reads what the server says by itself
	breaks map[string]fate // of the next calls of methods
	calls  map[string]int  // made so far, by method
	storm  bool            // there were so many that the line was cut for good
}

// storm is how many calls of one method, of one device in one history, are too many; stormOfCommits is the same for commits.
const (
	storm          = 20_000
	stormOfCommits = 1_000
)

func (n *Net) newLine(device string, index uint64) *line {
	l := &line{net: n, name: device, rand: rand.New(rand.NewPCG(n.w.seed, index)), open: make(chan struct{}), heard: make(chan struct{}), breaks: map[string]fate{}, calls: map[string]int{}}
	close(l.open)
	close(l.heard)
	return l
}

// cut takes a device off the network, or brings it back. What is on the way waits, or is lost and sent again where there are datagrams.
func (l *line) cut(off bool) {
	if !l.net.w.driver.network.Part(l.name, off) {
		l.gate(&l.open, off)
	}
}

// deafen makes a device read nothing that the server says by itself, or read it again.
func (l *line) deafen(off bool) { l.gate(&l.heard, off) }

// heal ends all troubles of the line.
func (l *line) heal() {
	l.cut(false)
	l.deafen(false)
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.breaks)
}

// breakAt says what becomes of the next call of a method.
func (l *line) breakAt(method string, f fate) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.breaks[method] = f
}

func (l *line) gate(gate *chan struct{}, shut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.storm {
		return
	}
	select {
	case <-*gate:
		if shut {
			*gate = make(chan struct{})
		}
	default:
		if !shut {
			close(*gate)
		}
	}
}

// passes returns what is closed while traffic passes.
func (l *line) passes(push bool) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.open:
		if push {
			return l.heard
		}
	default:
	}
	return l.open
}

func (l *line) delay() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.net.w.driver.network.Carries() {
		return 0
	}
	return l.net.w.weather().delay(l.rand)
}

// fate is what becomes of a call.
type fate int

const (
	arrives    fate = iota
	lost            // before it reaches the server
	unanswered      // after the server has carried it out
	torn            // while the server carries it out
)

func (l *line) fate(method string) fate {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls[method]++
	most := storm
	if method == (wire.ChannelCommit{}).Method().Name {
		most = stormOfCommits
	}
	if l.calls[method] > most && !l.storm {
		l.storm, l.open = true, make(chan struct{})
		l.net.w.fail("%s calls without end: %v", l.name, l.calls)
	}
	if f, ok := l.breaks[method]; ok {
		delete(l.breaks, method)
		return f
	}
	if l.net.w.driver.network.Carries() || l.rand.Float64() >= l.net.w.weather().Loss {
		return arrives
	}
	return lost + fate(l.rand.IntN(3))
}

// dial is a client.Dialer.
func (l *line) dial(ctx context.Context, _ string, _ func(tls.ConnectionState) error) (transport.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	select {
	case <-l.passes(false):
	case <-ctx.Done():
		return nil, errDown
	}
	if l.dead() {
		return nil, errDown
	}
	if r, err := l.net.w.devices[l.name].program(); err == nil && l.net.w.plant.Profile != nil {
		if err := l.net.w.plant.Profile(r.profile); err != nil {
			return nil, err
		}
	}
	under, err := l.net.w.driver.network.Dial(ctx, l.name)
	if err != nil && qpq.CodeOf(err) == "" {
		return nil, qpq.Wrap(qpq.Unavailable, errDown.Code, "nobody answers", err)
	}
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: under, line: l}
	l.net.mu.Lock()
	l.net.conns[c] = struct{}{}
	l.net.mu.Unlock()
	oracle, device := l.net.w.oracle, l.net.w.devices[l.name]
	var seen transport.Conn = &tap{Conn: c,
		reply: func(method string, status uint16, b []byte) []byte {
			oracle.delivered(device, method, status, b)
			return b
		},
		push: func(b []byte) bool {
			oracle.pushed(device, b)
			return true
		}}
	if l.net.w.plant.Conn != nil {
		seen = l.net.w.plant.Conn(seen)
	}
	return seen, nil
}

// cutAll is for when the server has died. It breaks all connections, where they do not find out by themselves.
func (n *Net) cutAll() {
	if !n.w.driver.network.Kill("server") {
		n.breakThose(func(*line) bool { return true })
	}
}

// vanish is for when the device has died.
func (l *line) vanish() {
	if !l.net.w.driver.network.Kill(l.name) {
		l.breakAll()
	}
}

// breakAll breaks the connections of one device.
func (l *line) breakAll() { l.net.breakThose(func(other *line) bool { return other == l }) }

func (n *Net) breakThose(which func(*line) bool) {
	n.mu.Lock()
	var gone []*conn
	for c := range n.conns {
		if which(c.line) {
			gone = append(gone, c)
			delete(n.conns, c)
		}
	}
	n.mu.Unlock()
	for _, c := range gone {
		_ = c.Conn.Close(transport.CodeDone, "")
	}
}

// conn is a connection through the network, at the device.
type conn struct {
	transport.Conn
	line *line
}

func (c *conn) Open(ctx context.Context) (transport.Stream, error) {
	s, err := c.Conn.Open(ctx)
	if err != nil {
		return nil, err
	}
	return &stream{Stream: s, conn: c, gone: make(chan struct{})}, nil
}

func (c *conn) Accept(ctx context.Context) (transport.Stream, error) {
	s, err := c.Conn.Accept(ctx)
	if err != nil {
		return nil, err
	}
	return &stream{Stream: s, conn: c, gone: make(chan struct{}), push: true}, nil
}

func (c *conn) Close(code transport.Code, text string) error {
	c.line.net.mu.Lock()
	delete(c.line.net.conns, c)
	c.line.net.mu.Unlock()
	return c.Conn.Close(code, text)
}

// stream is a lane, or what the server pushes on.
type stream struct {
	transport.Stream
	conn *conn
	push bool
	once sync.Once
	gone chan struct{} // closed by Reset

	left  int  // bytes of the request that are still to come
	fate  fate // of the call under way
	fresh bool // nothing of its reply was read
}

// Write carries requests, whose frames begin with their length and the number of the method.
func (s *stream) Write(b []byte) (int, error) {
	if s.left == 0 && len(b) >= 8 {
		s.left = 8 + int(binary.LittleEndian.Uint32(b))
		s.fate, s.fresh = s.conn.line.fate(methodName(binary.LittleEndian.Uint16(b[4:]))), true
		if !s.wait() {
			return 0, net.ErrClosed
		}
	}
	s.left -= len(b)
	if s.fate == lost {
		s.conn.line.breakAll()
		return 0, net.ErrClosed
	}
	n, err := s.Stream.Write(b)
	if s.fate == torn && s.left <= 0 {
		s.conn.line.breakAll()
	}
	return n, err
}

// Read carries replies, or what the server says by itself.
func (s *stream) Read(b []byte) (int, error) {
	n, err := s.Stream.Read(b)
	if err != nil {
		return n, err
	}
	if s.fate == unanswered {
		s.conn.line.breakAll()
		return 0, net.ErrClosed
	}
	if s.fresh || s.push {
		s.fresh = false
		if !s.wait() {
			return 0, net.ErrClosed
		}
	}
	return n, nil
}

// wait waits as long as the way takes, and while nothing passes. It reports whether the stream is still there then.
func (s *stream) wait() bool {
	timer := time.NewTimer(s.conn.line.delay())
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.gone:
		return false
	case <-s.conn.Done():
		return false
	}
	select {
	case <-s.conn.line.passes(s.push):
		return true
	case <-s.gone:
		return false
	case <-s.conn.Done():
		return false
	}
}

// Reset implements transport.Stream.
func (s *stream) Reset(code transport.Code) {
	s.once.Do(func() { close(s.gone) })
	s.Stream.Reset(code)
}

// methodName returns the name of a method by its number.
func methodName(ordinal uint16) string {
	for _, m := range (wire.Table[struct{}]{}).Missing() {
		if m.Ordinal == ordinal {
			return m.Name
		}
	}
	return ""
}
