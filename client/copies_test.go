package client_test

import (
	"context"
	"slices"
	"testing"

	"github.com/quicproquo/qpq/client/profile"
)

// TestACopyFromBeforeTheFirstMessage: alice's profile is set back, within one session, to before she received anything, her own message
// included. What she says next must not be encrypted as that was.
func TestACopyFromBeforeTheFirstMessage(t *testing.T) {
	s := newServer(t, nil)
	ctx := context.Background()
	alice, bob := s.device(t), s.device(t)
	alice.register("alice")
	bob.register("bob")
	id := must(alice.CreateGroup(ctx, "two", bob.user()))
	copied := t.TempDir()
	check(t, copyFiles(alice.dir, copied))
	alice.says(id, "one")
	settle(t, alice, bob)
	alice.close()
	check(t, copyFiles(copied, alice.dir))
	alice.open(s.dial)
	check(t, alice.Sync(ctx))
	if !alice.noticed("old-copy") {
		t.Error("nobody noticed that it is an older copy")
	}
	alice.says(id, "two")
	check(t, bob.Sync(ctx))
	shows(t, id, []string{"alice: one", "alice: two"}, bob)
}

func TestACopyOfAProfileIsToldApart(t *testing.T) {
	s := newServer(t, nil)
	d := s.device(t)
	d.register("alice")
	d.close()
	backup := t.TempDir()
	check(t, copyFiles(d.dir, backup))
	d.open(s.dial)
	_, err := d.Whoami(t.Context()) // the session that the copy knows nothing of
	check(t, err)
	used := must(d.profile.KeyPackages())
	d.close()
	old := &device{t: t, dir: backup}
	old.open(s.dial)
	defer old.close()
	_, err = old.Whoami(t.Context())
	check(t, err)
	if !old.noticed("old-copy") {
		t.Errorf("notices: %v", old.notices)
	}
	fresh := must(old.profile.KeyPackages())
	for _, k := range fresh {
		if slices.ContainsFunc(used, func(u profile.KeyPackage) bool { return string(u.Ref) == string(k.Ref) }) {
			t.Fatal("the copy keeps a key package that the newer state may have used")
		}
	}
	if len(fresh) != 21 {
		t.Errorf("%d key packages", len(fresh))
	}
	d.open(s.dial)
}

func TestAReplacementThatWasCutOffIsMadeUpFor(t *testing.T) {
	s := newServer(t, nil)
	d := s.device(t)
	d.register("alice")
	check(t, d.profile.Rewind(40)) // and the server was not told of other key packages
	d.reopen(s.dial)
	_, err := d.Whoami(t.Context())
	check(t, err)
	if n := len(must(d.profile.KeyPackages())); n != 21 {
		t.Errorf("the server offers 21 key packages, and this device can use %d", n)
	}
	d.reopen(s.dial)
	_, err = d.Whoami(t.Context())
	check(t, err)
	if n := len(must(d.profile.KeyPackages())); n != 21 {
		t.Errorf("replaced once more: %d key packages", n)
	}
}
