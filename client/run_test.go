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

// tardy is a connection on which the answers to one method take longer to arrive than anybody waits for the end of a connection.
type tardy struct {
	transport.Conn
	method uint16
}

func (c tardy) Open(ctx context.Context) (transport.Stream, error) {
	s, err := c.Conn.Open(ctx)
	return &tardyStream{Stream: s, method: c.method}, err
}

type tardyStream struct {
	transport.Stream
	method uint16
	late   bool
}

func (s *tardyStream) Write(b []byte) (int, error) {
	s.late = len(b) >= 8 && binary.LittleEndian.Uint16(b[4:]) == s.method
	return s.Stream.Write(b)
}

func (s *tardyStream) Read(b []byte) (int, error) {
	n, err := s.Stream.Read(b)
	if s.late {
		s.late = false
		time.Sleep(12 * time.Second) // of the bubble; after 15 the server ends the lane
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
			return tardy{conn, wire.AccountDelete{}.Method().Ordinal}, err
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

// TestNobodyWaitsForAcknowledgements of what was pushed: what is pushed and what goes meanwhile does not wait for their answers.
func TestNobodyWaitsForAcknowledgements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		alice, bob := s.device(t), s.device(t)
		alice.register("alice")
		bob.register("bob")
		bob.reopen(func(ctx context.Context, address string, verify func(tls.ConnectionState) error) (transport.Conn, error) {
			conn, err := s.dial(ctx, address, verify)
			return tardy{conn, wire.InboxAck{}.Method().Ordinal}, err
		})
		id := must(alice.Direct(t.Context(), bob.user()))
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- bob.Run(ctx) }()
		time.Sleep(time.Minute) // of the bubble: the first round fetches, and acknowledges what it fetched
		alice.says(id, "one")
		time.Sleep(5 * time.Second) // the acknowledgement is under way, and has no answer for 7 seconds more
		began := time.Now()
		alice.says(id, "two")
		synctest.Wait()
		if list := must(bob.History(id, 0, 1)); len(list) != 1 || list[0].Message == nil || list[0].Message.Text != "two" {
			t.Errorf("what came meanwhile is not here: %+v", list)
		}
		m := must(bob.SendText(t.Context(), id, "three"))
		check(t, bob.Wait(t.Context(), id, m))
		if waited := time.Since(began); waited > time.Second {
			t.Errorf("an acknowledgement held up messages for %v", waited)
		}
		stop()
		check(t, <-ended)
		time.Sleep(time.Minute) // who waits for the answer ends
	})
}

// refusing is a connection on which acknowledgements are lost until some number of them was.
type refusing struct {
	transport.Conn
	left, tried *atomic.Int32
}

func (c refusing) Open(ctx context.Context) (transport.Stream, error) {
	s, err := c.Conn.Open(ctx)
	return refusingStream{s, c}, err
}

type refusingStream struct {
	transport.Stream
	conn refusing
}

func (s refusingStream) Write(b []byte) (int, error) {
	if len(b) >= 8 && binary.LittleEndian.Uint16(b[4:]) == (wire.InboxAck{}).Method().Ordinal {
		s.conn.tried.Add(1)
		if s.conn.left.Add(-1) >= 0 {
			s.Reset(transport.CodeCancelled)
		}
	}
	return s.Stream.Write(b)
}

// TestAcknowledgementsAreTriedAgain, more and more seldom, and without anything that comes meanwhile.
func TestAcknowledgementsAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		alice, bob := s.device(t), s.device(t)
		alice.register("alice")
		bob.register("bob")
		var left, tried atomic.Int32
		bob.reopen(func(ctx context.Context, address string, verify func(tls.ConnectionState) error) (transport.Conn, error) {
			conn, err := s.dial(ctx, address, verify)
			return refusing{conn, &left, &tried}, err
		})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- bob.Run(ctx) }()
		id := must(alice.Direct(t.Context(), bob.user()))
		time.Sleep(time.Minute) // of the bubble: all that there is is acknowledged
		left.Store(3)
		tried.Store(0)
		alice.says(id, "one")
		time.Sleep(time.Minute)
		if n := tried.Load(); n < 4 || n > 8 { // own receipts are acknowledged too
			t.Errorf("it was tried %d times", n)
		}
		stop()
		check(t, <-ended)
	})
}
