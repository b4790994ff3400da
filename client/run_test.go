package client_test

import (
	"context"
	"crypto/tls"
	"net"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/transport"
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

// TestRunEndsWithTheAccount: who deletes the account has nothing to wait for any more, and may sign up anew.
func TestRunEndsWithTheAccount(t *testing.T) {
	s := newServer(t, nil)
	alice := s.device(t)
	alice.register("alice")
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
}
