package quic_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"testing"

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
	transporttest.Run(t, transporttest.Carrier{TLS: true, Codes: true, Lanes: 128, Goroutines: 6, Listen: listen})
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
