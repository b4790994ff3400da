//go:build !js

package websocket_test

import (
	"context"
	"crypto/tls"
	"errors"
	"testing"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/transport/internal/testcert"
	"github.com/quicproquo/qpq/transport/transporttest"
	"github.com/quicproquo/qpq/transport/websocket"
)

func listen(t *testing.T, server, client *tls.Config) (transport.Listener, func(context.Context) (transport.Conn, error)) {
	t.Helper()
	l, err := websocket.Listen("127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l, func(ctx context.Context) (transport.Conn, error) {
		return websocket.Dial(ctx, l.Addr().String(), client)
	}
}

func TestSuite(t *testing.T) {
	transporttest.Run(t, transporttest.Carrier{TLS: true, Unbound: true, Protocol: "http/1.1", Lanes: 64, Goroutines: 8, Objects: 68, Stacks: 40, Listen: listen})
}

func TestPortTaken(t *testing.T) {
	server, client := testcert.Pair(t)
	l, _ := listen(t, server, client)
	if _, err := websocket.Listen(l.Addr().String(), server); !errors.Is(err, qpq.Exists) || qpq.CodeOf(err) != "port-taken" {
		t.Errorf("a taken port: %v", err)
	}
}
