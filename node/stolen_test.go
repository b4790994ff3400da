package node

import (
	"testing"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/wire"
)

// What whoever holds a stolen device, but not the password, cannot do to keep its owner from revoking it.

// thief is a connection of a device that was added and stolen.
func (r *rig) thief(p *person) *line {
	d, _ := r.enrol(p)
	l := r.dial()
	l.authenticate(p, d)
	return l
}

func TestAStolenDeviceCannotUseUpItsOwnersCalls(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Limits.AccountRate, c.Limits.AddressRate = 100, 1e6 })
	l := r.dial()
	alice := l.register("alice")
	thief := r.thief(alice)
	for range 10_000 {
		if _, err := wire.Call(t.Context(), thief, wire.Ping{}); err != nil {
			if qpq.CodeOf(err) != "rate-limited" {
				t.Fatal(err)
			}
			break
		}
	}
	refused(thief, wire.Ping{}, qpq.RateLimited, "rate-limited")
	call(l, wire.DevicesList{}) // another device
	owner := r.dial()
	owner.login(alice)
	call(owner, wire.VaultKeysGet{})
}

func TestAStolenDeviceCannotChangeTheVaultUnderItsOwner(t *testing.T) {
	r := newRig(t, nil)
	l := r.dial()
	alice := l.register("alice")
	thief := r.thief(alice)
	put := func(version uint64) wire.VaultPut {
		return wire.VaultPut{Item: wire.VaultItem{Name: "x", Version: version, Sealed: []byte("junk")}, KeysVersion: alice.keys.Version}
	}
	call(thief, put(1))
	owner := r.dial()
	owner.login(alice)
	call(owner, wire.VaultGet{Names: []string{"x"}})
	refused(thief, put(2), qpq.Unavailable, "vault-frozen")
	call(owner, put(2)) // but the owner may
	r.frozen.sweep(time.Now().Add(freezeTime))
	call(thief, put(3))
}

func TestAStolenDeviceCannotUseUpTheCounter(t *testing.T) {
	r := newRig(t, nil)
	alice := r.dial().register("alice")
	d := *alice.device
	l := r.dial()
	alice.device.counter += maxAdvance + 1
	refused(l, l.statement(alice, alice.device), qpq.Invalid, "bad-counter")
	*alice.device = d
	l.authenticate(alice, alice.device)
}
