//go:build !js

package websocket

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"

	"github.com/coder/websocket"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/transport/internal/mux"
)

// Dial connects to a server: "host:port". c says which certificates to accept.
func Dial(ctx context.Context, address string, c *tls.Config) (transport.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	var over *tls.Conn
	config := transport.ClientTLS(c, address)
	config.NextProtos = []string{"http/1.1"}
	client := &http.Client{Transport: &http.Transport{
		DialTLSContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			nc, err := (&tls.Dialer{Config: config}).DialContext(ctx, network, address)
			if err == nil {
				over = nc.(*tls.Conn)
			}
			return nc, err
		},
	}}
	ws, _, err := websocket.Dial(ctx, "wss://"+address+Path, &websocket.DialOptions{HTTPClient: client, Subprotocols: []string{protocol}})
	if err != nil && over == nil {
		return nil, err
	}
	if err == nil && ws.Subprotocol() != protocol {
		_ = ws.CloseNow()
		err = fmt.Errorf("the subprotocol is %q", ws.Subprotocol())
	}
	if err != nil {
		return nil, qpq.Wrap(qpq.Unavailable, "not-qpq", fmt.Sprintf("what answers by HTTPS on %s is not a quicproquo server", address), err)
	}
	peer := transport.TLSPeer(carrier, over.RemoteAddr(), over.ConnectionState())
	peer.Export = nil // the server has none either
	conn, err := mux.Client(newMessages(ws), func() transport.Peer { return peer })
	if err != nil {
		_ = ws.CloseNow()
	}
	return conn, err
}
