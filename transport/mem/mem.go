// Package mem carries connections in memory: between the goroutines of a test, and in simulations whose time
// stands still (testing/synctest).
package mem

import (
	"context"
	"io"
	"net"
	"sync"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/transport"
)

// window is how much may be on the way in one direction of a stream.
const window = 256 << 10

// maxStreams is how many streams of one side may be open at a time.
const maxStreams = 128

// Addr is the address of an end in memory.
type Addr string

// Network returns "mem".
func (Addr) Network() string { return "mem" }

// String returns the address.
func (a Addr) String() string { return string(a) }

// Listener accepts connections of Dial.
type Listener struct {
	addr   Addr
	accept chan transport.Conn
	done   chan struct{}
	once   sync.Once
}

// Listen returns a listener with an address for show.
func Listen(address string) *Listener {
	return &Listener{addr: Addr(address), accept: make(chan transport.Conn), done: make(chan struct{})}
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
func (l *Listener) Addr() net.Addr { return l.addr }

// Close implements transport.Listener.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Dial connects to the listener from an address for show.
func (l *Listener) Dial(ctx context.Context, from string) (transport.Conn, error) {
	client, server := Pipe(from, string(l.addr))
	select {
	case l.accept <- server:
		return client, nil
	case <-l.done:
		return nil, qpq.E(qpq.Unavailable, "cannot-connect", "cannot connect to "+string(l.addr)+": nobody listens")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// conn is one end of a connection.
type conn struct {
	shared *shared
	other  *conn
	peer   transport.Peer
	accept chan *stream
	slots  chan struct{} // a place for each stream that this end has opened
}

// shared is what both ends of a connection have.
type shared struct {
	mu      sync.Mutex
	code    transport.Code
	closer  *conn
	done    chan struct{}
	streams map[*stream]struct{}
}

// Pipe returns the two ends of a connection.
func Pipe(clientAddress, serverAddress string) (client, server transport.Conn) {
	s := &shared{done: make(chan struct{}), streams: map[*stream]struct{}{}}
	end := func(address string) *conn {
		return &conn{shared: s, accept: make(chan *stream, maxStreams), slots: make(chan struct{}, maxStreams),
			peer: transport.Peer{Carrier: "mem", Address: Addr(address)}}
	}
	c, v := end(serverAddress), end(clientAddress)
	c.other, v.other = v, c
	return c, v
}

func (c *conn) closed() error {
	c.shared.mu.Lock()
	defer c.shared.mu.Unlock()
	if c.shared.closer == c {
		return net.ErrClosed
	}
	return transport.Closed{Code: c.shared.code}
}

// Open implements transport.Conn.
func (c *conn) Open(ctx context.Context) (transport.Stream, error) {
	select {
	case c.slots <- struct{}{}:
	case <-c.shared.done:
		return nil, c.closed()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	there, back := newPipe(), newPipe()
	mine, theirs := newStream(c, back, there), newStream(c.other, there, back)
	mine.twin, theirs.twin = theirs, mine
	mine.slot = c.slots
	c.shared.mu.Lock()
	if c.shared.closer != nil {
		c.shared.mu.Unlock()
		return nil, c.closed()
	}
	c.shared.streams[mine] = struct{}{}
	c.shared.mu.Unlock()
	c.other.accept <- theirs // there is a place in the channel for each slot
	return mine, nil
}

// Accept implements transport.Conn.
func (c *conn) Accept(ctx context.Context) (transport.Stream, error) {
	select {
	case s := <-c.accept:
		return s, nil
	case <-c.shared.done:
		return nil, c.closed()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Peer implements transport.Conn.
func (c *conn) Peer() transport.Peer { return c.peer }

// Done implements transport.Conn.
func (c *conn) Done() <-chan struct{} { return c.shared.done }

// Close implements transport.Conn.
func (c *conn) Close(code transport.Code, _ string) error {
	s := c.shared
	s.mu.Lock()
	if s.closer != nil {
		s.mu.Unlock()
		return nil
	}
	s.closer, s.code = c, code
	var streams []*stream
	for st := range s.streams {
		streams = append(streams, st)
	}
	close(s.done)
	s.mu.Unlock()
	for _, st := range streams {
		st.fail(transport.Closed{Code: code})
	}
	return nil
}

// stream is one end of a stream.
type stream struct {
	conn   *conn
	in     *pipe
	out    *pipe
	twin   *stream
	slot   chan struct{} // of the opener
	ctx    context.Context
	cancel context.CancelFunc
	once   sync.Once
}

func newStream(c *conn, in, out *pipe) *stream {
	s := &stream{conn: c, in: in, out: out}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Read implements transport.Stream.
func (s *stream) Read(b []byte) (int, error) {
	n, err := s.in.read(b)
	s.release()
	return n, err
}

// Write implements transport.Stream.
func (s *stream) Write(b []byte) (int, error) { return s.out.write(b) }

// CloseWrite implements transport.Stream.
func (s *stream) CloseWrite() error {
	s.out.finish()
	s.cancel()
	s.release()
	return nil
}

// Reset implements transport.Stream.
func (s *stream) Reset(code transport.Code) { s.fail(transport.Closed{Code: code}) }

func (s *stream) fail(err error) {
	s.in.fail(err)
	s.out.fail(err)
	s.cancel()
	s.twin.cancel()
	s.release()
}

// release gives the place of the stream back once both directions have ended.
func (s *stream) release() {
	if !s.in.over() || !s.out.over() {
		return
	}
	opener := s
	if opener.slot == nil {
		opener = s.twin
	}
	opener.once.Do(func() {
		<-opener.slot
		shared := s.conn.shared
		shared.mu.Lock()
		delete(shared.streams, opener)
		shared.mu.Unlock()
	})
}

// Context implements transport.Abandoned.
func (s *stream) Context() context.Context { return s.ctx }

// pipe is one direction of a stream.
type pipe struct {
	mu       sync.Mutex
	changed  sync.Cond
	data     []byte // from the first one that is still to be read
	whole    []byte // what data lies in
	finished bool
	err      error
}

func newPipe() *pipe {
	p := &pipe{}
	p.changed.L = &p.mu
	return p
}

func (p *pipe) read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case p.err != nil:
			return 0, p.err
		case len(p.data) > 0:
			n := copy(b, p.data)
			if p.data = p.data[n:]; len(p.data) == 0 {
				p.data, p.whole = nil, nil
			}
			p.changed.Broadcast()
			return n, nil
		case p.finished:
			return 0, io.EOF
		}
		p.changed.Wait()
	}
}

func (p *pipe) write(b []byte) (n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case p.err != nil:
			return n, p.err
		case p.finished:
			return n, net.ErrClosed
		case len(b) == 0:
			return n, nil
		case len(p.data) < window:
			k := min(len(b), window-len(p.data))
			p.add(b[:k])
			b = b[k:]
			n += k
			p.changed.Broadcast()
			continue
		}
		p.changed.Wait()
	}
}

// add takes bytes to the end. The room of what was read is used again, however readers and writers take turns. The caller holds the lock.
func (p *pipe) add(b []byte) {
	switch n := len(p.data) + len(b); {
	case n <= cap(p.data):
		p.data = append(p.data, b...)
	case n <= cap(p.whole):
		p.data = append(append(p.whole[:0], p.data...), b...)
	default:
		p.data = append(p.data, b...)
		p.whole = p.data
	}
}

func (p *pipe) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.finished = true
	p.changed.Broadcast()
}

func (p *pipe) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
	}
	p.data, p.whole = nil, nil
	p.changed.Broadcast()
}

func (p *pipe) over() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err != nil || p.finished && len(p.data) == 0
}
