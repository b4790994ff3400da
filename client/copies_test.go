package client_test

import (
	"context"
	"testing"
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
