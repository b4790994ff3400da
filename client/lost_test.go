package client_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"net"
	"sync/atomic"
	"testing"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/wire"
)

// breaking is a network that breaks once, at a call of a method: before the request is sent, or when the reply has come.
type breaking struct {
	server *server
	method atomic.Int32 // 0: never
	reply  bool         // the reply is lost, not the request
	giveUp func()       // called instead of losing the reply, which then never comes; nil for most
}

func (b *breaking) dial(ctx context.Context, address string, verify func(tls.ConnectionState) error) (transport.Conn, error) {
	conn, err := b.server.dial(ctx, address, verify)
	return &breakingConn{conn, b}, err
}

type breakingConn struct {
	transport.Conn
	network *breaking
}

func (c *breakingConn) Open(ctx context.Context) (transport.Stream, error) {
	s, err := c.Conn.Open(ctx)
	return &breakingStream{Stream: s, conn: c}, err
}

type breakingStream struct {
	transport.Stream
	conn    *breakingConn
	spoiled bool
}

func (s *breakingStream) Write(b []byte) (int, error) {
	n := s.conn.network
	if m := n.method.Load(); m > 0 && len(b) >= 8 && int32(binary.LittleEndian.Uint16(b[4:])) == m {
		n.method.Store(0)
		if !n.reply {
			_ = s.conn.Close(transport.CodeDone, "")
			return 0, net.ErrClosed
		}
		s.spoiled = true
	}
	return s.Stream.Write(b)
}

func (s *breakingStream) Read(b []byte) (int, error) {
	n, err := s.Stream.Read(b)
	if s.spoiled && s.conn.network.giveUp != nil {
		s.conn.network.giveUp()
		for err == nil {
			_, err = s.Stream.Read(b)
		}
		return 0, err
	}
	if s.spoiled {
		_ = s.conn.Close(transport.CodeDone, "")
		return 0, net.ErrClosed
	}
	return n, err
}

// TestWhoGaveUpSigningUpIsIn: a person stops to wait for the server while it signs them up, or lets a device in. The program finds out what came of it
// before it does anything else, though the connection is there still.
func TestWhoGaveUpSigningUpIsIn(t *testing.T) {
	s := newServer(t, nil)
	b := &breaking{server: s, reply: true}
	first, second := s.device(t), s.device(t)
	first.reopen(b.dial)
	second.reopen(b.dial)
	while := func(q interface{ Method() wire.Method }, do func(context.Context) error) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		b.giveUp = cancel
		b.method.Store(int32(q.Method().Ordinal))
		wants(t, do(ctx), qpq.Unavailable, "cancelled")
	}
	while(wire.RegisterFinish{}, func(ctx context.Context) error {
		_, err := first.Register(ctx, client.Registration{User: "alice", Password: with(secret).Password})
		return err
	})
	_, err := first.Login(t.Context(), "alice", with(secret), "first")
	wants(t, err, qpq.Exists, "signed-in")
	while(wire.AccountPublish{}, func(ctx context.Context) error {
		_, err := second.Login(ctx, "alice", with(secret), "second")
		return err
	})
	_, err = second.Login(t.Context(), "alice", with(secret), "second")
	wants(t, err, qpq.Exists, "signed-in")
	third := s.device(t)
	third.reopen(b.dial)
	while(wire.Authenticate{}, func(ctx context.Context) error {
		_, err := third.Login(ctx, "alice", with(secret), "third")
		return err
	})
	_, err = third.Login(t.Context(), "alice", with(secret), "third")
	wants(t, err, qpq.Exists, "signed-in")
	if list, err := first.Devices(t.Context()); err != nil || len(list) != 3 {
		t.Errorf("devices: %+v, %v", list, err)
	}
}

// TestLostCalls breaks the connection at the call that decides, and looks what came of it.
func TestLostCalls(t *testing.T) {
	for name, reply := range map[string]bool{"the request is lost": false, "the reply is lost": true} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, nil)
			b := &breaking{server: s, reply: reply}
			first, second := s.device(t), s.device(t)
			first.reopen(b.dial)
			second.reopen(b.dial)
			at := func(q interface{ Method() wire.Method }) { b.method.Store(int32(q.Method().Ordinal)) }

			at(wire.RegisterFinish{})
			_, err := first.Register(t.Context(), client.Registration{User: "alice", Password: with(secret).Password})
			wants(t, err, qpq.Unavailable, "connection-lost")
			w, err := first.Whoami(t.Context())
			if reply {
				check(t, err) // it had been taken
				if w.User.Name != "alice" || w.Devices != 1 {
					t.Errorf("whoami: %+v", w)
				}
			} else {
				wants(t, err, qpq.NotFound, "not-signed-in")
				first.register("alice")
			}

			at(wire.AccountPublish{})
			_, err = second.Login(t.Context(), "alice", with(secret), "second")
			wants(t, err, qpq.Unavailable, "connection-lost")
			_, err = second.Whoami(t.Context())
			if reply {
				check(t, err)
			} else {
				wants(t, err, qpq.NotFound, "not-signed-in")
				_, err = second.Login(t.Context(), "alice", with(secret), "second")
				check(t, err)
			}
			if list, err := first.Devices(t.Context()); err != nil || len(list) != 2 {
				t.Errorf("devices: %+v, %v", list, err)
			}

			at(wire.PasswordFinish{})
			err = first.ChangePassword(t.Context(), with(secret), with("another good one"))
			if reply {
				check(t, err)
			} else {
				wants(t, err, qpq.Unavailable, "not-changed")
				check(t, first.ChangePassword(t.Context(), with(secret), with("another good one")))
			}
			stolen := must(second.Whoami(t.Context())).Device
			at(wire.AccountPublish{})
			wants(t, first.RevokeDevice(t.Context(), stolen, with("another good one")), qpq.Unavailable, "connection-lost")
			check(t, first.RevokeDevice(t.Context(), stolen, with("another good one")))
			if list, err := first.Devices(t.Context()); err != nil || len(list) != 1 {
				t.Errorf("devices: %+v, %v", list, err)
			}

			at(wire.AccountDelete{})
			err = first.Delete(t.Context(), with("another good one"))
			if !reply {
				wants(t, err, qpq.Unavailable, "connection-lost")
				err = first.Delete(t.Context(), with("another good one"))
			}
			check(t, err)
			_, err = first.Whoami(t.Context())
			wants(t, err, qpq.NotFound, "not-signed-in")
		})
	}
}
