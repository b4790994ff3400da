package storetest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/store"
)

func testAttempts(t *testing.T, e store.Engine) {
	s, ctx := Open(t, e), t.Context()
	b := store.Budget{Limit: 2, Window: time.Minute}
	alice, bob := []byte("alice"), []byte("bob")
	first, err := s.CountAttempt(ctx, alice, b, Epoch)
	ok(t, err)
	if first.Left != 1 || !first.Closes.Equal(Epoch.Add(time.Minute)) {
		t.Errorf("the first attempt: %+v", first)
	}
	second, err := s.CountAttempt(ctx, alice, b, Epoch.Add(time.Second))
	ok(t, err)
	if second.Left != 0 || !second.Closes.Equal(first.Closes) {
		t.Errorf("the second attempt: %+v", second)
	}
	over, err := s.CountAttempt(ctx, alice, b, Epoch.Add(59*time.Second))
	wantKind(t, err, qpq.RateLimited, "too-many-attempts")
	if !over.Closes.Equal(first.Closes) {
		t.Errorf("the refusal says until %v", over.Closes)
	}
	_, err = s.CountAttempt(ctx, bob, b, Epoch)
	ok(t, err)

	ok(t, s.ForgiveAttempt(ctx, second))
	_, err = s.CountAttempt(ctx, alice, b, Epoch.Add(2*time.Second))
	ok(t, err)
	third, err := s.CountAttempt(ctx, alice, b, first.Closes) // a new window
	if err != nil || third.Left != 1 {
		t.Errorf("in the next window: %+v, %v", third, err)
	}
	ok(t, s.ForgiveAttempt(ctx, second)) // of the old window: no effect on the new
	_, err = s.CountAttempt(ctx, alice, b, first.Closes)
	ok(t, err)
	_, err = s.CountAttempt(ctx, alice, b, first.Closes)
	wantKind(t, err, qpq.RateLimited, "too-many-attempts")
}

func testTokens(t *testing.T, e store.Engine) {
	s, ctx := Open(t, e), t.Context()
	token := store.Token{Hash: []byte("t"), Uses: 2, Created: Epoch, Expires: Epoch.Add(time.Hour)}
	ok(t, s.AddToken(ctx, token))
	wantKind(t, s.AddToken(ctx, token), qpq.Exists, "token-exists")
	ok(t, s.AddToken(ctx, store.Token{Hash: []byte("revoked"), Uses: 2, Created: Epoch.Add(time.Second)}))
	ok(t, s.RevokeToken(ctx, []byte("revoked"), Epoch))
	wantKind(t, s.RevokeToken(ctx, []byte("revoked"), Epoch), qpq.NotFound, "no-token")

	join := func(name, hash string, now time.Time) error {
		r := registration(name)
		r.Token, r.Now = []byte(hash), now
		_, err := s.Register(ctx, r)
		return err
	}
	for _, hash := range []string{"unknown", "revoked"} {
		wantKind(t, join("a", hash, Epoch), qpq.Denied, "bad-token")
		wantKind(t, s.CheckToken(ctx, []byte(hash), Epoch), qpq.Denied, "bad-token")
	}
	wantKind(t, join("a", "t", Epoch.Add(time.Hour)), qpq.Denied, "bad-token") // expired
	ok(t, s.CheckToken(ctx, token.Hash, Epoch))
	ok(t, join("a", "t", Epoch))
	wantKind(t, join("a", "unknown", Epoch), qpq.Denied, "bad-token") // without a token nobody learns which names are taken
	wantKind(t, join("a", "t", Epoch), qpq.Exists, "name-taken")      // uses nothing up
	ok(t, join("b", "t", Epoch))
	wantKind(t, join("c", "t", Epoch), qpq.Denied, "bad-token")
	list, err := s.Tokens(ctx)
	ok(t, err)
	token.Uses = 0
	want := []store.Token{token, {Hash: []byte("revoked"), Uses: 2, Created: Epoch.Add(time.Second), Revoked: Epoch}}
	if d := cmp.Diff(want, list); d != "" {
		t.Errorf("tokens (-want +got):\n%s", d)
	}
}

func testInbox(t *testing.T, e store.Engine) {
	s, ctx := Open(t, e), t.Context()
	register(t, s, "alice")
	register(t, s, "bob")
	m := store.Message{Channel: qpq.ChannelID{1}, ID: [16]byte{1}, Hash: []byte("h1"), Payload: []byte("p1"), Expires: Epoch, Forget: Epoch}
	repeated, err := s.Enqueue(ctx, m, []string{"bob", "nobody", "alice", "bob"})
	if err != nil || repeated {
		t.Fatalf("enqueue: %v, %v", repeated, err)
	}
	repeated, err = s.Enqueue(ctx, m, []string{"alice", "carol"})
	if err != nil || !repeated {
		t.Errorf("a repetition: %v, %v", repeated, err)
	}
	other := m
	other.Hash = []byte("h2")
	_, err = s.Enqueue(ctx, other, []string{"alice"})
	wantKind(t, err, qpq.Exists, "message-id-reused")
	other.ID, other.Payload = [16]byte{2}, []byte("p2")
	_, err = s.Enqueue(ctx, other, []string{"alice"})
	ok(t, err)
	want := []store.Delivery{{Seq: 1, Channel: m.Channel, ID: m.ID, Payload: m.Payload}, {Seq: 2, Channel: m.Channel, ID: other.ID, Payload: other.Payload}}
	for name, want := range map[string][]store.Delivery{"alice": want, "bob": want[:1], "carol": nil, "nobody": nil} {
		got, err := s.Inbox(ctx, name, 0, 10)
		ok(t, err)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("inbox of %s (-want +got):\n%s", name, d)
		}
	}
	if rest, err := s.Inbox(ctx, "alice", 1, 10); err != nil || len(rest) != 1 || rest[0].Seq != 2 {
		t.Errorf("after 1: %v, %v", rest, err)
	}
}

func testCursors(t *testing.T, e store.Engine) {
	s, ctx := Open(t, e), t.Context()
	register(t, s, "alice")
	for _, step := range []struct{ ack, want int64 }{{1, 1}, {2, 2}, {1, 2}} {
		ok(t, s.Acknowledge(ctx, "alice", qpq.DeviceID{1}, step.ack, Epoch))
		if seq, err := s.Cursor(ctx, "alice", qpq.DeviceID{1}); err != nil || seq != step.want {
			t.Errorf("after acknowledging %d the cursor is %d, %v", step.ack, seq, err)
		}
	}
	ok(t, s.Acknowledge(ctx, "nobody", qpq.DeviceID{1}, 5, Epoch))
	if seq, err := s.Cursor(ctx, "nobody", qpq.DeviceID{1}); err != nil || seq != 0 {
		t.Errorf("nobody has a cursor at %d, %v", seq, err)
	}
}

func testSweep(t *testing.T, e store.Engine) {
	s, ctx, id := Open(t, e), t.Context(), qpq.DeviceID{1}
	register(t, s, "alice")
	for i := range byte(5) {
		expires := Epoch.Add(time.Duration(i) * time.Hour)
		k := store.KeyPackage{Suite: 1, Ref: []byte{i}, Expires: expires}
		ok(t, s.AddKeyPackages(ctx, "alice", id, []store.KeyPackage{k}, many))
		ok(t, s.AddToken(ctx, store.Token{Hash: []byte{i}, Uses: 1, Expires: expires}))
		_, err := s.CountAttempt(ctx, []byte{i}, store.Budget{Limit: 1, Window: time.Duration(i) * time.Hour}, Epoch)
		ok(t, err)
	}
	ok(t, s.AddToken(ctx, store.Token{Hash: []byte("for ever"), Uses: 1}))
	for _, want := range []int64{6, 3, 0} { // three of each are due, two at a time
		n, err := s.Sweep(ctx, Epoch.Add(2*time.Hour), 2)
		if err != nil || n != want {
			t.Errorf("swept %d, %v, want %d", n, err, want)
		}
	}
	counts, err := s.CountKeyPackages(ctx, "alice", id, Epoch)
	if err != nil || len(counts) != 1 || counts[0].OneTime != 2 {
		t.Errorf("key packages left: %v, %v", counts, err)
	}
	if list, err := s.Tokens(ctx); err != nil || len(list) != 3 {
		t.Errorf("tokens left: %v, %v", list, err)
	}
}
