package node

import (
	"strings"
	"testing"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/wire"
)

func TestTokens(t *testing.T) {
	r := newRig(t, nil)
	admin := r.dial()
	admin.register("alice")
	r.cfg.Registration = wire.RegistrationToken
	r.Server.cfg.Registration = wire.RegistrationToken
	expires := time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
	first := call(admin, wire.TokenCreate{Uses: 2, Expires: expires})
	second := call(admin, wire.TokenCreate{Uses: 1})

	l := r.dial()
	bob := newPerson("bob")
	sloppy := wire.NewSecret(strings.ToUpper(strings.ReplaceAll(first.Token.Reveal(), "-", " ")))
	call(l, bob.registration(l, sloppy))
	l.authenticate(bob, bob.device)
	refused(l, wire.TokensList{}, qpq.Denied, wire.CodeAdminNeeded)
	refused(l, wire.TokenCreate{Uses: 1}, qpq.Denied, wire.CodeAdminNeeded)
	refused(l, wire.TokenRevoke{ID: first.ID}, qpq.Denied, wire.CodeAdminNeeded)
	refused(r.dial(), wire.TokensList{}, qpq.Unauthorized, wire.CodeDeviceNeeded)

	list := call(admin, wire.TokensList{}).Tokens
	left := map[[16]byte]wire.TokenEntry{}
	for _, e := range list {
		left[e.ID] = e
	}
	if len(list) != 2 || left[first.ID].Left != 1 || !left[first.ID].Expires.Equal(expires) || left[second.ID].Left != 1 {
		t.Errorf("%+v", list)
	}
	call(admin, wire.TokenRevoke{ID: first.ID})
	call(admin, wire.TokenRevoke{ID: first.ID}) // a repetition
	refused(admin, wire.TokenRevoke{ID: [16]byte{1}}, qpq.NotFound, "no-token")
	refused(admin, wire.TokenCreate{Uses: 1, Expires: time.Now().Add(-time.Hour)}, qpq.Invalid, "bad-expiry")
	if list := call(admin, wire.TokensList{}).Tokens; len(list) != 1 {
		t.Errorf("%+v", list)
	}
	m := r.dial()
	refused(m, wire.RegisterStart{User: newPerson("carol").user, Token: first.Token, Request: make([]byte, 32)}, qpq.Denied, wire.CodeTokenInvalid)
}

func TestDevicesAreNamed(t *testing.T) {
	r := newRig(t, nil)
	l := r.dial()
	alice := l.register("alice")
	bob := r.dial().register("bob")
	call(l, wire.DeviceRename{Device: alice.device.key.ID(), SealedName: []byte("sealed name")})
	refused(l, wire.DeviceRename{Device: bob.device.key.ID(), SealedName: []byte("x")}, qpq.NotFound, "no-device")
	entry := call(l, wire.DevicesList{}).Devices[0]
	if string(entry.SealedName) != "sealed name" || entry.Added.IsZero() {
		t.Errorf("%+v", entry)
	}
	if entry.Seen.IsZero() || !entry.Seen.Equal(entry.Seen.Truncate(24*time.Hour)) {
		t.Errorf("seen %s: to the day is enough", entry.Seen)
	}
}
