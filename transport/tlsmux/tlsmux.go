// Package tlsmux carries connections over TLS 1.3 on TCP, with yamux to make many streams of one: where UDP does not
// get through, and for anonymity networks, which have none.
package tlsmux

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/transport/internal/mux"
)

// handshakeTime bounds the TLS handshake of a client.
const handshakeTime = 10 * time.Second

// Listener accepts connections on a TCP port.
type Listener struct {
	tcp    net.Listener
	config *tls.Config
	accept chan transport.Conn
	done   chan struct{}
	once   sync.Once
	group  sync.WaitGroup
	shakes mux.Handshakes
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
	l := &Listener{tcp: tcp, config: transport.ServerTLS(c), accept: make(chan transport.Conn), done: make(chan struct{})}
	l.group.Go(l.run)
	return l, nil
}

// run accepts TCP connections. Handshakes run beside each other, so that a slow one delays nobody.
func (l *Listener) run() {
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
		if !l.shakes.Begin(tcp) {
			return
		}
		l.group.Go(func() { l.serve(tcp) })
	}
}

// handshake reports whether it succeeded.
func (l *Listener) handshake(c *tls.Conn) bool {
	defer l.shakes.End(c.NetConn())
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTime)
	defer cancel()
	return c.HandshakeContext(ctx) == nil && c.ConnectionState().NegotiatedProtocol == transport.ALPN
}

// serve hands a connection on once it is one.
func (l *Listener) serve(tcp net.Conn) {
	c := tls.Server(tcp, l.config)
	if !l.handshake(c) {
		tcp.Close()
		return
	}
	conn, err := mux.Server(c, peer(c))
	if err != nil {
		tcp.Close()
		return
	}
	select {
	case l.accept <- conn:
	case <-l.done:
		_ = conn.Close(transport.CodeDone, "")
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

// Close implements transport.Listener. It ends handshakes that go on.
func (l *Listener) Close() (err error) {
	l.once.Do(func() {
		close(l.done)
		err = l.tcp.Close()
		l.shakes.Close()
		l.group.Wait()
	})
	return err
}

// Dial connects to a server: "host:port". c says which certificates to accept.
func Dial(ctx context.Context, address string, c *tls.Config) (transport.Conn, error) {
	d := tls.Dialer{Config: transport.ClientTLS(c, address)}
	nc, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	t := nc.(*tls.Conn)
	if t.ConnectionState().NegotiatedProtocol != transport.ALPN {
		t.Close()
		return nil, qpq.E(qpq.Unavailable, "not-qpq", fmt.Sprintf("what answers on TCP %s is not a quicproquo server", address))
	}
	conn, err := mux.Client(t, peer(t))
	if err != nil {
		t.Close()
		return nil, err
	}
	return conn, nil
}

// peer tells who is at the other end.
func peer(c *tls.Conn) func() transport.Peer {
	return func() transport.Peer { return transport.TLSPeer("tls", c.RemoteAddr(), c.ConnectionState()) }
}
