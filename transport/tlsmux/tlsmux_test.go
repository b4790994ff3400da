package tlsmux_test

import (
	"context"
	"crypto/tls"
	"errors"
	"testing"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/transport/internal/testcert"
	"github.com/quicproquo/qpq/transport/tlsmux"
	"github.com/quicproquo/qpq/transport/transporttest"
)

func listen(t *testing.T, server, client *tls.Config) (transport.Listener, func(context.Context) (transport.Conn, error)) {
	t.Helper()
	l, err := tlsmux.Listen("127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l, func(ctx context.Context) (transport.Conn, error) { return tlsmux.Dial(ctx, l.Addr().String(), client) }
}

func TestSuite(t *testing.T) {
	transporttest.Run(t, transporttest.Carrier{TLS: true, Lanes: 64, Goroutines: 8, Objects: 48, Stacks: 30, Listen: listen})
}

func TestPortTaken(t *testing.T) {
	server, client := testcert.Pair(t)
	l, _ := listen(t, server, client)
	if _, err := tlsmux.Listen(l.Addr().String(), server); !errors.Is(err, qpq.Exists) || qpq.CodeOf(err) != "port-taken" {
		t.Errorf("a taken port: %v", err)
	}
}
