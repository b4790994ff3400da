package node

import (
	"testing"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/wire"
)

func TestAuthenticate(t *testing.T) {
	r := newRig(t, nil)
	alice := r.dial().register("alice")
	l := r.dial()
	reply := l.authenticate(alice, alice.device)
	if reply.Counter != 2 || reply.Stale || reply.StateVersion != 1 || reply.KeysVersion != 1 || !reply.Admin {
		t.Errorf("%+v", reply)
	}
	keys := call(l, wire.VaultKeysGet{}).Keys
	if keys.AccountKey != nil || keys.PasswordWrap != nil {
		t.Error("a device gets what only the password may open")
	}
	if keys.WrapFor(alice.device.key.ID()) == nil {
		t.Error("a device does not get its wrap")
	}
}

func TestAuthenticateIsRefused(t *testing.T) {
	r := newRig(t, nil)
	alice := r.dial().register("alice")
	bob := r.dial().register("bob")
	l := r.dial()
	refused(l, wire.Authenticate{User: alice.user, Device: alice.device.key.ID(), Counter: 5}, qpq.Invalid, wire.CodeNoChallenge)

	good := func() wire.Authenticate { alice.device.counter++; return l.statement(alice, alice.device) }
	for what, change := range map[string]func(*wire.Authenticate){
		"another signature": func(q *wire.Authenticate) { q.Signature[0] ^= 1 },
		"another counter":   func(q *wire.Authenticate) { q.Counter++ },
		"another user":      func(q *wire.Authenticate) { q.User = bob.user },
		"an unknown user":   func(q *wire.Authenticate) { q.User.Name = "nobody" },
		"another domain":    func(q *wire.Authenticate) { q.User.Domain = "b.example" },
		"an unknown device": func(q *wire.Authenticate) { q.Device[0] ^= 1 },
		"another device":    func(q *wire.Authenticate) { q.Device = bob.device.key.ID() },
	} {
		q := good()
		change(&q)
		t.Log(what)
		refused(l, q, qpq.Denied, wire.CodeDeviceUnknown)
		refused(l, q, qpq.Invalid, wire.CodeNoChallenge) // a challenge counts once
	}
	q := good()
	q.Counter = maxAdvance + 2
	refused(l, q, qpq.Invalid, "bad-counter")

	elsewhere := r.dial() // a statement for one connection is worth nothing on another
	stolen := elsewhere.statement(alice, alice.device)
	call(l, wire.AuthChallenge{})
	refused(l, stolen, qpq.Denied, wire.CodeDeviceUnknown)
	elsewhere.secret[0] ^= 1 // nor where somebody sits between the TLS of both sides
	call(elsewhere, wire.AuthChallenge{})
	refused(elsewhere, stolen, qpq.Denied, wire.CodeDeviceUnknown)
	refused(l, wire.DevicesList{}, qpq.Unauthorized, wire.CodeDeviceNeeded)
}

func TestOldCounterIsStale(t *testing.T) {
	r := newRig(t, nil)
	alice := r.dial().register("alice")
	alice.device.counter = 9
	if reply := r.dial().authenticate(alice, alice.device); reply.Stale || reply.Counter != 10 {
		t.Errorf("a counter that is ahead: %+v", reply)
	}
	restored := &device{key: alice.device.key, counter: 3}
	if reply := r.dial().authenticate(alice, restored); !reply.Stale || reply.Counter != 11 {
		t.Errorf("a counter that is behind: %+v", reply)
	}
	if reply := r.dial().authenticate(alice, alice.device); !reply.Stale || reply.Counter != 12 {
		t.Errorf("the counter of the device that was copied: %+v", reply)
	}
}

func TestNewerSessionEndsTheOlder(t *testing.T) {
	r := newRig(t, nil)
	old := r.dial()
	alice := old.register("alice")
	_, other := r.enrol(alice)
	young := r.dial()
	young.authenticate(alice, alice.device)
	if why := old.wasClosed(); why == nil || *why != transport.CodeSuperseded || other.wasClosed() != nil || young.wasClosed() != nil {
		t.Errorf("closed: old %v, other %v, new %v", old.wasClosed(), other.wasClosed(), young.wasClosed())
	}
	pushed := old.pushed()
	if len(pushed) == 0 || pushed[len(pushed)-1] != (wire.SupersededPush{}) {
		t.Errorf("pushed %v", pushed)
	}
	refused(old, wire.DevicesList{}, qpq.Unauthorized, wire.CodeDeviceNeeded)
	call(young, wire.DevicesList{})
	young.authenticate(alice, alice.device) // again on the same connection
	call(young, wire.DevicesList{})
	old.c.mu.Lock()
	ended := old.c.ended
	old.c.mu.Unlock()
	if !ended {
		t.Error("the old connection could be granted something again")
	}
}
