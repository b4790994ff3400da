package storetest

import (
	"context"
	"testing"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/store"
)

// cut is an engine that fails after so many updates.
type cut struct {
	store.Engine
	left int
}

var errCut = qpq.E(qpq.Unavailable, "cut", "cut off")

func (c *cut) Update(ctx context.Context, fn func(store.Tx) error) error {
	if c.left--; c.left < 0 {
		return errCut
	}
	return c.Engine.Update(ctx, fn)
}

// testLeaving: who is in many channels is taken out of them by several transactions. One that fails leaves the rest to a sweep; meanwhile
// nobody uses what was ended.
func testLeaving(t *testing.T, e store.Engine) {
	s, ctx := Open(t, e), t.Context()
	register(t, s, "alice")
	register(t, s, "bob")
	phone := device(2)
	ok(t, s.ChangeAccount(ctx, store.AccountChange{Name: "alice", Enrol: &phone, MaxDevices: 5, Now: Epoch}))
	for i := range byte(70) {
		n := newOf(1+i, "bob", "alice")
		n.Roster.Join("alice", phone.ID)
		_, _, _, err := s.CreateChannel(ctx, n)
		ok(t, err)
	}
	on := func(has func(store.Roster) bool) (n int) {
		for i := range byte(70) {
			ch, err := s.Channel(ctx, qpq.ChannelID{1 + i}, "bob")
			if ok(t, err); has(ch.Roster) {
				n++
			}
		}
		return n
	}
	want := func(what string, has func(store.Roster) bool, want int) {
		t.Helper()
		if n := on(has); n != want {
			t.Errorf("%s: on %d rosters, want %d", what, n, want)
		}
	}
	usesPhone := func(r store.Roster) bool { return r.Has("alice", phone.ID) }
	hasAlice := func(r store.Roster) bool { return r.Find("alice") != nil }

	broken := Open(t, &cut{Engine: e, left: 2})
	ok(t, broken.ChangeAccount(ctx, store.AccountChange{Name: "alice", Revoke: []qpq.DeviceID{phone.ID}, Now: Epoch}))
	want("after one transaction", usesPhone, 38)
	_, err := s.StartSession(ctx, "alice", phone.ID, 1, Epoch)
	wantKind(t, err, qpq.Denied, "device-revoked")
	_, err = s.SweepLeaving(ctx, Epoch, month)
	ok(t, err)
	want("after a sweep", usesPhone, 0)
	want("the account", hasAlice, 70)

	broken = Open(t, &cut{Engine: e, left: 2})
	_, err = broken.DeleteAccount(ctx, "alice", Epoch, month)
	ok(t, err)
	want("after one transaction", hasAlice, 38)
	_, err = s.Account(ctx, "alice")
	wantKind(t, err, qpq.NotFound, "account-erased")
	_, err = s.Device(ctx, "alice", qpq.DeviceID{1})
	wantKind(t, err, qpq.NotFound, "no-device")
	notices, err := s.SweepLeaving(ctx, Epoch, month)
	ok(t, err)
	want("after a sweep", hasAlice, 0)
	left := 0
	for _, row := range fetch(t, s, "bob", 1, 0).Rows {
		if row.Kind == store.KindLeft {
			left++
		}
	}
	if left != 70 || len(notices) == 0 || notices[0].Account != "bob" {
		t.Errorf("bob is told %d times; notices %v", left, notices)
	}
	if notices, err = s.SweepLeaving(ctx, Epoch, month); err != nil || len(notices) != 0 {
		t.Errorf("once more: %v, %v", notices, err)
	}
}
