package client

import (
	"testing"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/wire"
)

// TestHints: what the server says about the account and its key packages is kept, however much nobody stores came before it, and both are looked at where
// pushes were left out.
func TestHints(t *testing.T) {
	me, other := qpq.UserID{Name: "alice", Domain: "example.org"}, qpq.UserID{Name: "bob", Domain: "example.org"}
	typing := make([]wire.PushEvent, 100)
	for i := range typing {
		typing[i] = wire.EphemeralPush{Payload: []byte("x")}
	}
	for name, v := range map[string]struct {
		pushed            []wire.PushEvent
		account, packages int
	}{
		"typing":        {typing, 0, 0},
		"account":       {append(typing[:100:100], wire.AccountPush{User: me, Version: 2}), 1, 0},
		"of another":    {[]wire.PushEvent{wire.AccountPush{User: other, Version: 2}}, 0, 0},
		"key packages":  {append(typing[:100:100], wire.KeyPackagesPush{Suite: 1}), 0, 1},
		"again":         {[]wire.PushEvent{wire.KeyPackagesPush{Suite: 1}, wire.KeyPackagesPush{Suite: 1}}, 0, 1},
		"a message":     {[]wire.PushEvent{wire.InboxPush{Sequence: 1}}, 0, 0},
		"were left out": {append(typing[:100:100], wire.InboxPush{}), 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := &session{hints: newHints(), kick: func() {}}
			s.account.Store(&profile.Account{User: me})
			for _, e := range v.pushed {
				b, err := wire.Marshal(wire.Push{Event: e})
				if err != nil {
					t.Fatal(err)
				}
				s.pushed(b)
			}
			if len(s.hints.account) != v.account || len(s.hints.packages) != v.packages {
				t.Errorf("account %d, packages %d", len(s.hints.account), len(s.hints.packages))
			}
		})
	}
}
