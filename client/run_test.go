package client_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/wire"
)

// TestRunTellsOfEachOutageOnce: however often it tries, it says once that it is offline, and once that it is back.
func TestRunTellsOfEachOutageOnce(t *testing.T) {
	s := newServer(t, nil)
	alice, bob := s.device(t), s.device(t)
	alice.register("alice")
	bob.register("bob")
	id := must(alice.Direct(context.Background(), bob.user()))
	var down atomic.Bool
	tried := make(chan struct{}, 100)
	var line transport.Conn
	alice.reopen(func(ctx context.Context, address string, verify func(tls.ConnectionState) error) (transport.Conn, error) {
		if down.Load() {
			tried <- struct{}{}
			return nil, net.ErrClosed
		}
		var err error
		line, err = s.dial(ctx, address, verify)
		return line, err
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- alice.Run(ctx) }()
	first := must(alice.SendText(ctx, id, "before"))
	check(t, alice.Wait(ctx, id, first))
	down.Store(true)
	check(t, line.Close(transport.CodeDone, ""))
	<-tried
	<-tried
	second := must(alice.SendText(ctx, id, "meanwhile"))
	<-tried
	down.Store(false)
	check(t, alice.Wait(ctx, id, second))
	alice.eventually("online")
	cancel()
	check(t, <-ended)
	alice.mu.Lock()
	defer alice.mu.Unlock()
	var told []string
	for _, n := range alice.notices {
		if n.Code == "offline" || n.Code == "online" {
			told = append(told, n.Code)
		}
	}
	if !slices.Equal(told, []string{"offline", "online"}) {
		t.Errorf("told %q", told)
	}
}

// TestRunGoesOnWhereAnotherCallConnected: it does not sleep while there is a connection.
func TestRunGoesOnWhereAnotherCallConnected(t *testing.T) {
	s := newServer(t, nil)
	alice, bob := s.device(t), s.device(t)
	alice.register("alice")
	bob.register("bob")
	id := must(alice.Direct(context.Background(), bob.user()))
	check(t, bob.Sync(context.Background()))
	var down atomic.Bool
	down.Store(true)
	tried := make(chan struct{}, 100)
	alice.reopen(func(ctx context.Context, address string, verify func(tls.ConnectionState) error) (transport.Conn, error) {
		if down.Load() {
			tried <- struct{}{}
			return nil, net.ErrClosed
		}
		return s.dial(ctx, address, verify)
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- alice.Run(ctx) }()
	<-tried
	down.Store(false)
	check(t, alice.Sync(ctx))
	bob.says(id, "hello")
	for e, err := range alice.Entries(ctx, 0) {
		check(t, err)
		if e.Message != nil {
			break
		}
	}
	cancel()
	check(t, <-ended)
}

// tardy is a connection on which the answer to the deletion of an account takes longer to arrive than anybody waits for the end of a connection.
type tardy struct{ transport.Conn }

func (c tardy) Open(ctx context.Context) (transport.Stream, error) {
	s, err := c.Conn.Open(ctx)
	return &tardyStream{Stream: s}, err
}

type tardyStream struct {
	transport.Stream
	late bool
}

func (s *tardyStream) Write(b []byte) (int, error) {
	s.late = len(b) >= 8 && binary.LittleEndian.Uint16(b[4:]) == wire.AccountDelete{}.Method().Ordinal
	return s.Stream.Write(b)
}

func (s *tardyStream) Read(b []byte) (int, error) {
	n, err := s.Stream.Read(b)
	if s.late {
		s.late = false
		time.Sleep(15 * time.Second) // of the bubble
	}
	return n, err
}

// TestRunEndsWithTheAccount: who deletes the account has nothing to wait for any more, and may sign up anew. While the answer is on its way it is time to
// acknowledge what came, as a device that the server no longer knows.
func TestRunEndsWithTheAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		alice := s.device(t)
		alice.register("alice")
		alice.reopen(func(ctx context.Context, address string, verify func(tls.ConnectionState) error) (transport.Conn, error) {
			conn, err := s.dial(ctx, address, verify)
			return tardy{conn}, err
		})
		ended := make(chan error)
		go func() { ended <- alice.Run(context.Background()) }()
		id := must(alice.Direct(context.Background(), alice.user()))
		check(t, alice.Wait(context.Background(), id, must(alice.SendText(context.Background(), id, "so it runs"))))
		check(t, alice.Delete(t.Context(), with(secret)))
		wants(t, <-ended, qpq.NotFound, "not-signed-in")
		alice.mu.Lock()
		for _, n := range alice.notices {
			if n.Code == "offline" {
				t.Errorf("told %q", n.Text)
			}
		}
		alice.mu.Unlock()
		alice.register("anew")
	})
}
