package mem_test

import (
	"context"
	"crypto/tls"
	"testing"

	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/transport/mem"
	"github.com/quicproquo/qpq/transport/transporttest"
)

func TestSuite(t *testing.T) {
	transporttest.Run(t, transporttest.Carrier{Codes: true, Lanes: 128, Goroutines: 2, Listen: func(*testing.T, *tls.Config, *tls.Config) (transport.Listener, func(context.Context) (transport.Conn, error)) {
		l := mem.Listen("server")
		return l, func(ctx context.Context) (transport.Conn, error) { return l.Dial(ctx, "client") }
	}})
}
