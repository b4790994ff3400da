// Package mux makes a connection of many streams of whatever carries bytes in both directions, in order: yamux, and bounds for what a
// peer can cost. Carriers that have no streams of their own stand on it.
package mux

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/yamux"

	"github.com/quicproquo/qpq/transport"
)

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

// Client takes over the client's end of what carries bytes. peer says who is at the other end.
func Client(over io.ReadWriteCloser, peer func() transport.Peer) (transport.Conn, error) {
	return begin(over, peer, yamux.Client)
}

// Server is Client for the server's end.
func Server(over io.ReadWriteCloser, peer func() transport.Peer) (transport.Conn, error) {
	return begin(over, peer, yamux.Server)
}

func begin(over io.ReadWriteCloser, peer func() transport.Peer, end func(io.ReadWriteCloser, *yamux.Config) (*yamux.Session, error)) (transport.Conn, error) {
	g := newGuard(over)
	mux, err := end(g, muxConfig())
	if err != nil {
		return nil, err
	}
	return &conn{peer, g, mux, make(places, maxStreams), make(places, maxStreams)}, nil
}

type conn struct {
	peer     func() transport.Peer
	guard    *guard
	mux      *yamux.Session
	opened   places
	accepted places
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
	return &stream{Stream: s, guard: g, flow: g.begin(s), place: p}, nil
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

func (c *conn) Peer() transport.Peer { return c.peer() }

func (c *conn) Done() <-chan struct{} { return c.mux.CloseChan() }

// Close ends the connection. What carries bytes cannot carry the code.
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
	if err == yamux.ErrTimeout && s.Session().IsClosed() {
		err = io.EOF
	}
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
