package client_test

import (
	"slices"
	"testing"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
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
