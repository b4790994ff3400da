package tlsmux_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"runtime"
	"testing"

	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/transport/internal/testcert"
	"github.com/quicproquo/qpq/transport/tlsmux"
)

// flood sends pings without reading the answers, and counts the goroutines that answer; between the pings others are
// served. It returns once the other end has ended the connection.
func flood(t *testing.T, c *tls.Conn, served func()) {
	t.Helper()
	const pings, chunk, most = 400_000, 1000, 100
	ping := []byte{0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7} // asks for an answer
	for sent := 0; sent < pings; sent += chunk {
		_, err := c.Write(bytes.Repeat(ping, chunk))
		if sent%(20*chunk) == 0 || err != nil {
			served()
			if n := sessions(); n > most {
				t.Fatalf("%d goroutines for %d pings", n, sent+chunk)
			}
		}
		if err != nil {
			break
		}
	}
	_, _ = io.Copy(io.Discard, c)
}

// sessions returns how many goroutines the streams over connections have. The runtime's own count is of no use: it takes those that have ended for living
// ones while it frees their stacks.
func sessions() int {
	for size := 1 << 20; ; size *= 2 {
		stacks := make([]byte, size)
		if n := runtime.Stack(stacks, true); n < size {
			return bytes.Count(stacks[:n], []byte("\ncreated by github.com/hashicorp/yamux."))
		}
	}
}

// withALPN is for those who do without package tlsmux.
func withALPN(c *tls.Config) *tls.Config {
	c = c.Clone()
	c.NextProtos = []string{transport.ALPN}
	return c
}

func TestPingsWithoutEnd(t *testing.T) {
	t.Run("to a server", func(t *testing.T) {
		_, address, config := serve(t)
		conn, err := tlsmux.Dial(t.Context(), address, config)
		check(t, err)
		honest := transport.NewSession(conn, transport.SessionConfig{})
		defer honest.Close()
		call := func() {
			_, reply, err := honest.Call(t.Context(), 0, []byte("others are served"))
			check(t, err)
			if string(reply) != "others are served" {
				t.Errorf("the reply is %q", reply)
			}
		}
		call()
		if sessions() == 0 {
			t.Fatal("no goroutine of a connection is known by its name")
		}
		c, err := tls.Dial("tcp", address, withALPN(config))
		check(t, err)
		defer c.Close()
		flood(t, c, call)
	})
	t.Run("to a client", func(t *testing.T) {
		server, client := testcert.Pair(t)
		l, err := tls.Listen("tcp", "127.0.0.1:0", withALPN(server))
		check(t, err)
		defer l.Close()
		accepted := make(chan *tls.Conn, 1)
		go func() {
			c, err := l.Accept()
			if err == nil {
				err = c.(*tls.Conn).Handshake()
			}
			if err != nil {
				t.Error(err)
				close(accepted)
				return
			}
			accepted <- c.(*tls.Conn)
		}()
		conn, err := tlsmux.Dial(t.Context(), l.Addr().String(), client)
		check(t, err)
		c := <-accepted
		if c == nil {
			return
		}
		defer c.Close()
		flood(t, c, func() {})
		<-conn.Done()
	})
}
