package client_test

import (
	"testing"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
)

// TestWhatCanBeViewedOnceIsDeleted by who sent it and has nothing of it any more, whether others viewed it or not.
func TestWhatCanBeViewedOnceIsDeleted(t *testing.T) {
	s := newServer(t, nil)
	alice, bob, id := friends(t, s)
	ctx := t.Context()
	for _, viewed := range []bool{false, true} {
		m := must(alice.SendOnce(ctx, id, "the password is swordfish"))
		check(t, alice.Sync(ctx))
		check(t, alice.Wait(ctx, id, m))
		e := bob.newest(id)
		if viewed {
			check(t, bob.ViewText(id, e.Ref(), func(string) error { return nil }))
			_, err := bob.DeleteMessage(ctx, id, e.Ref())
			wants(t, err, qpq.NotFound, "message-gone")
		}
		must(alice.DeleteMessage(ctx, id, alice.newest(id).Ref()))
		settle(t, alice, bob)
		for _, d := range []*device{alice, bob} {
			if got := d.line(id, m).Message; got.Gone != client.Deleted || got.Kind != client.KindViewOnce {
				t.Errorf("viewed %v: %s shows %+v", viewed, d.user(), got)
			}
		}
		wants(t, bob.ViewText(id, e.Ref(), func(string) error { return nil }), qpq.NotFound, "message-gone")
		_, err := alice.DeleteMessage(ctx, id, alice.newest(id).Ref())
		wants(t, err, qpq.NotFound, "message-gone")
	}
}
