package node

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/opaque"
	"github.com/quicproquo/qpq/wire"
)

func TestLoginGivesThePasswordRight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		alice := r.dial().register("alice")
		l := r.dial()
		refused(l, wire.AccountDelete{User: alice.user}, qpq.Unauthorized, wire.CodePasswordNeeded)
		l.login(alice)
		if keys := call(l, wire.VaultKeysGet{}).Keys; !bytes.Equal(keys.AccountKey, alice.keys.AccountKey) {
			t.Error("the account key is withheld from who proved the password")
		}
		time.Sleep(10 * time.Minute)
		refused(l, wire.VaultKeysGet{}, qpq.Unauthorized, wire.CodeDeviceNeeded)
	})
}

func TestLoginFails(t *testing.T) {
	r := newRig(t, nil)
	alice := r.dial().register("alice")
	l := r.dial()
	if _, err := l.tryLogin(alice.user, "wrong"); !errors.Is(err, opaque.ErrPassword) {
		t.Errorf("a wrong password: %v", err)
	}
	if _, err := l.tryLogin(newPerson("nobody").user, "wrong"); !errors.Is(err, opaque.ErrPassword) {
		t.Errorf("an unknown user: %v", err)
	}
	for _, name := range []string{"alice", "nobody"} {
		_, ke1, err := opaque.StartLogin(l.opaque(), []byte("wrong"))
		check(t, err)
		call(l, wire.LoginStart{User: qpq.UserID{Name: name, Domain: domain}, KE1: ke1})
		refused(l, wire.LoginFinish{KE3: make([]byte, 64)}, qpq.Denied, wire.CodeLoginFailed)
		refused(l, wire.LoginFinish{KE3: make([]byte, 64)}, qpq.Invalid, wire.CodeNoStart)
	}
	refused(l, wire.LoginStart{User: qpq.UserID{Name: "alice", Domain: "a.example"}, KE1: make([]byte, 96)}, qpq.NotFound, wire.CodeWrongDomain)
	refused(l, wire.LoginStart{User: alice.user, KE1: make([]byte, 96)}, qpq.Invalid, "bad-opaque")
	refused(l, wire.VaultKeysGet{}, qpq.Unauthorized, wire.CodeDeviceNeeded)
}

// A real KE3 made for somebody who does not exist must not be told apart: the fake record has no
// password, so the only KE3 there is comes from guessing.
func TestUnknownUserAlwaysLooksTheSame(t *testing.T) {
	r := newRig(t, nil)
	l := r.dial()
	u := qpq.UserID{Name: "nobody", Domain: domain}
	_, ke1, err := opaque.StartLogin(l.opaque(), []byte("x"))
	check(t, err)
	a, b := call(l, wire.LoginStart{User: u, KE1: ke1}).KE2, call(l, wire.LoginStart{User: u, KE1: ke1}).KE2
	if !bytes.Equal(a[:32], b[:32]) {
		t.Error("the evaluated element of an unknown user changes from call to call")
	}
	if bytes.Equal(a[32:], b[32:]) {
		t.Error("the rest of the answer for an unknown user never changes")
	}
}

func TestOneStartAtATime(t *testing.T) {
	r := newRig(t, nil)
	alice := r.dial().register("alice")
	l := r.dial()
	started, ke1, err := opaque.StartLogin(l.opaque(), []byte(alice.password))
	check(t, err)
	done := must(started.Finish(call(l, wire.LoginStart{User: alice.user, KE1: ke1}).KE2, ids(alice.user)))
	newPerson("bob").restart(l)
	refused(l, wire.LoginFinish{KE3: done.KE3}, qpq.Invalid, wire.CodeNoStart)
}

// TestFloor asserts under the fake clock that what is wrong cannot be told from the time.
func TestFloor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *Config) {
			c.Limits.PasswordFloor, c.Limits.LookupFloor = 100*time.Millisecond, 5*time.Millisecond
			c.Limits.Attempts = 3
		})
		alice := r.dial().register("alice")
		l := r.dial()
		floor := func(what string, want time.Duration, f func()) {
			t.Helper()
			start := time.Now()
			f()
			if took := time.Since(start); took != want {
				t.Errorf("%s took %s, want %s", what, took, want)
			}
		}
		for _, name := range []string{"alice", "nobody"} {
			u := qpq.UserID{Name: name, Domain: domain}
			_, ke1, err := opaque.StartLogin(l.opaque(), []byte("wrong"))
			check(t, err)
			for range 3 {
				floor("loginStart for "+name, 100*time.Millisecond, func() { call(l, wire.LoginStart{User: u, KE1: ke1}) })
				floor("loginFinish for "+name, 100*time.Millisecond, func() {
					refused(l, wire.LoginFinish{KE3: make([]byte, 64)}, qpq.Denied, wire.CodeLoginFailed)
				})
			}
			floor("loginStart over budget for "+name, 100*time.Millisecond, func() {
				refused(l, wire.LoginStart{User: u, KE1: ke1}, qpq.RateLimited, wire.CodeTooManyAttempts)
			})
		}
		m := r.dial()
		m.authenticate(alice, alice.device)
		for name, f := range map[string]func(){
			"a known user": func() { call(m, wire.AccountLookup{User: alice.user}) },
			"an unknown user": func() {
				refused(m, wire.AccountLookup{User: newPerson("nobody").user}, qpq.NotFound, wire.CodeUserUnknown)
			},
			"a claim from an unknown user": func() {
				refused(m, wire.KeyPackagesClaim{User: newPerson("nobody").user, Suites: suites}, qpq.NotFound, wire.CodeUserUnknown)
			},
		} {
			floor("looking up "+name, 5*time.Millisecond, f)
		}
		unknown := newPerson("nobody")
		for _, p := range []*person{alice, unknown} {
			q := r.dial()
			d := newDevice()
			d.counter = 1
			statement := q.statement(p, d)
			floor("authenticating an unknown device", 5*time.Millisecond, func() { refused(q, statement, qpq.Denied, wire.CodeDeviceUnknown) })
		}
	})
}

func TestFloorRoundsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := Limits{PasswordFloor: 100 * time.Millisecond}
		for took, want := range map[time.Duration]time.Duration{0: 100, 1: 100, 100: 100, 101: 200, 250: 300} {
			start := time.Now()
			time.Sleep(took * time.Millisecond)
			l.wait(t.Context(), passwordFloor, start)
			if got := time.Since(start); got != want*time.Millisecond {
				t.Errorf("%d ms of work: %s, want %d ms", took, got, want)
			}
		}
	})
}

func TestAttemptBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *Config) { c.Limits.Attempts = 3 })
		first := r.dial()
		alice := first.register("alice")
		l := r.dial()
		for range 10 { // logins that end well cost nothing
			l.login(alice)
		}
		l = r.dial()
		for range 3 {
			if _, err := l.tryLogin(alice.user, "wrong"); !errors.Is(err, opaque.ErrPassword) {
				t.Fatal(err)
			}
		}
		_, ke1, _ := opaque.StartLogin(l.opaque(), []byte(alice.password))
		_, request, _ := opaque.StartRegistration(cheap, []byte("x"))
		refused(r.dialFrom("203.0.113.9:1"), wire.LoginStart{User: alice.user, KE1: ke1}, qpq.RateLimited, wire.CodeTooManyAttempts)
		refused(l, wire.RegisterStart{User: alice.user, Request: request}, qpq.RateLimited, wire.CodeTooManyAttempts)

		first.login(alice) // an enrolled device has a budget of its own: a lockout is no denial of service
		r.dial().authenticate(alice, alice.device)

		time.Sleep(15 * time.Minute)
		r.dial().login(alice)
	})
}

func TestRegistrationSharesTheBudget(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Limits.Attempts = 2 })
	bob := newPerson("bob")
	l := r.dial()
	bob.restart(l)
	bob.restart(l)
	_, ke1, _ := opaque.StartLogin(l.opaque(), []byte("x"))
	refused(l, wire.LoginStart{User: bob.user, KE1: ke1}, qpq.RateLimited, wire.CodeTooManyAttempts)
}

func TestOneAccountAConnection(t *testing.T) {
	r := newRig(t, nil)
	l := r.dial()
	alice := l.register("alice")
	bob := r.dial().register("bob")
	_, ke1, _ := opaque.StartLogin(l.opaque(), []byte(bob.password))
	_, request, _ := opaque.StartRegistration(cheap, []byte("x"))
	refused(l, wire.LoginStart{User: bob.user, KE1: ke1}, qpq.Denied, "other-account")
	refused(l, wire.RegisterStart{User: newPerson("carol").user, Request: request}, qpq.Denied, "other-account")
	bob.device.counter++
	refused(l, l.statement(bob, bob.device), qpq.Denied, "other-account")
	l.login(alice)
}
