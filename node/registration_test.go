package node

import (
	"testing"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/opaque"
	"github.com/quicproquo/qpq/wire"
)

func TestPingAndInfo(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Software = "qpq-server test"; c.Registration = wire.RegistrationToken })
	l := r.dial()
	if got := call(l, wire.Ping{Data: []byte("hello")}); string(got.Data) != "hello" || time.Since(got.Time) > time.Hour {
		t.Errorf("%+v", got)
	}
	info := call(l, wire.ServerInfo{Client: "test"})
	if info.Domain != domain || info.Protocol != 1 || info.Registration != wire.RegistrationToken || info.Software != "qpq-server test" {
		t.Errorf("%+v", info)
	}
	if info.Limits.Frame != wire.MaxMessage || info.Limits.Devices != 5 || info.Limits.PasswordMinutes != 10 || info.Limits.LinkMinutes != 10 {
		t.Errorf("%+v", info.Limits)
	}
}

func TestFirstRegistrantIsAdministrator(t *testing.T) {
	r := newRig(t, nil)
	l := r.dial()
	alice := newPerson("alice")
	if !call(l, alice.registration(l, wire.Secret{})).Admin {
		t.Error("the first registrant is no administrator")
	}
	if !l.authenticate(alice, alice.device).Admin {
		t.Error("the first registrant does not authenticate as administrator")
	}
	m := r.dial()
	bob := newPerson("bob")
	if call(m, bob.registration(m, wire.Secret{})).Admin || m.authenticate(bob, bob.device).Admin {
		t.Error("the second registrant is an administrator")
	}
}

func TestRegistrationIsRefused(t *testing.T) {
	r := newRig(t, nil)
	r.dial().register("alice")
	_, request, err := opaque.StartRegistration(cheap, []byte("x"))
	check(t, err)
	l := r.dial()
	refused(l, wire.RegisterStart{User: qpq.UserID{Name: "alice", Domain: domain}, Request: request}, qpq.Exists, wire.CodeNameTaken)
	refused(l, wire.RegisterStart{User: qpq.UserID{Name: "bob", Domain: "elsewhere.example"}, Request: request}, qpq.NotFound, wire.CodeWrongDomain)
	refused(l, wire.RegisterStart{User: qpq.UserID{Name: "bob", Domain: domain}, Request: make([]byte, 32)}, qpq.Invalid, "bad-opaque")

	bob, carol := newPerson("bob"), newPerson("carol")
	good := bob.registration(l, wire.Secret{})
	used := func(change func(*wire.RegisterFinish), kind qpq.Kind, code string) {
		t.Helper()
		q := good
		change(&q)
		refused(l, q, kind, code)
		bob.restart(l)
	}
	other := carol.registration(r.dial(), wire.Secret{})
	used(func(q *wire.RegisterFinish) { q.User = carol.user }, qpq.Invalid, wire.CodeNoStart)
	used(func(q *wire.RegisterFinish) { q.State = other.State }, qpq.Invalid, wire.CodeBadState)
	used(func(q *wire.RegisterFinish) { q.State = []byte("nonsense") }, qpq.Invalid, "malformed-account-state")
	used(func(q *wire.RegisterFinish) { q.Record = make([]byte, 192) }, qpq.Invalid, "bad-opaque")
	used(func(q *wire.RegisterFinish) { q.Keys.Version = 2 }, qpq.Conflict, wire.CodeVaultConflict)
	used(func(q *wire.RegisterFinish) { q.Keys.Devices = nil }, qpq.Invalid, wire.CodeBadKeys)
	call(l, good)
	refused(l, good, qpq.Invalid, wire.CodeNoStart)
	if n, err := r.cfg.Store.CountAccounts(t.Context()); n != 2 || err != nil {
		t.Errorf("%d accounts, %v", n, err)
	}
}

// restart begins a registration anew on the line, for the same finish.
func (p *person) restart(l *line) {
	l.r.t.Helper()
	_, request, err := opaque.StartRegistration(cheap, []byte(p.password))
	check(l.r.t, err)
	call(l, wire.RegisterStart{User: p.user, Request: request})
}

func TestNameTakenBetweenStartAndFinish(t *testing.T) {
	r := newRig(t, nil)
	l, m := r.dial(), r.dial()
	first, second := newPerson("alice"), newPerson("alice")
	a, b := first.registration(l, wire.Secret{}), second.registration(m, wire.Secret{})
	call(l, a)
	refused(m, b, qpq.Exists, wire.CodeNameTaken)
	m.authenticate(first, first.device)
	if _, err := m.tryLogin(first.user, second.password+"x"); err == nil {
		t.Error("the second password counts")
	}
}

func TestRegistrationByToken(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Registration = wire.RegistrationToken })
	secret, token := NewToken(1, time.Time{}, time.Now())
	check(t, r.cfg.Store.AddToken(t.Context(), token))
	l := r.dial()
	alice, bob := newPerson("alice"), newPerson("bob")
	_, request, _ := opaque.StartRegistration(cheap, []byte("x"))
	refused(l, wire.RegisterStart{User: alice.user, Request: request}, qpq.Denied, wire.CodeTokenRequired)
	refused(l, wire.RegisterStart{User: alice.user, Token: wire.NewSecret("guess"), Request: request}, qpq.Denied, wire.CodeTokenInvalid)

	m := r.dial()
	a, b := alice.registration(l, secret), bob.registration(m, secret)
	changed := a
	changed.Token = wire.NewSecret("another")
	refused(l, changed, qpq.Invalid, wire.CodeNoStart)
	a = alice.registration(l, secret)
	call(l, a)
	refused(m, b, qpq.Denied, wire.CodeTokenInvalid) // used up meanwhile
	if _, err := r.cfg.Store.Account(t.Context(), "bob"); err == nil {
		t.Error("half an account was made")
	}
}

func TestRegistrationClosed(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Registration = wire.RegistrationClosed })
	_, request, _ := opaque.StartRegistration(cheap, []byte("x"))
	refused(r.dial(), wire.RegisterStart{User: newPerson("alice").user, Request: request}, qpq.Denied, wire.CodeRegistrationClosed)
}
