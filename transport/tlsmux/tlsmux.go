// Package tlsmux carries connections over TLS 1.3 on TCP, with yamux to make many streams of one: where UDP does not
// get through, and for anonymity networks, which have none.
package tlsmux

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/yamux"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/transport"
)

// handshakeTime bounds the TLS handshake of a client.
const handshakeTime = 10 * time.Second

// maxHandshakes bounds how many clients may be shaking hands at a time. One more ends the handshake that began first, so
// that clients who never say anything keep nobody out.
const maxHandshakes = 256

// maxStreams is how many lanes a client has at a time, and how many are served. yamux itself knows no bound.
const maxStreams = 64

// maxHeld is how many streams a connection may have that are not forgotten: served, waiting, or given up without the peer having
// done so. A peer that opens more keeps to no rules.
const maxHeld = 3 * maxStreams

// closeTime is for how long a stream that was given up here is kept until the peer gives it up too.
const closeTime = 20 * time.Second

// resetTime is for how long the peer may take nothing before a stream that is given up ends the connection: yamux lets a Write under way
// wait until all before it was taken.
const resetTime = 5 * time.Second

func muxConfig() *yamux.Config {
	c := yamux.DefaultConfig()
	c.AcceptBacklog = maxHeld // guard lets no more come
	c.StreamCloseTimeout = closeTime
	c.ConnectionWriteTimeout = 20 * time.Second // the peer may read nothing more while its calls wait for room
	c.KeepAliveInterval = 25 * time.Second
	c.LogOutput = io.Discard
	return c
}

// Listener accepts connections on a TCP port.
type Listener struct {
	tcp    net.Listener
	config *tls.Config
	accept chan transport.Conn
	done   chan struct{}
	once   sync.Once
	group  sync.WaitGroup

	mu         sync.Mutex
	handshakes []net.Conn // those that go on, the oldest first
	closed     bool
}

// Listen opens a TCP port: "host:port", "[v6]:port" or ":port", which is both IPv4 and IPv6. A port that is taken gives an error of
// kind qpq.Exists.
func Listen(address string, c *tls.Config) (*Listener, error) {
	tcp, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, transport.ErrPortTaken("TCP", address, err)
	}
	if err != nil {
		return nil, qpq.Wrap(qpq.Unavailable, "cannot-listen", fmt.Sprintf("cannot listen on TCP %s: %v", address, err), err)
	}
	l := &Listener{tcp: tcp, config: transport.ServerTLS(c), accept: make(chan transport.Conn), done: make(chan struct{})}
	l.group.Go(l.run)
	return l, nil
}

// run accepts TCP connections. Handshakes run beside each other, so that a slow one delays nobody.
func (l *Listener) run() {
	for {
		tcp, err := l.tcp.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of files, for instance: it may pass
			select {
			case <-l.done:
				return
			case <-time.After(50 * time.Millisecond):
			}
			continue
		}
		if !l.begin(tcp) {
			tcp.Close()
			return
		}
		l.group.Go(func() { l.serve(tcp) })
	}
}

// begin enters a handshake, and ends the oldest if there are too many. It reports whether the listener is still open.
func (l *Listener) begin(tcp net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	if len(l.handshakes) >= maxHandshakes {
		l.handshakes[0].Close()
		l.handshakes = slices.Delete(l.handshakes, 0, 1)
	}
	l.handshakes = append(l.handshakes, tcp)
	return true
}

// end takes a handshake off the list.
func (l *Listener) end(tcp net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.handshakes, tcp); i >= 0 {
		l.handshakes = slices.Delete(l.handshakes, i, i+1)
	}
}

// handshake reports whether it succeeded.
func (l *Listener) handshake(c *tls.Conn) bool {
	defer l.end(c.NetConn())
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTime)
	defer cancel()
	return c.HandshakeContext(ctx) == nil && c.ConnectionState().NegotiatedProtocol == transport.ALPN
}

// serve hands a connection on once it is one.
func (l *Listener) serve(tcp net.Conn) {
	c := tls.Server(tcp, l.config)
	if !l.handshake(c) {
		tcp.Close()
		return
	}
	g := newGuard(c)
	mux, err := yamux.Server(g, muxConfig())
	if err != nil {
		tcp.Close()
		return
	}
	select {
	case l.accept <- newConn(c, g, mux):
	case <-l.done:
		mux.Close()
	}
}

// Accept implements transport.Listener.
func (l *Listener) Accept(ctx context.Context) (transport.Conn, error) {
	select {
	case c := <-l.accept:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Addr implements transport.Listener.
func (l *Listener) Addr() net.Addr { return l.tcp.Addr() }

// Close implements transport.Listener. It ends handshakes that go on.
func (l *Listener) Close() (err error) {
	l.once.Do(func() {
		close(l.done)
		err = l.tcp.Close()
		l.mu.Lock()
		l.closed = true
		for _, tcp := range l.handshakes {
			tcp.Close()
		}
		l.mu.Unlock()
		l.group.Wait()
	})
	return err
}

// Dial connects to a server: "host:port". c says which certificates to accept.
func Dial(ctx context.Context, address string, c *tls.Config) (transport.Conn, error) {
	d := tls.Dialer{Config: transport.ClientTLS(c, address)}
	nc, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	t := nc.(*tls.Conn)
	if t.ConnectionState().NegotiatedProtocol != transport.ALPN {
		t.Close()
		return nil, qpq.E(qpq.Unavailable, "not-qpq", fmt.Sprintf("what answers on TCP %s is not a quicproquo server", address))
	}
	g := newGuard(t)
	mux, err := yamux.Client(g, muxConfig())
	if err != nil {
		t.Close()
		return nil, err
	}
	return newConn(t, g, mux), nil
}

type conn struct {
	tls      *tls.Conn
	guard    *guard
	mux      *yamux.Session
	opened   places
	accepted places
}

func newConn(c *tls.Conn, g *guard, mux *yamux.Session) *conn {
	return &conn{c, g, mux, make(places, maxStreams), make(places, maxStreams)}
}

// places bound the streams that one end opened.
type places chan struct{}

// take waits for a place.
func (p places) take(ctx context.Context, c *conn) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case p <- struct{}{}:
		return nil
	case <-c.mux.CloseChan():
		return transport.Closed{Code: transport.CodeDone}
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stream returns what comes with a place, which it gives back when it ends.
func (p places) stream(g *guard, s *yamux.Stream, err error) (transport.Stream, error) {
	if err != nil {
		<-p
		return nil, mapError(err)
	}
	return &stream{Stream: s, guard: g, flow: g.flow(s.StreamID()), place: p}, nil
}

func (c *conn) Open(ctx context.Context) (transport.Stream, error) {
	if err := c.opened.take(ctx, c); err != nil {
		return nil, err
	}
	s, err := c.mux.OpenStream()
	return c.opened.stream(c.guard, s, err)
}

func (c *conn) Accept(ctx context.Context) (transport.Stream, error) {
	if err := c.accepted.take(ctx, c); err != nil {
		return nil, err
	}
	s, err := c.mux.AcceptStreamWithContext(ctx)
	return c.accepted.stream(c.guard, s, err)
}

func (c *conn) Peer() transport.Peer {
	return transport.TLSPeer("tls", c.tls.RemoteAddr(), c.tls.ConnectionState())
}

func (c *conn) Done() <-chan struct{} { return c.mux.CloseChan() }

// Close ends the connection. TCP cannot carry the code.
func (c *conn) Close(transport.Code, string) error { return c.mux.Close() }

func mapError(err error) error {
	switch {
	case errors.Is(err, yamux.ErrSessionShutdown), errors.Is(err, io.EOF), errors.Is(err, yamux.ErrRemoteGoAway):
		return transport.Closed{Code: transport.CodeDone}
	case errors.Is(err, yamux.ErrConnectionReset):
		return transport.Closed{Code: transport.CodeCancelled}
	}
	return err
}

// stream is a yamux stream that can tell when the peer gave it up: that is when it ends while a call is under way.
type stream struct {
	*yamux.Stream
	guard *guard
	flow  *flow

	mu     sync.Mutex
	peek   *peek
	cancel context.CancelFunc
	place  places // nil once it was given back
}

// peek is a byte that was read ahead.
type peek struct {
	done chan struct{}
	b    [1]byte
	n    int
	err  error
}

func (s *stream) Read(b []byte) (int, error) {
	s.mu.Lock()
	p := s.peek
	s.peek = nil
	s.mu.Unlock()
	if p != nil && len(b) > 0 {
		<-p.done
		if p.n == 0 {
			return 0, p.err
		}
		b[0] = p.b[0]
		return 1, nil
	}
	return s.read(b)
}

// read reads what yamux holds, and says that it was read.
func (s *stream) read(b []byte) (int, error) {
	n, err := s.Stream.Read(b)
	if n > 0 && !s.guard.take(s.flow, n, s.Stream.Shrink) {
		return 0, net.ErrClosed
	}
	return n, err
}

// Context implements transport.Abandoned. It reads ahead, until the next Read.
func (s *stream) Context() context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	if s.cancel != nil {
		s.cancel()
	}
	s.cancel = cancel
	if s.peek == nil {
		p := &peek{done: make(chan struct{})}
		s.peek = p
		go func() {
			defer close(p.done)
			p.n, p.err = s.read(p.b[:])
			if p.n == 0 {
				cancel()
			}
		}()
	}
	return ctx
}

func (s *stream) CloseWrite() error {
	s.end()
	return s.Stream.Close()
}

// Reset implements transport.Stream. The peer sees the end of the stream, whatever the code.
func (s *stream) Reset(transport.Code) {
	s.end()
	if !s.guard.abandon(s.flow) {
		return
	}
	mux := s.Session() // the runtime may keep a stopped timer for long, but not the stream
	end := time.AfterFunc(resetTime, func() { _ = mux.Close() })
	_ = s.Stream.SetDeadline(time.Unix(1, 0))
	_ = s.Stream.Close()
	end.Stop()
	for b := make([]byte, 16<<10); ; { // yamux would keep it until the peer ends the stream
		if n, _ := s.Stream.Read(b); n == 0 {
			break
		}
	}
	s.Stream.Shrink()
	s.guard.release(s.flow)
}

func (s *stream) end() {
	s.guard.finish(s.StreamID())
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancel != nil {
		s.cancel()
	}
	if s.place != nil {
		<-s.place
		s.place = nil
	}
}
