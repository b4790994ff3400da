package transport_test

import (
	"crypto/tls"
	"testing"

	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/transport/internal/testcert"
)

// sessions is a cache that counts what it is given.
type sessions struct{ given int }

func (s *sessions) Get(string) (*tls.ClientSessionState, bool) { return nil, false }
func (s *sessions) Put(string, *tls.ClientSessionState)        { s.given++ }

// TestNoTickets asks a server for what a client could resume its session with, once by plain TLS, which gives it.
func TestNoTickets(t *testing.T) {
	here, there := testcert.Pair(t)
	for _, c := range []struct {
		server *tls.Config
		want   bool
	}{{here, true}, {transport.ServerTLS(here), false}} {
		cache := &sessions{}
		config := there.Clone()
		config.ClientSessionCache, config.NextProtos = cache, c.server.NextProtos
		l, err := tls.Listen("tcp", "127.0.0.1:0", c.server)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			if s, err := l.Accept(); err == nil {
				_, _ = s.Write([]byte{1})
			}
		}()
		conn, err := tls.Dial("tcp", l.Addr().String(), config)
		if err == nil {
			_, err = conn.Read(make([]byte, 1))
		}
		if err != nil {
			t.Fatal(err)
		}
		if (cache.given > 0) != c.want {
			t.Errorf("%d tickets, and some: %v", cache.given, c.want)
		}
		_, _ = conn.Close(), l.Close()
	}
}
