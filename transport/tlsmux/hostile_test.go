package tlsmux_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/yamux"

	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/transport/internal/testcert"
	"github.com/quicproquo/qpq/transport/tlsmux"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestHandshakesThatNobodyEnds connects more clients that say nothing than may shake hands at a time. Only those that are too many,
// the oldest, are put out, and an honest client comes in.
func TestHandshakesThatNobodyEnds(t *testing.T) {
	const silent, most = 300, 256
	server, client := testcert.Pair(t)
	l, dial := listen(t, server, client)
	go func() {
		for {
			if _, err := l.Accept(t.Context()); err != nil {
				return
			}
		}
	}()
	var conns []net.Conn
	for range silent {
		c, err := net.Dial("tcp", l.Addr().String())
		check(t, err)
		defer c.Close()
		conns = append(conns, c)
	}
	honest, err := dial(t.Context())
	check(t, err)
	defer honest.Close(transport.CodeDone, "")
	for i, c := range conns[:silent+1-most] {
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("silent client %d was not put out: %v", i, err)
		}
	}
	for i, c := range conns[silent+1-most:] {
		check(t, c.SetReadDeadline(time.Now().Add(20*time.Millisecond))) // one that has passed would hide what the system knows
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("silent client %d of those that there is room for: %v", i, err)
		}
	}
}

// raw connects without a bound of its own on streams.
func raw(t *testing.T, address string, config *tls.Config) *yamux.Session {
	t.Helper()
	config = config.Clone()
	config.NextProtos = []string{transport.ALPN}
	c, err := tls.Dial("tcp", address, config)
	check(t, err)
	y := yamux.DefaultConfig()
	y.AcceptBacklog, y.LogOutput = 4096, io.Discard
	mux, err := yamux.Client(c, y)
	check(t, err)
	t.Cleanup(func() { _ = mux.Close() })
	return mux
}

// held is the method of calls that go on until they are let go.
const held = 1

// echo counts the calls under way.
type echo struct {
	under, most atomic.Int32
	release     chan struct{}
}

func (e *echo) Open(*transport.ServerConn) (any, error) { return nil, nil }
func (e *echo) Closed(*transport.ServerConn)            {}
func (e *echo) Call(_ context.Context, _ *transport.ServerConn, method uint16, request []byte) (uint16, []byte) {
	n := e.under.Add(1)
	for m := e.most.Load(); n > m && !e.most.CompareAndSwap(m, n); m = e.most.Load() {
	}
	if method == held {
		<-e.release
	}
	e.under.Add(-1)
	return 0, request
}

func serve(t *testing.T) (*echo, string, *tls.Config) {
	t.Helper()
	server, client := testcert.Pair(t)
	l, err := tlsmux.Listen("127.0.0.1:0", server)
	check(t, err)
	e := &echo{release: make(chan struct{})}
	s := transport.NewServer(transport.ServerConfig{Handler: e})
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.Serve(t.Context(), l)
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-served
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.Shutdown(ctx)
	})
	return e, l.Addr().String(), client
}

// TestMoreLanesThanAreServed opens lanes beyond the bound by a client that has none: they wait until others have ended.
func TestMoreLanesThanAreServed(t *testing.T) {
	const lanes, most = 128, 64 // as many may wait, however late the server begins to take them
	e, address, config := serve(t)
	mux := raw(t, address, config)
	replies := make(chan error, lanes)
	for range lanes {
		s, err := mux.OpenStream()
		check(t, err)
		_, err = s.Write([]byte{1, 0, 0, 0, held, 0, 0, 0, 'x'})
		check(t, err)
		go func() {
			_, err := io.ReadFull(s, make([]byte, 9))
			replies <- errors.Join(err, s.Close())
		}()
	}
	for e.under.Load() < most {
		runtime.Gosched()
	}
	_, err := mux.Ping() // the server has seen what was sent before
	check(t, err)
	close(e.release)
	for range lanes {
		check(t, <-replies)
	}
	if n := e.most.Load(); n > most {
		t.Errorf("%d lanes were served at a time", n)
	}
}

// TestLanesThatTheClientNeverEnds spoils lane after lane, and never ends its side of one: yamux would keep them all.
func TestLanesThatTheClientNeverEnds(t *testing.T) {
	_, address, config := serve(t)
	mux := raw(t, address, config)
	for n := range 1000 {
		s, err := mux.OpenStream()
		if err == nil {
			_, err = s.Write([]byte{0, 0, 0, 0, 0, 0, 255, 255})
		}
		if err == nil {
			_, err = s.Read(make([]byte, 1)) // the server has ended its side
		}
		if err != nil && !errors.Is(err, io.EOF) || mux.IsClosed() {
			if n < 150 {
				t.Fatalf("lane %d: %v", n, err)
			}
			return
		}
	}
	t.Error("the server keeps 1000 lanes that have ended")
}

// TestWhoSpeaksSomethingElse connects with an older TLS, with another protocol, and with none.
func TestWhoSpeaksSomethingElse(t *testing.T) {
	_, address, config := serve(t)
	for what, change := range map[string]func(*tls.Config){
		"TLS 1.2":          func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 },
		"another protocol": func(c *tls.Config) { c.NextProtos = []string{"h2"} },
		"none":             func(c *tls.Config) { c.NextProtos = nil },
	} {
		c := config.Clone()
		c.NextProtos = []string{transport.ALPN}
		change(c)
		conn, err := tls.Dial("tcp", address, c)
		if err != nil {
			continue
		}
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Errorf("%s: the server said something", what)
		}
		_ = conn.Close()
	}
}
