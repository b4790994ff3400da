package client_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
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
