package quic_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/transport/internal/testcert"
	"github.com/quicproquo/qpq/transport/quic"
	"github.com/quicproquo/qpq/transport/transporttest"
)

func endpoint(t *testing.T, address string) *quic.Endpoint {
	t.Helper()
	e, err := quic.NewEndpoint(address, quic.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func listen(t *testing.T, server, client *tls.Config) (transport.Listener, func(context.Context) (transport.Conn, error)) {
	t.Helper()
	l, err := endpoint(t, "127.0.0.1:0").Listen(server)
	if err != nil {
		t.Fatal(err)
	}
	dialer := endpoint(t, "127.0.0.1:0")
	return l, func(ctx context.Context) (transport.Conn, error) { return dialer.Dial(ctx, l.Addr().String(), client) }
}

func TestSuite(t *testing.T) {
	transporttest.Run(t, transporttest.Carrier{TLS: true, Codes: true, Lanes: 128, Goroutines: 6, Objects: 74, Stacks: 23, Listen: listen})
}

// silence is a socket to which nobody answers. It counts the connections that somebody tries to open.
type silence struct {
	net.PacketConn
	mu     sync.Mutex
	tried  map[string]bool // by the connection id that the client chose
	closed chan struct{}
	once   sync.Once
}

func (s *silence) WriteTo(b []byte, _ net.Addr) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tried[string(b[6:6+b[5]])] = true // RFC 9000, section 17.2
	return len(b), nil
}

func (s *silence) ReadFrom([]byte) (int, net.Addr, error) {
	<-s.closed
	return 0, nil, net.ErrClosed
}

func (s *silence) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

func (s *silence) LocalAddr() net.Addr              { return &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }
func (s *silence) SetReadDeadline(time.Time) error  { return s.Close() }
func (s *silence) SetWriteDeadline(time.Time) error { return nil }
func (s *silence) SetDeadline(time.Time) error      { return nil }

func (s *silence) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.tried)
}

// TestDialsByTurns dials far more often than an endpoint does at a time. Who waits goes on when another gives up, and gives up when it is told to.
func TestDialsByTurns(t *testing.T) {
	_, client := testcert.Pair(t)
	synctest.Test(t, func(t *testing.T) {
		const atOnce, dials, patient = 256, 300, 10
		s := &silence{tried: map[string]bool{}, closed: make(chan struct{})}
		e := quic.NewEndpointOn(s, quic.Config{})
		var group sync.WaitGroup
		dial := func(ctx context.Context) {
			group.Go(func() {
				if c, err := e.Dial(ctx, "127.0.0.1:2", client); err == nil {
					t.Errorf("connected to nobody: %v", c.Peer())
				}
			})
		}
		first, giveUp := context.WithCancel(t.Context())
		for range atOnce {
			dial(first)
		}
		synctest.Wait()
		if n := s.count(); n != atOnce {
			t.Errorf("%d connections are tried of %d", n, atOnce)
		}
		for range dials - atOnce - patient {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			dial(ctx)
		}
		rest, end := context.WithCancel(t.Context())
		for range patient {
			dial(rest)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if n := s.count(); n != atOnce {
			t.Errorf("%d connections are tried while %d are on their way", n, atOnce)
		}
		giveUp()
		synctest.Wait()
		if n := s.count(); n != atOnce+patient {
			t.Errorf("%d connections are tried, and %d who waited longer than the others should be", n, patient)
		}
		end()
		group.Wait()
		_ = e.Close()
	})
}

func TestPortTaken(t *testing.T) {
	e := endpoint(t, "127.0.0.1:0")
	if _, err := quic.NewEndpoint(e.Addr().String(), quic.Config{}); !errors.Is(err, qpq.Exists) || qpq.CodeOf(err) != "port-taken" {
		t.Errorf("a taken port: %v", err)
	}
	if _, err := quic.NewEndpoint("nonsense", quic.Config{}); !errors.Is(err, qpq.Invalid) {
		t.Errorf("an address that is none: %v", err)
	}
}

// TestDualStack listens on all addresses and is reached by both versions of IP.
func TestDualStack(t *testing.T) {
	server, client := testcert.Pair(t)
	e := endpoint(t, ":0")
	l, err := e.Listen(server)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			if _, err := l.Accept(t.Context()); err != nil {
				return
			}
		}
	}()
	_, port, err := splitPort(e)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1:", "[::1]:"} {
		c, err := endpoint(t, ":0").Dial(t.Context(), host+port, client)
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		_ = c.Close(transport.CodeDone, "")
	}
}

func splitPort(e *quic.Endpoint) (host, port string, err error) {
	return net.SplitHostPort(e.Addr().String())
}

// relay passes datagrams on, of one client, to a server that can be changed.
type relay struct {
	front, back *net.UDPConn
	server      atomic.Pointer[net.UDPAddr]
}

func newRelay(t *testing.T, server net.Addr) *relay {
	t.Helper()
	open := func() *net.UDPConn {
		c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	r := &relay{front: open(), back: open()}
	r.server.Store(server.(*net.UDPAddr))
	var client atomic.Pointer[net.UDPAddr]
	pass := func(from, to *net.UDPConn, seen *atomic.Pointer[net.UDPAddr], target *atomic.Pointer[net.UDPAddr]) {
		b := make([]byte, 2048)
		for {
			n, source, err := from.ReadFromUDP(b)
			if err != nil {
				return
			}
			if seen != nil {
				seen.Store(source)
			}
			_, _ = to.WriteToUDP(b[:n], target.Load())
		}
	}
	go pass(r.front, r.back, &client, &r.server)
	go pass(r.back, r.front, nil, &client)
	return r
}

// TestServerThatIsBack: a server that lost its connections says so, and clients do not wait for the idle timeout.
func TestServerThatIsBack(t *testing.T) {
	server, client := testcert.Pair(t)
	start := func() net.Addr {
		e, err := quic.NewEndpoint("127.0.0.1:0", quic.Config{ResetKey: [32]byte{1}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = e.Close() })
		l, err := e.Listen(server)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			conn, err := l.Accept(context.Background())
			if err != nil {
				return
			}
			stream, err := conn.Accept(context.Background())
			if err != nil {
				return
			}
			_, _ = stream.Write([]byte{1})
		}()
		return l.Addr()
	}
	r := newRelay(t, start())
	e, err := quic.NewEndpoint("127.0.0.1:0", quic.Config{IdleTimeout: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	conn, err := e.Dial(t.Context(), r.front.LocalAddr().String(), client)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := conn.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// An answer shows that the server has the last word of the handshake; nobody can reset a connection before.
	if _, err := stream.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	r.server.Store(start().(*net.UDPAddr)) // to the client, the server was killed and is back
	// It answers no packet that is hardly longer than what it would say.
	if _, err := stream.Write(make([]byte, 500)); err != nil {
		t.Fatal(err)
	}
	select {
	case <-conn.Done():
	case <-time.After(30 * time.Second):
		t.Error("the client goes on waiting")
	}
}
