package client_test

import (
	"testing"
	"time"

	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/opaque"
)

func TestRenewalWithinTheSecondChangesNothing(t *testing.T) {
	s := newServer(t, nil)
	d := s.device(t)
	now := time.Now()
	c := client.New(client.Config{Profile: d.profile, Dial: s.dial, Server: domain, KSF: opaque.Identity, Clock: func() time.Time { return now }})
	t.Cleanup(func() { check(t, c.Close()) })
	_, err := c.Register(t.Context(), client.Registration{User: "alice", Password: with(secret).Password})
	check(t, err)
	for _, step := range []struct {
		later   time.Duration
		version uint64
	}{{0, 1}, {time.Minute, 2}, {0, 2}} {
		now = now.Add(step.later)
		check(t, c.RenewDevices(t.Context(), with(secret)))
		if w := must(c.Whoami(t.Context())); w.StateVersion != step.version {
			t.Errorf("after a renewal %v later the account is at version %d, want %d", step.later, w.StateVersion, step.version)
		}
	}
}
