package client_test

import (
	"strings"
	"testing"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/wire"
)

func TestRegister(t *testing.T) {
	s := newServer(t, nil)
	d := s.device(t)
	w := d.register("Alice")
	if w.User.String() != "alice@example.org" || !w.Admin || w.Name != "first" || w.Devices != 1 || w.Carrier != "mem" {
		t.Errorf("whoami: %+v", w)
	}
	_, err := d.Register(t.Context(), client.Registration{User: "bob", Password: with(secret).Password})
	wants(t, err, qpq.Exists, "signed-in")
	for _, name := range []string{"alice", "ALICE", "ａｌｉｃｅ"} {
		_, err = s.device(t).Register(t.Context(), client.Registration{User: name, Password: with(secret).Password})
		wants(t, err, qpq.Exists, wire.CodeNameTaken)
	}
	_, err = s.device(t).Register(t.Context(), client.Registration{User: "bob", Password: with("short").Password})
	wants(t, err, qpq.Invalid, "weak-password")
	_, err = s.device(t).Register(t.Context(), client.Registration{User: "bob@elsewhere.org", Password: with(secret).Password})
	wants(t, err, qpq.NotFound, wire.CodeWrongDomain)
	_, err = s.device(t).Whoami(t.Context())
	wants(t, err, qpq.NotFound, "not-signed-in")
}

func TestTheDeviceSurvivesARestart(t *testing.T) {
	s := newServer(t, nil)
	d := s.device(t)
	before := d.register("alice")
	d.reopen(s.dial)
	s.Stop()
	s.Start()
	after, err := d.Whoami(t.Context())
	check(t, err)
	if after.Device != before.Device || after.StateVersion != 1 {
		t.Errorf("before %+v, after %+v", before, after)
	}
	if len(d.notices) > 0 {
		t.Errorf("notices: %v", d.notices)
	}
}

func TestKeyPackagesAreKept(t *testing.T) {
	s := newServer(t, nil)
	a, b := s.device(t), s.device(t)
	a.register("alice")
	b.register("bob")
	list := must(a.profile.KeyPackages())
	if len(list) != 21 {
		t.Fatalf("%d key packages in the profile", len(list))
	}
	state, err := b.Lookup(t.Context(), a.user())
	check(t, err)
	if state.User != a.user() || must(b.profile.Contact(a.user())).Version != 1 {
		t.Errorf("looked up %+v", state)
	}
}

func TestLogin(t *testing.T) {
	s := newServer(t, nil)
	first, second := s.device(t), s.device(t)
	first.register("alice")
	_, err := second.Login(t.Context(), "alice", with("wrong password"), "")
	wants(t, err, qpq.Denied, wire.CodeLoginFailed)
	_, err = second.Login(t.Context(), "nobody", with(secret), "")
	wants(t, err, qpq.Denied, wire.CodeLoginFailed)
	w, err := second.Login(t.Context(), "alice@example.org", with(secret), "second")
	check(t, err)
	if w.Devices != 2 || w.StateVersion != 2 || w.Name != "second" {
		t.Errorf("whoami: %+v", w)
	}
	list, err := first.Devices(t.Context())
	check(t, err)
	if len(list) != 2 || list[0].Name != "first" || !list[0].This || list[1].Name != "second" || list[1].This {
		t.Errorf("devices: %+v", list)
	}
	first.eventually("device-added")
}

func TestRecoveryCode(t *testing.T) {
	s := newServer(t, nil)
	first, second := s.device(t), s.device(t)
	code := must(identity.NewRecoveryCode(strings.NewReader(strings.Repeat("r", 64))))
	_, err := first.Register(t.Context(), client.Registration{User: "alice", Password: with(secret).Password, Recovery: code})
	check(t, err)
	_, err = second.Login(t.Context(), "alice", with(secret), "")
	wants(t, err, qpq.Invalid, client.CodeRecoveryNeeded)
	wrong := with(secret)
	wrong.Recovery = must(identity.NewRecoveryCode(strings.NewReader(strings.Repeat("w", 64))))
	_, err = second.Login(t.Context(), "alice", wrong, "")
	wants(t, err, qpq.Denied, "wrong-recovery")
	right := with(secret)
	right.Recovery = code
	_, err = second.Login(t.Context(), "alice", right, "")
	check(t, err)
}

func TestChangePassword(t *testing.T) {
	s := newServer(t, nil)
	first, second := s.device(t), s.device(t)
	first.register("alice")
	_, err := second.Login(t.Context(), "alice", with(secret), "second")
	check(t, err)
	second.close() // offline
	wants(t, first.ChangePassword(t.Context(), with("not the password"), with("another good one")), qpq.Denied, wire.CodeLoginFailed)
	wants(t, first.ChangePassword(t.Context(), with(secret), with("short")), qpq.Invalid, "weak-password")
	check(t, first.ChangePassword(t.Context(), with(secret), with("another good one")))
	second.open(s.dial)
	list, err := second.Devices(t.Context()) // it still opens the vault
	check(t, err)
	if len(list) != 2 || list[0].Name != "first" {
		t.Errorf("devices: %+v", list)
	}
	third := s.device(t)
	_, err = third.Login(t.Context(), "alice", with(secret), "")
	wants(t, err, qpq.Denied, wire.CodeLoginFailed)
	_, err = third.Login(t.Context(), "alice", with("another good one"), "third")
	check(t, err)
}

func TestDelete(t *testing.T) {
	s := newServer(t, nil)
	first, second := s.device(t), s.device(t)
	first.register("alice")
	_, err := second.Login(t.Context(), "alice", with(secret), "")
	check(t, err)
	wants(t, first.Delete(t.Context(), with("wrong password")), qpq.Denied, wire.CodeLoginFailed)
	check(t, first.Delete(t.Context(), with(secret)))
	_, err = first.Whoami(t.Context())
	wants(t, err, qpq.NotFound, "not-signed-in")
	_, err = second.Whoami(t.Context())
	wants(t, err, qpq.Denied, wire.CodeDeviceUnknown)
	_, err = s.device(t).Register(t.Context(), client.Registration{User: "alice", Password: with(secret).Password})
	wants(t, err, qpq.Exists, wire.CodeNameTaken)
}

func TestADeletionThatWasCutOffIsFinishedOrUndone(t *testing.T) {
	s := newServer(t, nil)
	first, second := s.device(t), s.device(t)
	first.register("alice")
	_, err := second.Login(t.Context(), "alice", with(secret), "")
	check(t, err)
	check(t, first.profile.SetStatus(profile.Deleting)) // the server was never asked
	first.reopen(s.dial)
	_, err = first.Whoami(t.Context())
	check(t, err)
	if status := must(first.profile.Account()).Status; status != profile.Enrolled {
		t.Errorf("status %d", status)
	}
	check(t, first.profile.SetStatus(profile.Deleting)) // the server was asked, and its answer got lost
	check(t, second.Delete(t.Context(), with(secret)))
	first.reopen(s.dial)
	_, err = first.Whoami(t.Context())
	wants(t, err, qpq.NotFound, "not-signed-in")
	if !first.noticed("interrupted") {
		t.Errorf("notices: %v", first.notices)
	}
}
