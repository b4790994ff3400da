package client_test

import (
	"context"
	"strings"
	"testing"

	"github.com/quicproquo/qpq/client/profile"
)

// TestKeysThatStayAreFound puts back message keys that were deleted, as a faulty client would have kept them.
func TestKeysThatStayAreFound(t *testing.T) {
	s := newServer(t, nil)
	alice, bob := s.device(t), s.device(t)
	alice.register("alice")
	bob.register("bob")
	ctx := context.Background()
	id := must(alice.Direct(ctx, bob.user()))
	check(t, bob.Sync(ctx))
	before := must(bob.profile.Group(id))
	alice.says(id, "hello")
	check(t, bob.Sync(ctx))
	if got := must(bob.VerifySecrecy(ctx, id)); got.Tried < 1 || got.Messages != 1 || got.Keys < 1 || len(got.Opened) > 0 {
		t.Errorf("with nothing put back: %+v", got)
	}
	var records []profile.Record
	for key, value := range before {
		if strings.HasPrefix(key, "ratchet/") || strings.HasPrefix(key, "secrets/") {
			records = append(records, profile.Record{Key: key, Value: value})
		}
	}
	for key := range must(bob.profile.Group(id)) {
		if _, was := before[key]; !was {
			records = append(records, profile.Record{Key: key})
		}
	}
	check(t, bob.profile.Change(func(tx *profile.Tx) error { return tx.PutGroup(id, records) }))
	if got := must(bob.VerifySecrecy(ctx, id)); len(got.Opened) != 1 || got.Opened[0] != "the message that came last" {
		t.Errorf("with old keys put back: %+v", got)
	}
}
