package transport

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

// Handler is what a server does with calls. Its methods are called by many goroutines at once.
type Handler interface {
	// Open takes a new connection. An error refuses it, with CodeRefused. What the value holds is the handler's own.
	Open(c *ServerConn) (value any, err error)
	// Call carries out one call. The request is valid until it returns. ctx ends when the caller gives up, the
	// connection ends or the server is forced to stop.
	Call(ctx context.Context, c *ServerConn, method uint16, request []byte) (status uint16, reply []byte)
	// Closed is told once that a connection has ended and all its calls have returned.
	Closed(c *ServerConn)
}

// ServerConfig is what a server can choose. Handler is required.
type ServerConfig struct {
	Handler Handler
	Limits  Limits
	// PushQueue is how many bytes may wait to be pushed to a client. Zero is 64 KiB. What comes when the queue is full
	// is dropped.
	PushQueue int
	// Admit, if not nil, is asked before more than 16 KiB of a request are read, and before a call is carried out. It may wait for less
	// than Limits.Progress. It returns what is called once the reply has been written or the lane has failed; or nil and an answer, to
	// refuse the call: then the rest of the request is read past and not kept. t is good until release is called.
	Admit func(c *ServerConn, t Transfer, method uint16, length int) (release func(), status uint16, reply []byte)
	// Lagging is pushed to a client that missed something, once there is room again. Nil pushes nothing.
	Lagging []byte
}

// Transfer is a call as its request comes in and its reply goes out. Its methods never block.
type Transfer struct{ watch *watch }

// Pace returns how many bytes of the request or of the reply have moved, in what time. It counts by 16 KiB of a request, by 64 KiB of
// a reply, and no time while the call waits to be admitted. Where neither is under way, as the call is carried out, the time is zero.
func (t Transfer) Pace() (bytes int, over time.Duration) { return t.watch.pace() }

// GiveUp ends the lane with CodeSlow, if the request or the reply is under way. One that moves at the same moment may escape.
func (t Transfer) GiveUp() { t.watch.hasten() }

// Server serves the connections of any number of listeners.
type Server struct {
	config ServerConfig
	limits Limits

	mu       sync.Mutex
	conns    map[*ServerConn]struct{}
	draining bool
	group    sync.WaitGroup // one for each connection
}

// NewServer returns a server.
func NewServer(c ServerConfig) *Server {
	if c.PushQueue == 0 {
		c.PushQueue = 64 << 10
	}
	return &Server{config: c, limits: c.Limits.filled(15 * time.Second), conns: map[*ServerConn]struct{}{}}
}

// ServerConn is the server's side of a connection. It is safe for use by several goroutines.
type ServerConn struct {
	Value any // what Handler.Open returned

	server *Server
	conn   Conn
	pusher pusher
	ctx    context.Context
	calls  sync.WaitGroup // one for each lane
	busy   activity
}

// Peer says who is at the other end.
func (c *ServerConn) Peer() Peer { return c.conn.Peer() }

// Close ends the connection after what was pushed, as far as the client takes it without delay.
func (c *ServerConn) Close(code Code) {
	c.pusher.finish(func() { _ = c.conn.Close(code, code.String()) })
}

// Push sends a message to the client without ever blocking. It reports whether the message was queued: a client that
// is too slow misses it, and is told so by ServerConfig.Lagging when it catches up.
func (c *ServerConn) Push(payload []byte) bool { return c.pusher.push(pushMessage, payload) }

// Waiting returns how many bytes wait to be pushed: nothing of them was given to the carrier yet.
func (c *ServerConn) Waiting() int { return c.pusher.waiting() }

// acceptors is how many connections are accepted at a time. When all clients come back at once whoever accepts is one of thousands who want to
// run, and carriers refuse clients whose handshake is done where nobody takes them: quic-go has room for 32.
const acceptors = 256

// Serve accepts connections until the listener fails or ctx ends, and returns why.
func (s *Server) Serve(ctx context.Context, l Listener) error {
	accepting, cancel := context.WithCancel(ctx)
	defer cancel()
	why := make(chan error, acceptors)
	for range acceptors {
		go func() {
			for {
				conn, err := l.Accept(accepting)
				if err != nil {
					why <- err
					return
				}
				s.ServeConn(ctx, conn)
			}
		}()
	}
	err := <-why
	cancel()
	for range acceptors - 1 {
		<-why
	}
	return err
}

// ServeConn serves one connection, in goroutines of its own. One of them is there for as long as the connection is: the one that waits for
// lanes. It is not the one that opens the connection, because a stack never shrinks to what one has that never grew.
func (s *Server) ServeConn(ctx context.Context, conn Conn) {
	c := &ServerConn{server: s, conn: conn}
	c.pusher.init(c)
	s.mu.Lock()
	if s.draining {
		s.mu.Unlock()
		_ = conn.Close(CodeDraining, CodeDraining.String())
		return
	}
	s.conns[c] = struct{}{}
	s.group.Add(1)
	s.mu.Unlock()
	go func() {
		value, err := s.config.Handler.Open(c)
		if err != nil {
			_ = conn.Close(CodeRefused, CodeRefused.String())
			s.forget(c)
			return
		}
		c.Value = value
		go c.run(ctx)
	}()
}

// forget says that nothing of a connection is left.
func (s *Server) forget(c *ServerConn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	s.group.Done()
}

// run takes lanes until the connection ends. Until then it calls nothing that takes much of a stack.
func (c *ServerConn) run(ctx context.Context) {
	end := func() {}
	if l, ok := c.conn.(Lasting); ok {
		c.ctx = l.Context()
	} else {
		c.ctx, end = context.WithCancel(ctx)
	}
	for {
		stream, err := c.conn.Accept(ctx)
		if err != nil {
			break
		}
		c.calls.Go(func() { c.lane(stream) })
	}
	end()
	_ = c.conn.Close(CodeDone, "")
	c.calls.Wait()
	c.pusher.wait()
	c.server.config.Handler.Closed(c)
	c.server.forget(c)
}

// Context ends when the connection has ended or the server is forced to stop.
func (c *ServerConn) Context() context.Context { return c.ctx }

// buffers hold requests and the start of replies.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4096); return &b }}

// keptBuffer is how large a buffer may be that is kept for further requests.
const keptBuffer = 64 << 10

// lane serves the calls of one lane, one after the other.
func (c *ServerConn) lane(s Stream) {
	err := c.serveLane(s)
	if err == nil {
		_ = s.CloseWrite()
		return
	}
	s.Reset(codeOf(err))
}

// serveLane has no buffer while it waits for a call: there are as many as calls, not as lanes.
func (c *ServerConn) serveLane(s Stream) error {
	limits := c.server.limits
	var head [headerSize]byte
	w := watch{stream: s}
	defer w.stop()
	for {
		w.within(limits.Idle)
		h, err := readHeader(s, &head, limits.Frame)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return w.why(err)
		}
		buffer := buffers.Get().(*[]byte)
		err = c.admit(s, h, buffer, &w)
		buffers.Put(buffer)
		if err != nil {
			return w.why(err)
		}
	}
}

// admit carries out the call that a header begins, if the server lets it. It asks only once the first 16 KiB are there: a header alone
// takes no room.
func (c *ServerConn) admit(s Stream, h header, buffer *[]byte, w *watch) error {
	n, progress := int(h.length), c.server.limits.Progress
	w.frame(n, progress)
	request, err := readPayload(s, (*buffer)[:0], min(n, firstChunk), w)
	if err != nil {
		return err
	}
	if ask := c.server.config.Admit; ask != nil {
		var release func()
		var status uint16
		var reply []byte
		w.pause(func() { release, status, reply = ask(c, Transfer{w}, h.number, n) })
		if release == nil {
			if err := discard(s, *buffer, n-len(request), w); err != nil {
				return err
			}
			return writeFrame(s, (*buffer)[:0], status, reply, w, progress)
		}
		defer release()
	}
	return c.rest(s, h, request, buffer, w)
}

// rest reads what is left of a request, and carries out the call.
func (c *ServerConn) rest(s Stream, h header, request []byte, buffer *[]byte, w *watch) error {
	request, err := readPayload(s, request, int(h.length), w)
	if cap(request) <= keptBuffer {
		*buffer = request
	}
	if err != nil {
		return err
	}
	w.off()
	if !c.busy.start() {
		return Closed{CodeDraining}
	}
	defer c.busy.done()
	return c.call(s, h.number, request, w)
}

// call carries out one call and writes the reply.
func (c *ServerConn) call(s Stream, method uint16, request []byte, w *watch) error {
	ctx := c.ctx
	if a, ok := s.(Abandoned); ok {
		ctx = a.Context()
	}
	status, reply := c.server.config.Handler.Call(ctx, c, method, request)
	if len(reply) > c.server.limits.Frame {
		return Closed{CodeInternal}
	}
	out := buffers.Get().(*[]byte)
	defer buffers.Put(out)
	return writeFrame(s, *out, status, reply, w, c.server.limits.Progress)
}

// activity counts calls under way, and can be told to let no more start.
type activity struct {
	mu     sync.Mutex
	n      int
	closed bool
	idle   chan struct{} // closed when closed and n is zero
}

func (a *activity) start() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return false
	}
	a.n++
	return true
}

func (a *activity) done() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.n--; a.closed && a.n == 0 {
		close(a.idle)
	}
}

// end lets no more calls start, and returns what is closed when those under way have ended.
func (a *activity) end() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.closed {
		a.closed, a.idle = true, make(chan struct{})
		if a.n == 0 {
			close(a.idle)
		}
	}
	return a.idle
}

// linger is for how long a client may take to close its connection once it was told to go and has no calls.
const linger = time.Second

// drain tells the client to go, waits until it has, and ends the connection if it does not. A connection that the server
// ends first may lose replies that are on their way.
func (c *ServerConn) drain(ctx context.Context) {
	c.pusher.push(pushGoAway, nil)
	select {
	case <-c.busy.end():
	case <-ctx.Done():
	case <-c.conn.Done():
	}
	timer := time.NewTimer(linger)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-c.conn.Done():
	}
	c.Close(CodeDraining)
}

// Shutdown lets no more connections and calls start, tells clients to go, waits for calls under way to end, and closes the
// connections that are left with CodeDraining. When ctx ends it waits no longer. Listeners are the caller's to close first.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.draining = true
	var conns []*ServerConn
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	for _, c := range conns {
		go c.drain(ctx)
	}
	ended := make(chan struct{})
	go func() {
		s.group.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return ctx.Err() // where it has ended, calls may have been cut off
	case <-ctx.Done():
	}
	for _, c := range conns {
		_ = c.conn.Close(CodeDraining, CodeDraining.String())
	}
	<-ended
	return ctx.Err()
}
