// Package quic carries connections over QUIC (RFC 9000) with TLS 1.3.
package quic

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"runtime"
	"syscall"
	"time"

	quicgo "github.com/quic-go/quic-go"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/transport"
)

// Config is what an endpoint can choose. The zero value of each field is a good choice.
type Config struct {
	// IdleTimeout is after how long without any packet a connection counts as lost. Zero is 75 seconds.
	IdleTimeout time.Duration
	// KeepAlive is how often a client that is otherwise silent sends a packet, so that address translators remember it.
	// Zero is 25 seconds.
	KeepAlive time.Duration
	// Streams is how many lanes a client may have at a time. Zero is 128.
	Streams int64
	// ResetKey, if it is not zero, is by what a server that was killed and is back tells clients that their connections are gone (RFC 9000
	// section 10.3): they need not wait for the idle timeout. It is secret, and the same at each start.
	ResetKey [32]byte
}

func (c Config) quic(server bool) *quicgo.Config {
	q := &quicgo.Config{
		HandshakeIdleTimeout:           10 * time.Second,
		MaxIdleTimeout:                 c.IdleTimeout,
		InitialStreamReceiveWindow:     64 << 10,
		MaxStreamReceiveWindow:         2 << 20,
		InitialConnectionReceiveWindow: 128 << 10,
		MaxConnectionReceiveWindow:     transport.ConnectionWindow,
		MaxIncomingStreams:             -1, // none
		MaxIncomingUniStreams:          -1,
	}
	if q.MaxIdleTimeout == 0 {
		q.MaxIdleTimeout = 75 * time.Second
	}
	if server {
		if q.MaxIncomingStreams = c.Streams; c.Streams == 0 {
			q.MaxIncomingStreams = 128
		}
		return q
	}
	q.MaxIncomingUniStreams = 4
	if q.KeepAlivePeriod = c.KeepAlive; c.KeepAlive == 0 {
		q.KeepAlivePeriod = 25 * time.Second
	}
	return q
}

// Endpoint is one UDP socket, for any number of connections in both directions.
type Endpoint struct {
	config    Config
	socket    net.PacketConn
	transport *quicgo.Transport
	dials     chan struct{} // one for each handshake under way
}

// mostDials is how many connections an Endpoint sets up at a time. The answers to some thousand handshakes fill the buffer of its socket, and where packets
// are lost everybody waits for long: ten thousand are all connected sooner by turns than at once.
const mostDials = 256

// NewEndpoint opens a UDP socket: "host:port", "[v6]:port" or ":port", which is both IPv4 and IPv6. A port that is taken gives
// an error of kind qpq.Exists.
func NewEndpoint(address string, c Config) (*Endpoint, error) {
	a, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		return nil, qpq.Wrap(qpq.Invalid, "bad-address", fmt.Sprintf("%q is not an address to use: %v", address, err), err)
	}
	socket, err := net.ListenUDP("udp", a)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, transport.ErrPortTaken("UDP", address, err)
	}
	if err != nil {
		return nil, qpq.Wrap(qpq.Unavailable, "cannot-listen", fmt.Sprintf("cannot open UDP %s: %v", address, err), err)
	}
	return NewEndpointOn(socket, c), nil
}

// NewEndpointOn is NewEndpoint on a socket that is there, which it takes over.
func NewEndpointOn(socket net.PacketConn, c Config) *Endpoint {
	t := &quicgo.Transport{Conn: socket, VerifySourceAddress: yield}
	if u, ok := socket.(*net.UDPConn); ok {
		t.Conn = udp{u}
	}
	if c.ResetKey != [32]byte{} {
		t.StatelessResetKey = (*quicgo.StatelessResetKey)(&c.ResetKey)
	}
	return &Endpoint{c, socket, t, make(chan struct{}, mostDials)}
}

// yield is asked before a connection is accepted, and never for a proof of the address. It lets all who can run have their turn before: when thousands
// connect at once, whoever reads the socket is one of those who wait, and everybody's packets are lost while handshakes are begun that nobody goes on with.
func yield(net.Addr) bool {
	runtime.Gosched()
	return false
}

// Close ends all connections and closes the socket.
func (e *Endpoint) Close() error { return errors.Join(e.transport.Close(), e.socket.Close()) }

// Addr returns the address of the socket.
func (e *Endpoint) Addr() net.Addr { return e.socket.LocalAddr() }

// Listener accepts connections of an Endpoint.
type Listener struct{ listener *quicgo.Listener }

// Listen accepts connections, with the certificate in c. An Endpoint can listen once.
func (e *Endpoint) Listen(c *tls.Config) (*Listener, error) {
	l, err := e.transport.Listen(transport.ServerTLS(c), e.config.quic(true))
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", e.Addr(), err)
	}
	return &Listener{l}, nil
}

// Accept implements transport.Listener.
func (l *Listener) Accept(ctx context.Context) (transport.Conn, error) {
	c, err := l.listener.Accept(ctx)
	if err != nil {
		return nil, err
	}
	return serverConn{conn{c}}, nil
}

// Addr implements transport.Listener.
func (l *Listener) Addr() net.Addr { return l.listener.Addr() }

// Close implements transport.Listener.
func (l *Listener) Close() error { return l.listener.Close() }

// Dial connects to a server: "host:port". c says which certificates to accept. It waits while the endpoint sets up as many others as it can.
func (e *Endpoint) Dial(ctx context.Context, address string, c *tls.Config) (transport.Conn, error) {
	a, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		return nil, qpq.Wrap(qpq.Unavailable, "cannot-resolve", fmt.Sprintf("cannot find %q: %v", address, err), err)
	}
	select {
	case e.dials <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-e.dials }()
	q, err := e.transport.Dial(ctx, a, transport.ClientTLS(c, address), e.config.quic(false))
	if err != nil {
		return nil, mapError(err)
	}
	return clientConn{conn{q}}, nil
}

// conn is what both sides of a connection have.
type conn struct{ q *quicgo.Conn }

func (c conn) Peer() transport.Peer {
	return transport.TLSPeer("quic", c.q.RemoteAddr(), c.q.ConnectionState().TLS)
}

func (c conn) Done() <-chan struct{} { return c.q.Context().Done() }

// Context implements transport.Lasting.
func (c conn) Context() context.Context { return c.q.Context() }

func (c conn) Close(code transport.Code, reason string) error {
	return c.q.CloseWithError(quicgo.ApplicationErrorCode(code), reason)
}

// clientConn opens lanes and accepts the push stream.
type clientConn struct{ conn }

func (c clientConn) Open(ctx context.Context) (transport.Stream, error) {
	s, err := c.q.OpenStreamSync(ctx)
	if err != nil {
		return nil, mapError(err)
	}
	return lane{s}, nil
}

func (c clientConn) Accept(ctx context.Context) (transport.Stream, error) {
	s, err := c.q.AcceptUniStream(ctx)
	if err != nil {
		return nil, mapError(err)
	}
	return receiver{s}, nil
}

// serverConn accepts lanes and opens the push stream.
type serverConn struct{ conn }

func (c serverConn) Open(ctx context.Context) (transport.Stream, error) {
	s, err := c.q.OpenUniStreamSync(ctx)
	if err != nil {
		return nil, mapError(err)
	}
	return sender{s}, nil
}

func (c serverConn) Accept(ctx context.Context) (transport.Stream, error) {
	s, err := c.q.AcceptStream(ctx)
	if err != nil {
		return nil, mapError(err)
	}
	return lane{s}, nil
}

// mapError turns the errors of quic-go that carry a code into transport.Closed.
func mapError(err error) error {
	var app *quicgo.ApplicationError
	var stream *quicgo.StreamError
	switch {
	case errors.As(err, &app):
		if !app.Remote {
			return net.ErrClosed
		}
		return transport.Closed{Code: transport.Code(app.ErrorCode)}
	case errors.As(err, &stream):
		return transport.Closed{Code: transport.Code(stream.ErrorCode)}
	}
	return err
}

// lane is a stream in both directions.
type lane struct{ s *quicgo.Stream }

func (l lane) Read(b []byte) (int, error) {
	n, err := l.s.Read(b)
	if err != nil {
		err = mapError(err)
	}
	return n, err
}

func (l lane) Write(b []byte) (int, error) {
	n, err := l.s.Write(b)
	if err != nil {
		err = mapError(err)
	}
	return n, err
}

func (l lane) CloseWrite() error        { return l.s.Close() }
func (l lane) Context() context.Context { return l.s.Context() }

func (l lane) Reset(code transport.Code) {
	l.s.CancelRead(quicgo.StreamErrorCode(code))
	l.s.CancelWrite(quicgo.StreamErrorCode(code))
}

var errOneWay = errors.New("the stream goes the other way")

// sender is a stream for pushing, at the server.
type sender struct{ s *quicgo.SendStream }

func (s sender) Read([]byte) (int, error)  { return 0, errOneWay }
func (s sender) CloseWrite() error         { return s.s.Close() }
func (s sender) Reset(code transport.Code) { s.s.CancelWrite(quicgo.StreamErrorCode(code)) }

func (s sender) Write(b []byte) (int, error) {
	n, err := s.s.Write(b)
	if err != nil {
		err = mapError(err)
	}
	return n, err
}

// TryWrite implements transport.TryWriter.
func (s sender) TryWrite(b []byte) (bool, error) {
	switch err := s.s.TryWriteAll(b); {
	case err == nil:
		return true, nil
	case errors.Is(err, quicgo.ErrWouldBlock):
		return false, nil
	default:
		return false, mapError(err)
	}
}

// receiver is a stream for pushing, at the client.
type receiver struct{ s *quicgo.ReceiveStream }

func (r receiver) Write([]byte) (int, error) { return 0, errOneWay }
func (r receiver) CloseWrite() error         { return nil }
func (r receiver) Reset(code transport.Code) { r.s.CancelRead(quicgo.StreamErrorCode(code)) }

func (r receiver) Read(b []byte) (int, error) {
	n, err := r.s.Read(b)
	if err != nil {
		err = mapError(err)
	}
	return n, err
}
