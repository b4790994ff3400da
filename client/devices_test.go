package client_test

import (
	"testing"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/opaque"
	"github.com/quicproquo/qpq/wire"
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

func TestRevoke(t *testing.T) {
	s := newServer(t, nil)
	first, second, third := s.device(t), s.device(t), s.device(t)
	first.register("alice")
	stolen, err := second.Login(t.Context(), "alice", with(secret), "stolen")
	check(t, err)
	_, err = third.Login(t.Context(), "alice", with(secret), "third")
	check(t, err)
	check(t, first.VaultPut(t.Context(), "contacts", []byte("bob"), 0))
	wants(t, second.RevokeDevice(t.Context(), stolen.Device, with(secret)), qpq.Invalid, "own-device")
	wants(t, first.RevokeDevice(t.Context(), stolen.Device, with("wrong password")), qpq.Denied, wire.CodeLoginFailed)
	check(t, first.RevokeDevice(t.Context(), stolen.Device, with(secret)))
	_, err = second.Devices(t.Context())
	wants(t, err, qpq.Denied, wire.CodeDeviceUnknown)
	list, err := third.Devices(t.Context())
	check(t, err)
	if len(list) != 2 || list[0].Name != "first" || list[1].Name != "third" {
		t.Errorf("devices: %+v", list)
	}
	content, version, err := third.VaultGet(t.Context(), "contacts")
	if err != nil || string(content) != "bob" || version != 2 {
		t.Errorf("the vault: %q %d %v", content, version, err)
	}
	check(t, first.RevokeDevice(t.Context(), stolen.Device, with(secret))) // again changes nothing
	again, err := second.Login(t.Context(), "alice", with(secret), "found again")
	check(t, err)
	if again.Device == stolen.Device {
		t.Error("a revoked device came back")
	}
}

func TestTooManyDevices(t *testing.T) {
	s := newServer(t, nil)
	s.device(t).register("alice")
	for range identity.MaxDevices - 1 {
		_, err := s.device(t).Login(t.Context(), "alice", with(secret), "")
		check(t, err)
	}
	_, err := s.device(t).Login(t.Context(), "alice", with(secret), "")
	wants(t, err, qpq.Exhausted, "too-many-devices")
}
