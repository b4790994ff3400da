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
