package client_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/wire"
)

// TestAGroupThatWasDroppedIsNotUsedAgain: bob is connected and has the group in memory, when another connection tells that his profile is an older copy, and is
// lost at once. What he says and receives before he joins anew is not encrypted with keys that a newer state may have used, and stores none.
func TestAGroupThatWasDroppedIsNotUsedAgain(t *testing.T) {
	for name, happens := range map[string]func(id qpq.ChannelID, alice, bob *device){
		"he says something":     func(id qpq.ChannelID, _, bob *device) { must(bob.SendText(context.Background(), id, "hello")) },
		"he receives something": func(id qpq.ChannelID, alice, _ *device) { alice.says(id, "hello") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, nil)
				id, alice, bob, carol := three(t, s)
				settle(t, alice, bob, carol)
				var away atomic.Bool
				network := &tap{dial: s.dial, lie: func(method uint16, _ []byte) (uint16, []byte, bool) {
					if !away.Load() || method != (wire.ChannelInfo{}).Method().Ordinal {
						return 0, nil, false
					}
					status, reply := wire.EncodeError(qpq.E(qpq.Unavailable, "gone", "the server is busy"))
					return status, reply, true
				}}
				bob.reopen(network.connect)
				bob.says(id, "before")
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- bob.Run(ctx) }()
				synctest.Wait()
				away.Store(true) // so that he does not join anew at once
				check(t, bob.profile.Rewind(must(bob.profile.Account()).Counter))
				happens(id, alice, bob)
				synctest.Wait()
				if records := must(bob.profile.Group(id)); len(records) > 0 {
					t.Errorf("%d records of the group are there again", len(records))
				}
				for _, o := range must(bob.profile.Outbox(false, 0, 10)) {
					if o.Ciphertext != nil {
						t.Error("what he said is encrypted")
					}
				}
				away.Store(false)
				time.Sleep(time.Hour)
				talk(t, id, alice, bob, carol)
				cancel()
				check(t, <-done)
			})
		})
	}
}
