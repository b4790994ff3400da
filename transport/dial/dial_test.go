package dial_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/transport/dial"
	"github.com/quicproquo/qpq/transport/internal/testcert"
	"github.com/quicproquo/qpq/transport/quic"
	"github.com/quicproquo/qpq/transport/tlsmux"
)

func trust(tls.ConnectionState) error { return nil }

func dialer(t *testing.T) (*dial.Dialer, *atomic.Pointer[string]) {
	var told atomic.Pointer[string]
	d := &dial.Dialer{Notice: func(text string) { told.Store(&text) }}
	t.Cleanup(func() { _ = d.Close() })
	return d, &told
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// hold accepts connections until the listener is closed.
func hold(l transport.Listener) {
	for {
		if _, err := l.Accept(context.Background()); err != nil {
			return
		}
	}
}

// onePort listens on a port of TCP and has the same of UDP, on which it says nothing yet. Another is tried where somebody has one of them.
func onePort(t *testing.T, server *tls.Config) (transport.Listener, *quic.Endpoint) {
	t.Helper()
	for range 20 {
		tcp, err := tlsmux.Listen("127.0.0.1:0", server)
		check(t, err)
		t.Cleanup(func() { _ = tcp.Close() })
		udp, err := quic.NewEndpoint(tcp.Addr().String(), quic.Config{})
		if err == nil {
			t.Cleanup(func() { _ = udp.Close() })
			return tcp, udp
		}
	}
	t.Fatal("no port is free on both UDP and TCP")
	return nil, nil
}

func TestUDPIsTakenFirst(t *testing.T) {
	t.Parallel()
	server, _ := testcert.Pair(t)
	e, err := quic.NewEndpoint("127.0.0.1:0", quic.Config{})
	check(t, err)
	defer e.Close()
	l, err := e.Listen(server)
	check(t, err)
	go hold(l)
	d, told := dialer(t)
	conn, err := d.Dial(t.Context(), e.Addr().String(), trust)
	check(t, err)
	if conn.Peer().Carrier != "quic" || told.Load() != nil {
		t.Errorf("connected over %s, and said %v", conn.Peer().Carrier, told.Load())
	}
	check(t, conn.Close(transport.CodeDone, ""))
}

func TestTCPWhereUDPIsBlocked(t *testing.T) {
	t.Parallel()
	server, _ := testcert.Pair(t)
	l, _ := onePort(t, server) // packets by UDP get no answer
	go hold(l)
	d, told := dialer(t)
	conn, err := d.Dial(t.Context(), l.Addr().String(), trust)
	check(t, err)
	if text := told.Load(); conn.Peer().Carrier != "tls" || text == nil || !strings.Contains(*text, "trying TCP") {
		t.Errorf("connected over %s, and said %v", conn.Peer().Carrier, text)
	}
	check(t, conn.Close(transport.CodeDone, ""))
}

func TestAServerThatIsNotTrustedIsAskedOnce(t *testing.T) {
	t.Parallel()
	server, _ := testcert.Pair(t)
	tcp, e := onePort(t, server)
	go hold(tcp)
	l, err := e.Listen(server)
	check(t, err)
	go hold(l)
	d, _ := dialer(t)
	var asked atomic.Int32
	refused := qpq.E(qpq.Denied, "no", "not that one")
	_, err = d.Dial(t.Context(), e.Addr().String(), func(tls.ConnectionState) error {
		asked.Add(1)
		return refused
	})
	if !errors.Is(err, qpq.Denied) || asked.Load() != 1 {
		t.Errorf("got %v after %d questions", err, asked.Load())
	}
}

func TestWhyNot(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // another kind of server
	check(t, err)
	t.Cleanup(func() { _ = silent.Close() })
	go func() {
		for {
			c, err := silent.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "220 mail.example.org ESMTP\r\n")
			_ = c.Close()
		}
	}()
	for address, want := range map[string]string{
		"no-such-host.invalid:4433": "no host of this name",
		"127.0.0.1:1":               "nothing listens there",
		silent.Addr().String():      "",
	} {
		t.Run(address, func(t *testing.T) {
			t.Parallel()
			d, _ := dialer(t)
			_, err := d.Dial(t.Context(), address, trust)
			if !errors.Is(err, qpq.Unavailable) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), address) {
				t.Errorf("got %v", err)
			}
		})
	}
}
