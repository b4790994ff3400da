package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// idleLanes is how many lanes a session keeps for further calls.
const idleLanes = 8

// SessionConfig is what a client can choose. The zero value is a good choice.
type SessionConfig struct {
	Limits Limits
	// Push is called with what the server says by itself, in order. It must not block for long. The payload is its own.
	Push func(payload []byte)
}

// Session is the client's side of a connection. It is safe for use by several goroutines.
type Session struct {
	conn   Conn
	limits Limits
	push   func([]byte)
	ended  chan struct{} // closed when the accepting goroutine has ended
	busy   activity
	away   sync.Once // the server asked to be left

	mu     sync.Mutex
	idle   []*lane // the one used last at the end
	closed bool
}

type lane struct {
	stream Stream
	watch  watch
	expire *time.Timer
	head   [headerSize]byte
	buffer []byte
}

// NewSession takes over a connection.
func NewSession(conn Conn, c SessionConfig) *Session {
	s := &Session{conn: conn, limits: c.Limits.filled(5 * time.Second), push: c.Push, ended: make(chan struct{})}
	go s.receive()
	return s
}

// Peer says who is at the other end.
func (s *Session) Peer() Peer { return s.conn.Peer() }

// Done is closed when the connection has ended.
func (s *Session) Done() <-chan struct{} { return s.conn.Done() }

// Close ends the connection. Calls that are under way fail.
func (s *Session) Close() error {
	s.mu.Lock()
	s.closed = true
	idle := s.idle
	s.idle = nil
	s.mu.Unlock()
	for _, l := range idle {
		l.expire.Stop()
		_ = l.stream.CloseWrite()
	}
	err := s.conn.Close(CodeDone, "")
	<-s.ended
	return err
}

// Call sends a request and waits for the reply, whose status and payload it returns as they are. An error is a *CallError:
// no reply came. When ctx ends, the call is cancelled at the server too.
func (s *Session) Call(ctx context.Context, method uint16, request []byte) (status uint16, reply []byte, err error) {
	if len(request) > s.limits.Frame {
		return 0, nil, &CallError{Err: errTooLarge(len(request), s.limits.Frame)}
	}
	if err := ctx.Err(); err != nil {
		return 0, nil, &CallError{Err: err}
	}
	if !s.busy.start() {
		return 0, nil, &CallError{Err: Closed{CodeDraining}}
	}
	defer s.busy.done()
	l, err := s.take(ctx)
	if err != nil {
		return 0, nil, &CallError{Err: err}
	}
	stop := context.AfterFunc(ctx, func() { l.stream.Reset(CodeCancelled) })
	status, reply, err = s.exchange(l, method, request)
	if !stop() && err == nil {
		err = ctx.Err() // what arrived may be the answer to the cancellation
	}
	if err != nil {
		l.stream.Reset(codeOf(err))
		if cause := ctx.Err(); cause != nil {
			err = cause
		}
		return 0, nil, &CallError{Sent: true, Err: err}
	}
	s.give(l)
	return status, reply, nil
}

// exchange writes the request and reads the reply.
func (s *Session) exchange(l *lane, method uint16, request []byte) (uint16, []byte, error) {
	defer l.watch.off()
	if err := writeFrame(l.stream, l.buffer, method, request, &l.watch, s.limits.Progress); err != nil {
		return 0, nil, l.watch.why(err)
	}
	l.watch.off() // the handler may take as long as ctx allows
	h, err := readHeader(l.stream, &l.head, s.limits.Frame)
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("the server ended the lane: %w", io.ErrUnexpectedEOF)
	}
	if err != nil {
		return 0, nil, err
	}
	l.watch.frame(int(h.length), s.limits.Progress)
	reply, err := readPayload(l.stream, make([]byte, 0, min(int(h.length), firstChunk)), int(h.length), &l.watch)
	return h.number, reply, l.watch.why(err)
}

// take returns a lane for one call: the one that was used last, or a new one.
func (s *Session) take(ctx context.Context) (*lane, error) {
	s.mu.Lock()
	for len(s.idle) > 0 {
		l := s.idle[len(s.idle)-1]
		s.idle = s.idle[:len(s.idle)-1]
		if l.expire.Stop() {
			s.mu.Unlock()
			return l, nil
		}
	}
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return nil, Closed{CodeDone}
	}
	stream, err := s.conn.Open(ctx)
	if err != nil {
		return nil, err
	}
	l := &lane{stream: stream, buffer: make([]byte, 0, 512)}
	l.watch.stream = stream
	return l, nil
}

// give keeps a lane for further calls, or ends it if there are enough.
func (s *Session) give(l *lane) {
	if cap(l.buffer) > 4096 {
		l.buffer = make([]byte, 0, 512)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.idle) >= idleLanes {
		_ = l.stream.CloseWrite()
		return
	}
	if l.expire == nil {
		l.expire = time.AfterFunc(s.limits.Idle, func() { s.expire(l) })
	} else {
		l.expire.Reset(s.limits.Idle)
	}
	s.idle = append(s.idle, l)
}

// expire ends a lane that nobody used.
func (s *Session) expire(l *lane) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, other := range s.idle {
		if other == l {
			s.idle = append(s.idle[:i], s.idle[i+1:]...)
			break
		}
	}
	_ = l.stream.CloseWrite()
}

// receive reads what the server pushes, until the connection ends.
func (s *Session) receive() {
	defer close(s.ended)
	for {
		stream, err := s.conn.Accept(context.Background())
		if err != nil {
			return
		}
		stream.Reset(codeOf(s.readPush(stream)))
	}
}

// leave ends the connection when the calls under way have ended: the server asked for it.
func (s *Session) leave() {
	select {
	case <-s.busy.end():
	case <-s.conn.Done():
	}
	_ = s.conn.Close(CodeDone, "")
}

// readPush takes what comes on a push stream, and returns why nothing more does.
func (s *Session) readPush(stream Stream) error {
	var head [headerSize]byte
	w := watch{stream: stream}
	defer w.stop()
	for {
		w.off()
		h, err := readHeader(stream, &head, s.limits.Frame)
		if err != nil {
			return err
		}
		w.frame(int(h.length), s.limits.Progress)
		payload, err := readPayload(stream, nil, int(h.length), &w)
		if err != nil {
			return w.why(err)
		}
		switch {
		case h.number == pushGoAway && h.length == 0:
			s.away.Do(func() { go s.leave() })
		case h.number != pushMessage:
			return errMalformed
		case s.push != nil:
			s.push(payload)
		}
	}
}

// Refused reports whether err says that the server ended the connection on purpose, and why.
func Refused(err error) (Code, bool) {
	var c Closed
	if errors.As(err, &c) && c.Code != CodeDone {
		return c.Code, true
	}
	return 0, false
}
