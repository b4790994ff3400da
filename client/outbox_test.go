package client_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/wire"
)

// sent returns the texts that wait on a device.
func (d *device) waits() (list []string) {
	d.t.Helper()
	for _, e := range must(d.Outbox()) {
		list = append(list, e.Message.Text)
	}
	return list
}

func TestWhatWaitsIsListedSentAndGivenUp(t *testing.T) {
	s := newServer(t, nil)
	alice, bob, carol := s.device(t), s.device(t), s.device(t)
	alice.register("alice")
	bob.register("bob")
	carol.register("carol")
	ctx := t.Context()
	one, two := must(alice.Direct(ctx, bob.user())), must(alice.Direct(ctx, carol.user()))
	settle(t, alice, bob, carol)
	bob.says(one, "hello")
	settle(t, bob, alice)
	check(t, alice.MarkRead(one, alice.last(one).Position)) // the receipt waits too, and nobody sees that
	must(alice.SendText(ctx, one, "first"))
	given := must(alice.SendText(ctx, two, "second"))
	must(alice.SendText(ctx, one, "third"))
	if got := alice.waits(); !slices.Equal(got, []string{"first", "second", "third"}) {
		t.Fatalf("what waits is %q", got)
	}
	if n, changes, err := alice.ClearOutbox(ctx, two); err != nil || n != 1 || changes != 0 {
		t.Errorf("%d and %d were given up: %v", n, changes, err)
	}
	wants(t, alice.Wait(ctx, two, given), qpq.Denied, "not-sent")
	alice.reopen(s.dial)
	settle(t, alice, bob, carol)
	if got := alice.waits(); len(got) > 0 {
		t.Errorf("%q still waits", got)
	}
	shows(t, one, []string{"bob: hello", "alice: first", "alice: third"}, alice, bob)
	shows(t, two, nil, carol)
	if m := alice.line(two, given).Message; m.State != client.Failed {
		t.Errorf("what was given up is %v", m.State)
	}
}

// TestAReceiptThatWaitsForAWeekIsDropped: one that was cut off is sent when the device connects within a week, and later never.
func TestAReceiptThatWaitsForAWeekIsDropped(t *testing.T) {
	for name, c := range map[string]struct {
		away time.Duration
		told bool
	}{"six days": {6 * 24 * time.Hour, true}, "eight days": {8 * 24 * time.Hour, false}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, nil)
				b := &breaking{server: s}
				alice, bob := s.device(t), s.device(t)
				bob.reopen(b.dial)
				alice.register("alice")
				bob.register("bob")
				ctx := context.Background()
				id := must(alice.Direct(ctx, bob.user()))
				settle(t, alice, bob)
				said := alice.says(id, "hello")
				b.method.Store(int32(wire.Send{}.Method().Ordinal))
				wants(t, bob.Sync(ctx), qpq.Unavailable, "connection-lost")
				if list := must(bob.profile.Outbox(true, 0, 10)); len(list) != 1 {
					t.Fatalf("%d receipts wait", len(list))
				}
				time.Sleep(c.away)
				settle(t, bob, alice)
				if list := must(bob.profile.Outbox(true, 0, 10)); len(list) != 0 {
					t.Errorf("%d receipts wait", len(list))
				}
				if got := alice.line(id, said).Message.Receipts; (len(got) == 1) != c.told {
					t.Errorf("alice was told %v", got)
				}
			})
		})
	}
}

// TestTypingIsNeverQueued: where nobody can be told at once, nobody is told later.
func TestTypingIsNeverQueued(t *testing.T) {
	s := newServer(t, nil)
	tap := &tap{dial: s.dial, calls: map[uint16]int{}}
	alice, bob := s.device(t), s.device(t)
	alice.register("alice")
	bob.register("bob")
	ctx := t.Context()
	id := must(alice.Direct(ctx, bob.user()))
	settle(t, alice, bob)
	s.Stop()
	alice.reopen(tap.connect)
	wants(t, alice.SendTyping(ctx, id, true), qpq.Unavailable, "cannot-connect")
	for _, hidden := range []bool{false, true} {
		if list := must(alice.profile.Outbox(hidden, 0, 10)); len(list) > 0 {
			t.Errorf("%d messages wait", len(list))
		}
	}
	s.Start()
	settle(t, alice, bob)
	if n := tap.called(wire.SendEphemeral{}) + tap.called(wire.Send{}); n > 0 {
		t.Errorf("%d messages went out", n)
	}
	if got := bob.Typing(id); len(got) > 0 {
		t.Errorf("%v types", got)
	}
}
