package client_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/wire"
)

func TestCoverTrafficIsSentAtItsRateAndShownToNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alice, bob, id := pair(t)
		alice.says(id, "hello")
		settle(t, alice, bob, alice)
		check(t, alice.SetPrivacy(client.Privacy{Receipts: true, Cover: 60}))
		before, shown := must(bob.profile.Channel(id)).Sequence, alice.texts(id)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- alice.Run(ctx) }()
		time.Sleep(4 * time.Hour)
		cancel()
		check(t, <-done)
		check(t, bob.Sync(t.Context()))
		if n := must(bob.profile.Channel(id)).Sequence - before; n < 150 || n > 330 { // 240 are expected, with a standard deviation of 15
			t.Errorf("%d messages went to bob in four hours", n)
		}
		check(t, alice.SetPrivacy(client.Privacy{Receipts: true}))
		settle(t, alice, bob, alice)
		shows(t, id, shown, alice, bob)
		if got := bob.codes(id); slices.Contains(got, "unreadable") {
			t.Errorf("bob is told %q", got)
		}
		if list := must(alice.Outbox()); len(list) > 0 {
			t.Errorf("%d still wait", len(list))
		}
		quiet := must(bob.profile.Channel(id)).Sequence
		settle(t, alice, bob, alice, bob)
		if n := must(bob.profile.Channel(id)).Sequence; n != quiet {
			t.Errorf("what says nothing is answered without end: %d, %d", quiet, n)
		}
	})
}

// TestTheServerDropsCoverAsWhatItCovers: by how long it is to keep them, it cannot tell messages without content from others.
func TestTheServerDropsCoverAsWhatItCovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alice, bob, id := pair(t)
		settle(t, alice, bob, alice)
		check(t, alice.SetTimer(t.Context(), id, time.Minute))
		settle(t, alice, bob, alice)
		check(t, alice.SetPrivacy(client.Privacy{Receipts: true, Cover: 60}))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- alice.Run(ctx) }()
		time.Sleep(time.Hour)
		cancel()
		check(t, <-done)
		time.Sleep(2 * time.Hour) // expiry at the server is by the hour
		check(t, bob.Sync(t.Context()))
		if got := bob.codes(id); !slices.Contains(got, "late") {
			t.Errorf("the server kept messages without content: bob is told %q", got)
		}
	})
}

func TestReceiptsAreOffWhereThePersonChoseSo(t *testing.T) {
	alice, bob, id := pair(t)
	settle(t, bob)
	check(t, bob.SetPrivacy(client.Privacy{Receipts: false}))
	if must(bob.Receipts(id)) {
		t.Error("receipts are sent")
	}
	m := alice.says(id, "hello")
	settle(t, bob, alice)
	if r := alice.line(id, m).Message.Receipts; len(r) > 0 {
		t.Errorf("alice has receipts %v", r)
	}
	check(t, bob.SetReceipts(id, true))
	if !must(bob.Receipts(id)) {
		t.Error("what was chosen for a conversation does not count")
	}
	if err := bob.SetPrivacy(client.Privacy{Cover: 1_000_000}); qpq.CodeOf(err) != "bad-rate" {
		t.Errorf("a rate without bounds: %v", err)
	}
}

// hearing is what a server was asked to send.
type hearing struct {
	mu    sync.Mutex
	sends []wire.Send
}

// listening is a dialer to a server whose operator listens.
func (s *server) listening(h *hearing) client.Dialer {
	return func(ctx context.Context, address string, verify func(tls.ConnectionState) error) (transport.Conn, error) {
		conn, err := s.dial(ctx, address, verify)
		return heardConn{conn, h}, err
	}
}

type heardConn struct {
	transport.Conn
	hearing *hearing
}

func (c heardConn) Open(ctx context.Context) (transport.Stream, error) {
	s, err := c.Conn.Open(ctx)
	return &heardStream{Stream: s, hearing: c.hearing}, err
}

type heardStream struct {
	transport.Stream
	hearing *hearing
	written []byte
}

func (s *heardStream) Write(b []byte) (int, error) {
	s.written = append(s.written, b...)
	for len(s.written) >= 8 {
		end := 8 + int(binary.LittleEndian.Uint32(s.written))
		if len(s.written) < end {
			break
		}
		if binary.LittleEndian.Uint16(s.written[4:]) == (wire.Send{}).Method().Ordinal {
			if q, err := wire.Unmarshal[wire.Send](s.written[8:end]); err == nil {
				s.hearing.mu.Lock()
				s.hearing.sends = append(s.hearing.sends, q)
				s.hearing.mu.Unlock()
			}
		}
		s.written = s.written[end:]
	}
	return s.Stream.Write(b)
}

// TestTheServerCannotTellCoverFromAText: but for the ciphertext and a random id, the calls are the same.
func TestTheServerCannotTellCoverFromAText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		alice, bob := s.device(t), s.device(t)
		alice.register("alice")
		bob.register("bob")
		id := must(alice.Direct(t.Context(), bob.user()))
		settle(t, bob)
		var h hearing
		alice.reopen(s.listening(&h))
		alice.says(id, "a text of some length")
		check(t, alice.SetPrivacy(client.Privacy{Cover: 60}))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- alice.Run(ctx) }()
		time.Sleep(time.Hour)
		cancel()
		check(t, <-done)
		if len(h.sends) < 20 {
			t.Fatalf("%d messages were sent in an hour", len(h.sends))
		}
		text := h.sends[0]
		for _, q := range h.sends[1:] {
			if q.Channel != text.Channel || len(q.Payload) != len(text.Payload) || q.TTLSeconds != text.TTLSeconds || len(q.Blobs) != len(text.Blobs) {
				t.Fatalf("a text has %d bytes, waits for %d seconds and has %d files; cover %d, %d and %d",
					len(text.Payload), text.TTLSeconds, len(text.Blobs), len(q.Payload), q.TTLSeconds, len(q.Blobs))
			}
		}
	})
}
