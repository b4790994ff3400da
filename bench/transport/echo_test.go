package transport

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	quicgo "github.com/quic-go/quic-go"

	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/transport/quic"
	"github.com/quicproquo/qpq/transport/tlsmux"
)

const (
	size     = 256 // bytes of a call
	inFlight = 64  // calls at a time
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// serve runs the echo server on a listener until the benchmark ends.
func serve(b *testing.B, l transport.Listener) {
	s := transport.NewServer(transport.ServerConfig{Handler: echo{}})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(ctx, l)
	}()
	b.Cleanup(func() {
		cancel()
		check(b, l.Close())
		_ = s.Shutdown(ctx)
		<-done
	})
}

func overQUIC(b *testing.B) transport.Conn {
	server, client, err := certificate()
	check(b, err)
	at, err := quic.NewEndpoint("127.0.0.1:0", quic.Config{})
	check(b, err)
	from, err := quic.NewEndpoint("127.0.0.1:0", quic.Config{})
	check(b, err)
	b.Cleanup(func() { _, _ = from.Close(), at.Close() })
	l, err := at.Listen(server)
	check(b, err)
	serve(b, l)
	conn, err := from.Dial(b.Context(), at.Addr().String(), client)
	check(b, err)
	return conn
}

func overTLS(b *testing.B) transport.Conn {
	server, client, err := certificate()
	check(b, err)
	l, err := tlsmux.Listen("127.0.0.1:0", server)
	check(b, err)
	serve(b, l)
	conn, err := tlsmux.Dial(b.Context(), l.Addr().String(), client)
	check(b, err)
	return conn
}

// together runs call until b.N are done, inFlight at a time.
func together(b *testing.B, call func() error) {
	b.ReportAllocs()
	b.SetBytes(size)
	var left atomic.Int64
	left.Store(int64(b.N))
	var group sync.WaitGroup
	b.ResetTimer()
	before := processorTime(b)
	for range inFlight {
		group.Go(func() {
			for left.Add(-1) >= 0 {
				if err := call(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
	b.ReportMetric(float64(processorTime(b)-before)/float64(b.N)/1000, "cpu-µs/call")
}

// processorTime returns what this process has used of the processors, which does not depend on what else runs there.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	check(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkEcho compares a lane with a stream for each call, with QUIC itself and with TLS itself.
func BenchmarkEcho(b *testing.B) {
	request := make([]byte, size)
	for name, dial := range map[string]func(*testing.B) transport.Conn{"quic": overQUIC, "tls": overTLS} {
		b.Run(name+"/lane", func(b *testing.B) {
			s := transport.NewSession(dial(b), transport.SessionConfig{})
			defer s.Close()
			together(b, func() error {
				_, _, err := s.Call(b.Context(), 1, request)
				return err
			})
		})
		b.Run(name+"/stream-per-call", func(b *testing.B) {
			conn := dial(b)
			together(b, func() error { return streamPerCall(b.Context(), conn, request) })
		})
	}
	b.Run("quic/bare", bareQUIC)
	b.Run("tls/bare", bareTLS)
}

// streamPerCall makes the same call on a stream of its own.
func streamPerCall(ctx context.Context, conn transport.Conn, request []byte) error {
	s, err := conn.Open(ctx)
	if err != nil {
		return err
	}
	frame := binary.LittleEndian.AppendUint32(nil, uint32(len(request)))
	frame = append(append(frame, 1, 0, 0, 0), request...)
	if _, err := s.Write(frame); err != nil {
		return err
	}
	if err := s.CloseWrite(); err != nil {
		return err
	}
	_, err = io.ReadFull(s, frame)
	if err == nil {
		_, err = s.Read(frame[:1]) // the end of the stream
		if err == io.EOF {
			err = nil
		}
	}
	return err
}

// bareQUIC echoes on inFlight long-lived streams of quic-go, without frames or calls.
func bareQUIC(b *testing.B) {
	server, client, err := certificate()
	check(b, err)
	server.NextProtos, client.NextProtos = []string{"echo"}, []string{"echo"}
	l, err := quicgo.ListenAddr("127.0.0.1:0", server, nil)
	check(b, err)
	defer l.Close()
	go func() {
		conn, err := l.Accept(context.Background())
		for err == nil {
			var s *quicgo.Stream
			if s, err = conn.AcceptStream(context.Background()); err == nil {
				go func() { _, _ = io.Copy(s, s) }()
			}
		}
	}()
	conn, err := quicgo.DialAddr(b.Context(), l.Addr().String(), client, nil)
	check(b, err)
	defer conn.CloseWithError(0, "")
	streams := make(chan io.ReadWriter, inFlight)
	for range inFlight {
		s, err := conn.OpenStreamSync(b.Context())
		check(b, err)
		streams <- s
	}
	together(b, func() error { return roundTrip(streams) })
}

// bareTLS echoes on inFlight TLS connections.
func bareTLS(b *testing.B) {
	server, client, err := certificate()
	check(b, err)
	l, err := tls.Listen("tcp", "127.0.0.1:0", server)
	check(b, err)
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(conn, conn) }()
		}
	}()
	streams := make(chan io.ReadWriter, inFlight)
	for range inFlight {
		conn, err := net.Dial("tcp", l.Addr().String())
		check(b, err)
		defer conn.Close()
		streams <- tls.Client(conn, client)
	}
	together(b, func() error { return roundTrip(streams) })
}

func roundTrip(streams chan io.ReadWriter) error {
	s := <-streams
	defer func() { streams <- s }()
	var buffer [size]byte
	if _, err := s.Write(buffer[:]); err != nil {
		return err
	}
	_, err := io.ReadFull(s, buffer[:])
	return err
}

// BenchmarkConnect is a handshake and the first call.
func BenchmarkConnect(b *testing.B) {
	server, client, err := certificate()
	check(b, err)
	b.Run("quic", func(b *testing.B) {
		at, err := quic.NewEndpoint("127.0.0.1:0", quic.Config{})
		check(b, err)
		from, err := quic.NewEndpoint("127.0.0.1:0", quic.Config{})
		check(b, err)
		defer func() { _, _ = from.Close(), at.Close() }()
		l, err := at.Listen(server)
		check(b, err)
		serve(b, l)
		connect(b, func() (transport.Conn, error) { return from.Dial(b.Context(), at.Addr().String(), client) })
	})
	b.Run("tls", func(b *testing.B) {
		l, err := tlsmux.Listen("127.0.0.1:0", server)
		check(b, err)
		serve(b, l)
		connect(b, func() (transport.Conn, error) { return tlsmux.Dial(b.Context(), l.Addr().String(), client) })
	})
}

func connect(b *testing.B, dial func() (transport.Conn, error)) {
	b.ReportAllocs()
	for b.Loop() {
		conn, err := dial()
		check(b, err)
		s := transport.NewSession(conn, transport.SessionConfig{})
		_, _, err = s.Call(b.Context(), 1, nil)
		check(b, err)
		check(b, s.Close())
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "connections/s")
}

// BenchmarkPush sends one message to each of 1,000 clients and waits until all have it.
func BenchmarkPush(b *testing.B) {
	const clients = 1000
	server, client, err := certificate()
	check(b, err)
	at, err := quic.NewEndpoint("127.0.0.1:0", quic.Config{})
	check(b, err)
	from, err := quic.NewEndpoint("127.0.0.1:0", quic.Config{})
	check(b, err)
	defer func() { _, _ = from.Close(), at.Close() }()
	l, err := at.Listen(server)
	check(b, err)
	fan := &fanout{}
	s := transport.NewServer(transport.ServerConfig{Handler: fan})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { _ = s.Serve(ctx, l) }()
	var arrived sync.WaitGroup
	arrived.Add(clients) // the welcome
	for range clients {
		conn, err := from.Dial(b.Context(), at.Addr().String(), client)
		check(b, err)
		session := transport.NewSession(conn, transport.SessionConfig{Push: func([]byte) { arrived.Done() }})
		defer session.Close()
	}
	arrived.Wait()
	message := make([]byte, size)
	before := processorTime(b)
	b.ReportAllocs()
	for b.Loop() {
		arrived.Add(clients)
		fan.push(message)
		arrived.Wait()
	}
	b.ReportMetric(float64(b.N*clients)/b.Elapsed().Seconds(), "pushes/s")
	b.ReportMetric(float64(processorTime(b)-before)/float64(b.N*clients)/1000, "cpu-µs/push")
}

// fanout keeps all its connections.
type fanout struct {
	echo
	mu    sync.Mutex
	conns []*transport.ServerConn
}

func (f *fanout) Open(c *transport.ServerConn) (any, error) {
	f.mu.Lock()
	f.conns = append(f.conns, c)
	f.mu.Unlock()
	return f.echo.Open(c)
}

func (f *fanout) push(message []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.conns {
		c.Push(message)
	}
}
