package transporttest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/transport/internal/testcert"
)

// The methods of the server under test.
const (
	echo uint16 = iota
	wait        // until the caller gives up
	hold        // until the test lets go
	push        // pushes the payload
	large
)

// server is a Handler, and what it saw.
type server struct {
	t *testing.T
	*transport.Server
	conns     chan *transport.ServerConn
	cancelled chan struct{}
	entered   chan struct{}
	release   chan struct{}
	closed    atomic.Int32
	streams   atomic.Int32
	refuse    atomic.Bool
}

func (s *server) Open(c *transport.ServerConn) (any, error) {
	if s.refuse.Load() {
		return nil, errors.New("no room")
	}
	s.conns <- c
	return "value", nil
}

func (s *server) Call(ctx context.Context, c *transport.ServerConn, method uint16, request []byte) (uint16, []byte) {
	if c.Value != "value" {
		s.t.Errorf("value %v", c.Value)
	}
	switch method {
	case echo:
		return 0, bytes.Clone(request)
	case wait:
		s.entered <- struct{}{}
		<-ctx.Done()
		s.cancelled <- struct{}{}
		return 1, nil
	case hold:
		s.entered <- struct{}{}
		<-s.release
		return 0, []byte("held")
	case push:
		if !c.Push(bytes.Clone(request)) {
			return 2, nil
		}
		return 0, nil
	case large:
		return 0, make([]byte, binary.LittleEndian.Uint32(request))
	}
	return 12, nil
}

func (s *server) Closed(*transport.ServerConn) { s.closed.Add(1) }

// counted counts the streams of the connections of a listener.
type counted struct {
	transport.Listener
	n *atomic.Int32
}

type countedConn struct {
	transport.Conn
	n *atomic.Int32
}

func (l counted) Accept(ctx context.Context) (transport.Conn, error) {
	c, err := l.Listener.Accept(ctx)
	if err != nil {
		return nil, err
	}
	return countedConn{c, l.n}, nil
}

func (c countedConn) Accept(ctx context.Context) (transport.Stream, error) {
	s, err := c.Conn.Accept(ctx)
	if err == nil {
		c.n.Add(1)
	}
	return s, err
}

// rig is a running server and a way to connect to it.
type rig struct {
	*testing.T
	server *server
	dial   func(context.Context) (transport.Conn, error)
	stop   func()
}

func start(t *testing.T, carrier Carrier, limits transport.Limits) *rig {
	t.Helper()
	s := &server{t: t, conns: make(chan *transport.ServerConn, 64), cancelled: make(chan struct{}, 64), entered: make(chan struct{}, 64),
		release: make(chan struct{})}
	s.Server = transport.NewServer(transport.ServerConfig{Handler: s, Limits: limits, PushQueue: 4 << 10, Lagging: []byte("lagging")})
	here, there := testcert.Pair(t)
	l, dial := carrier.Listen(t, here, there)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.Serve(t.Context(), counted{l, &s.streams})
	}()
	var once sync.Once
	r := &rig{t, s, dial, nil}
	r.stop = func() {
		once.Do(func() {
			_ = l.Close()
			<-served
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			_ = s.Shutdown(ctx)
		})
	}
	t.Cleanup(r.stop)
	return r
}

func (r *rig) connect() transport.Conn {
	r.Helper()
	c, err := r.dial(r.Context())
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = c.Close(transport.CodeDone, "") })
	return c
}

func (r *rig) session(pushed func([]byte)) *transport.Session {
	r.Helper()
	s := transport.NewSession(r.connect(), transport.SessionConfig{Push: pushed})
	r.Cleanup(func() { _ = s.Close() })
	return s
}

func (r *rig) call(s *transport.Session, method uint16, request []byte) []byte {
	r.Helper()
	status, reply, err := s.Call(r.Context(), method, request)
	if err != nil || status != 0 {
		r.Fatalf("call: status %d, %v", status, err)
	}
	return reply
}
