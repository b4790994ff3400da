package client_test

import (
	"context"
	"crypto/tls"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/transport"
)

// grave is a connection whose server may be gone without a word: nothing is answered any more, and nothing fails.
type grave struct {
	transport.Conn
	dead *atomic.Bool
}

func (c grave) Open(ctx context.Context) (transport.Stream, error) {
	s, err := c.Conn.Open(ctx)
	return &buried{s, c}, err
}

type buried struct {
	transport.Stream
	conn grave
}

func (s *buried) Write(b []byte) (int, error) {
	if s.conn.dead.Load() {
		return len(b), nil
	}
	return s.Stream.Write(b)
}

// TestAServerThatSaysNothingIsLeft: a call ends soon after the server is gone, long before a carrier would notice.
func TestAServerThatSaysNothingIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		alice := s.device(t)
		alice.register("alice")
		var dead atomic.Bool
		alice.reopen(func(ctx context.Context, address string, verify func(tls.ConnectionState) error) (transport.Conn, error) {
			c, err := s.dial(ctx, address, verify)
			return grave{c, &dead}, err
		})
		check(t, alice.Sync(context.Background()))
		dead.Store(true)
		began := time.Now()
		err := alice.Sync(context.Background())
		if took := time.Since(began); qpq.CodeOf(err) != "connection-lost" || took > 20*time.Second {
			t.Errorf("after %v: %v", took, err)
		}
	})
}
