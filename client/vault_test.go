package client_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/transport"
)

// meddling is a network on which something happens just before a request is sent: before the next one where left is 1.
type meddling struct {
	server *server
	left   atomic.Int32
	happen func()
}

func (m *meddling) dial(ctx context.Context, address string, verify func(tls.ConnectionState) error) (transport.Conn, error) {
	conn, err := m.server.dial(ctx, address, verify)
	return meddlingConn{conn, m}, err
}

type meddlingConn struct {
	transport.Conn
	network *meddling
}

func (c meddlingConn) Open(ctx context.Context) (transport.Stream, error) {
	s, err := c.Conn.Open(ctx)
	return meddlingStream{s, c.network}, err
}

type meddlingStream struct {
	transport.Stream
	network *meddling
}

func (s meddlingStream) Write(b []byte) (int, error) {
	if s.network.left.Add(-1) == 0 {
		s.network.happen()
	}
	return s.Stream.Write(b)
}

// TestTheVaultsKeyChangesMeanwhile lets another device replace the key of the vault at each point of writing a new item. Whatever
// comes of it, no item is left that was sealed with a key that no longer counts: no device could open it.
func TestTheVaultsKeyChangesMeanwhile(t *testing.T) {
	s := newServer(t, nil)
	first, second := s.device(t), s.device(t)
	first.register("alice")
	m := &meddling{server: s}
	second.reopen(m.dial)
	_, err := second.Login(t.Context(), "alice", with(secret), "second")
	check(t, err)
	happened := true
	for n := int32(1); happened; n++ {
		lost, err := s.device(t).Login(t.Context(), "alice", with(secret), "lost")
		check(t, err)
		happened = false
		m.happen = func() {
			happened = true
			if err := first.RevokeDevice(t.Context(), lost.Device, with(secret)); err != nil {
				t.Error(err)
			}
		}
		_, err = second.Whoami(t.Context())
		check(t, err)
		name := fmt.Sprintf("item-%d", n)
		m.left.Store(n)
		err = second.VaultPut(t.Context(), name, []byte("content"), 0)
		m.left.Store(0)
		t.Logf("before request %d (%v): %v", n, happened, err)
		if err != nil {
			wants(t, err, qpq.Conflict, qpq.CodeOf(err))
			_, _, err = first.VaultGet(t.Context(), name)
			wants(t, err, qpq.NotFound, "no-item")
			check(t, second.VaultPut(t.Context(), name, []byte("content"), 0))
		}
		content, _, err := first.VaultGet(t.Context(), name)
		if err != nil || string(content) != "content" {
			t.Errorf("the item is %q: %v", content, err)
		}
		if !happened {
			err = first.RevokeDevice(t.Context(), lost.Device, with(secret))
			check(t, err)
		}
	}
}
