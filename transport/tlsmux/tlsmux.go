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
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/yamux"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/transport"
)

// handshakeTime bounds the TLS handshake of a client.
const handshakeTime = 10 * time.Second

// maxHandshakes bounds how many clients may be shaking hands at a time.
const maxHandshakes = 256

func muxConfig() *yamux.Config {
	c := yamux.DefaultConfig()
	c.AcceptBacklog = 128
	c.KeepAliveInterval = 25 * time.Second
	c.LogOutput = io.Discard
	return c
}

func withALPN(c *tls.Config) *tls.Config {
	c = c.Clone()
	c.NextProtos = []string{transport.ALPN}
	c.MinVersion = tls.VersionTLS13
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
	l := &Listener{tcp: tcp, config: withALPN(c), accept: make(chan transport.Conn), done: make(chan struct{})}
	l.group.Go(l.run)
	return l, nil
}

// run accepts TCP connections. Handshakes run beside each other, so that a slow one delays nobody.
func (l *Listener) run() {
	slots := make(chan struct{}, maxHandshakes)
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
		select {
		case slots <- struct{}{}:
		case <-l.done:
			tcp.Close()
			return
		}
		l.group.Go(func() {
			defer func() { <-slots }()
			l.handshake(tcp)
		})
	}
}

func (l *Listener) handshake(tcp net.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTime)
	defer cancel()
	c := tls.Server(tcp, l.config)
	if err := c.HandshakeContext(ctx); err != nil || c.ConnectionState().NegotiatedProtocol != transport.ALPN {
		tcp.Close()
		return
	}
	mux, err := yamux.Server(c, muxConfig())
	if err != nil {
		tcp.Close()
		return
	}
	select {
	case l.accept <- &conn{c, mux}:
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

// Close implements transport.Listener.
func (l *Listener) Close() (err error) {
	l.once.Do(func() {
		close(l.done)
		err = l.tcp.Close()
		l.group.Wait()
	})
	return err
}

// Dial connects to a server: "host:port". c says which certificates to accept.
func Dial(ctx context.Context, address string, c *tls.Config) (transport.Conn, error) {
	c = withALPN(c)
	if host, _, err := net.SplitHostPort(address); err == nil && c.ServerName == "" {
		c.ServerName = host
	}
	d := tls.Dialer{Config: c}
	nc, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	t := nc.(*tls.Conn)
	if t.ConnectionState().NegotiatedProtocol != transport.ALPN {
		t.Close()
		return nil, qpq.E(qpq.Unavailable, "not-qpq", fmt.Sprintf("what answers on TCP %s is not a quicproquo server", address))
	}
	mux, err := yamux.Client(t, muxConfig())
	if err != nil {
		t.Close()
		return nil, err
	}
	return &conn{t, mux}, nil
}

type conn struct {
	tls *tls.Conn
	mux *yamux.Session
}

func (c *conn) Open(ctx context.Context) (transport.Stream, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s, err := c.mux.OpenStream()
	if err != nil {
		return nil, mapError(err)
	}
	return &stream{Stream: s}, nil
}

func (c *conn) Accept(ctx context.Context) (transport.Stream, error) {
	s, err := c.mux.AcceptStreamWithContext(ctx)
	if err != nil {
		return nil, mapError(err)
	}
	return &stream{Stream: s}, nil
}

func (c *conn) Peer() transport.Peer {
	state := c.tls.ConnectionState()
	p := transport.Peer{Carrier: "tls", Address: c.tls.RemoteAddr(), Export: state.ExportKeyingMaterial}
	for _, cert := range state.PeerCertificates {
		p.Certificates = append(p.Certificates, cert.Raw)
	}
	return p
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
	mu     sync.Mutex
	peek   *peek
	cancel context.CancelFunc
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
		var timeout net.Error
		switch {
		case p.n > 0:
			b[0] = p.b[0]
			return 1, nil
		case errors.As(p.err, &timeout) && timeout.Timeout(): // of an earlier deadline
		default:
			return 0, p.err
		}
	}
	return s.Stream.Read(b)
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
		_ = s.Stream.SetReadDeadline(time.Time{})
		p := &peek{done: make(chan struct{})}
		s.peek = p
		go func() {
			defer close(p.done)
			p.n, p.err = s.Stream.Read(p.b[:])
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
	_ = s.Stream.SetDeadline(time.Unix(1, 0))
	_ = s.Stream.Close()
}

func (s *stream) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancel != nil {
		s.cancel()
	}
}
