package websocket

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/transport/internal/mux"
)

// Dial connects to a server: "host:port". c must be nil: a browser decides itself which certificates to accept.
func Dial(ctx context.Context, address string, c *tls.Config) (transport.Conn, error) {
	if c != nil {
		return nil, qpq.E(qpq.Unsupported, "no-tls", "a browser decides itself which certificates to accept: leave the TLS settings out")
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	s, err := open(ctx, "wss://"+address+Path)
	if errors.Is(err, context.Canceled) {
		return nil, err
	}
	if err != nil {
		return nil, qpq.Wrap(qpq.Unavailable, "cannot-connect", fmt.Sprintf("cannot connect to %s, and the browser does not say why: check the "+
			"address, that the server takes WebSocket there, and that an authority vouches for its certificate", address), err)
	}
	conn, err := mux.Client(s, func() transport.Peer { return transport.Peer{Carrier: carrier, Address: host(address)} })
	if err != nil {
		_ = s.Close()
	}
	return conn, err
}

// host is the address of a server as it was asked for: a browser tells no other.
type host string

var _ net.Addr = host("")

// Network implements net.Addr.
func (host) Network() string { return "tcp" }

// String implements net.Addr.
func (h host) String() string { return string(h) }
