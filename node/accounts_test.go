package node

import (
	"bytes"
	"crypto/rand"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/opaque"
	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/wire"
)

func TestLookup(t *testing.T) {
	r := newRig(t, nil)
	l := r.dial()
	alice := l.register("alice")
	r.enrol(alice)
	got := call(l, wire.AccountLookup{User: alice.user})
	newest, err := identity.VerifyChain(nil, got.States)
	if err != nil || newest.Version != 2 || got.Newest != 2 {
		t.Errorf("%v, version %d of %d", err, newest.Version, got.Newest)
	}
	if got := call(l, wire.AccountLookup{User: alice.user, After: 1}); len(got.States) != 1 || !bytes.Equal(got.States[0], newest.Bytes()) {
		t.Errorf("%d states after version 1", len(got.States))
	}
	for _, after := range []uint64{2, 3, 1<<64 - 1} {
		if got := call(l, wire.AccountLookup{User: alice.user, After: after}); len(got.States) != 0 || got.Newest != 2 {
			t.Errorf("%d states after version %d, newest %d", len(got.States), after, got.Newest)
		}
	}
	refused(l, wire.AccountLookup{User: newPerson("nobody").user}, qpq.NotFound, wire.CodeUserUnknown)
	refused(l, wire.AccountLookup{User: qpq.UserID{Name: "alice", Domain: "b.example"}}, qpq.NotFound, wire.CodeWrongDomain)
	refused(r.dial(), wire.AccountLookup{User: alice.user}, qpq.Unauthorized, wire.CodeDeviceNeeded)
}

func TestEnrolAndRepeat(t *testing.T) {
	r := newRig(t, nil)
	first := r.dial()
	alice := first.register("alice")
	l, d := r.dial(), newDevice()
	q := alice.publish(l, l.login(alice), identity.Change{Add: []*identity.DeviceRequest{d.request(alice.user)}})
	call(l, q) // a repetition
	l.authenticate(alice, d)
	if list := call(l, wire.DevicesList{}); len(list.Devices) != 2 || list.StateVersion != 2 {
		t.Errorf("%+v", list)
	}
	if pushed := first.pushed(); len(pushed) != 1 || pushed[0] != (wire.AccountPush{User: alice.user, Version: 2}) {
		t.Errorf("pushed to the first device: %v", pushed)
	}
}

func TestPublishIsRefused(t *testing.T) {
	r := newRig(t, nil)
	l := r.dial()
	alice := l.register("alice")
	export := l.login(alice)
	bob := r.dial().register("bob")
	add := func(now time.Time, requests ...*identity.DeviceRequest) *identity.AccountState {
		return must(alice.state().Next(identity.Change{Key: alice.account, Now: now, Add: requests}))
	}
	d := newDevice()
	next := add(time.Now(), d.request(alice.user))
	keys := must(wire.SealKeys(rand.Reader, next, 2, alice.secrets(export)))
	wrongKeys := must(wire.SealKeys(rand.Reader, alice.state(), 2, alice.secrets(export)))
	old := must(wire.SealKeys(rand.Reader, next, 1, alice.secrets(export)))
	two := add(time.Now(), d.request(alice.user), newDevice().request(alice.user))
	future := add(time.Now().Add(time.Hour), d.request(alice.user))
	bobs := must(bob.state().Next(identity.Change{Key: bob.account, Now: time.Now(), Add: []*identity.DeviceRequest{d.request(bob.user)}}))
	stranger := must(identity.NewAccount(bob.account, d.request(alice.user), bob.vault, time.Now())) // another chain
	forged := must(stranger.Next(identity.Change{Key: bob.account, Now: time.Now(), Add: []*identity.DeviceRequest{newDevice().request(alice.user)}}))

	refused(l, wire.AccountPublish{State: []byte("nonsense"), Keys: &keys}, qpq.Invalid, "malformed-account-state")
	refused(l, wire.AccountPublish{State: bobs.Bytes(), Keys: &keys}, qpq.Invalid, wire.CodeBadState)
	refused(l, wire.AccountPublish{State: forged.Bytes(), Keys: &keys}, qpq.Invalid, wire.CodeBadState)
	refused(l, wire.AccountPublish{State: stranger.Bytes(), Keys: &keys}, qpq.Conflict, wire.CodeVersionConflict)
	refused(l, wire.AccountPublish{State: two.Bytes(), Keys: &keys}, qpq.Invalid, wire.CodeBadState)
	refused(l, wire.AccountPublish{State: future.Bytes(), Keys: &keys}, qpq.Invalid, "clock-ahead")
	same := add(time.Now().Add(time.Second))
	refused(l, wire.AccountPublish{State: same.Bytes()}, qpq.Invalid, wire.CodeBadState)
	refused(l, wire.AccountPublish{State: next.Bytes()}, qpq.Invalid, wire.CodeBadKeys)
	refused(l, wire.AccountPublish{State: next.Bytes(), Keys: &wrongKeys}, qpq.Invalid, wire.CodeBadKeys)
	refused(l, wire.AccountPublish{State: next.Bytes(), Keys: &old}, qpq.Conflict, wire.CodeVaultConflict)
	item := wire.VaultItem{Name: "x", Version: 1, Sealed: []byte("x")}
	refused(l, wire.AccountPublish{State: next.Bytes(), Keys: &keys, Items: []wire.VaultItem{item}}, qpq.Invalid, wire.CodeBadKeys)
	if got := call(l, wire.AccountLookup{User: alice.user}); got.Newest != 1 {
		t.Fatalf("version %d after refusals only", got.Newest)
	}
	m := r.dial()
	m.authenticate(alice, alice.device)
	refused(m, wire.AccountPublish{State: next.Bytes(), Keys: &keys}, qpq.Unauthorized, wire.CodePasswordNeeded)
}

func TestOnlyOneOfTwoPublishersWins(t *testing.T) {
	r := newRig(t, nil)
	alice := r.dial().register("alice")
	type outcome struct{ err error }
	results := make(chan outcome)
	for range 2 {
		l := r.dial()
		export := l.login(alice)
		next := must(alice.state().Next(identity.Change{Key: alice.account, Now: time.Now(), Add: []*identity.DeviceRequest{newDevice().request(alice.user)}}))
		keys := must(wire.SealKeys(rand.Reader, next, 2, alice.secrets(export)))
		go func() {
			_, err := wire.Call(t.Context(), l, wire.AccountPublish{State: next.Bytes(), Keys: &keys})
			results <- outcome{err}
		}()
	}
	a, b := <-results, <-results
	if (a.err == nil) == (b.err == nil) || !errors.Is(errors.Join(a.err, b.err), qpq.Conflict) {
		t.Errorf("%v and %v", a.err, b.err)
	}
}

// TestStatesHaveABudget: what is refused, and what is repeated, takes nothing of it; neither a new connection nor a restart
// gives any back; others have their own; and a day later there is a new one.
func TestStatesHaveABudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *Config) { c.Limits.States = 3 })
		alice, bob := r.dial().register("alice"), r.dial().register("bob")
		renewal := func(p *person) *identity.AccountState {
			time.Sleep(time.Second) // so that it differs
			return must(p.state().Next(identity.Change{Key: p.account, Now: time.Now(), Add: []*identity.DeviceRequest{p.device.request(p.user)}}))
		}
		renew := func(p *person) *line {
			l := r.dial()
			l.login(p)
			next := renewal(p)
			call(l, wire.AccountPublish{State: next.Bytes()})
			p.states = append(p.states, next)
			return l
		}
		for range 3 {
			lost := store.AccountChange{Name: "alice", State: &store.AccountState{Version: 9}, Now: time.Now()}
			if err := r.publish(t.Context(), lost); qpq.CodeOf(err) != wire.CodeVersionConflict { // found out by the store alone
				t.Errorf("a lost race: %v", err)
			}
			l := renew(alice)
			call(l, wire.AccountPublish{State: alice.state().Bytes()}) // a repetition
			refused(l, wire.AccountPublish{State: alice.states[0].Bytes()}, qpq.Conflict, wire.CodeVersionConflict)
		}
		renew(bob)
		r.start(r.dir + "/qpq.db")
		l := r.dial()
		l.login(alice)
		refused(l, wire.AccountPublish{State: renewal(alice).Bytes()}, qpq.RateLimited, "too-many-states")
		if got := call(l, wire.AccountLookup{User: alice.user}).Newest; got != 4 {
			t.Errorf("version %d after three changes and a refused one", got)
		}
		time.Sleep(24 * time.Hour)
		renew(alice)
	})
}

func TestAtMostFiveDevices(t *testing.T) {
	r := newRig(t, nil)
	alice := r.dial().register("alice")
	for range 4 {
		r.enrol(alice)
	}
	if n := len(call(r.enrolled(alice), wire.DevicesList{}).Devices); n != 5 {
		t.Errorf("%d devices", n)
	}
}

// enrolled returns a line of somebody's first device.
func (r *rig) enrolled(p *person) *line {
	l := r.dial()
	l.authenticate(p, p.device)
	return l
}

func TestStolenDeviceIsCutOff(t *testing.T) {
	r := newRig(t, nil)
	l := r.dial()
	alice := l.register("alice")
	thief, stolen := r.enrol(alice)
	call(stolen, wire.KeyPackagesUpload{Packages: []wire.KeyPackage{keyPackage(1, "p")}})
	sealed := must(alice.vault.Seal(rand.Reader, alice.user, "contacts", 1, []byte("bob")))
	call(l, wire.VaultPut{Item: wire.VaultItem{Name: "contacts", Version: 1, Sealed: sealed}, KeysVersion: 2})
	waiting := r.dial() // a login of the thief that is under way, with the right password
	started, ke1, _ := opaque.StartLogin(waiting.opaque(), []byte(alice.password))
	ke2 := call(waiting, wire.LoginStart{User: alice.user, KE1: ke1}).KE2

	q := alice.revoke(l, l.login(alice), thief.key.ID())
	call(l, q) // a repetition
	if stolen.wasClosed() == nil {
		t.Errorf("the stolen device's connection: %v", stolen.wasClosed())
	}
	refused(stolen, wire.VaultKeysGet{}, qpq.Unauthorized, wire.CodeDeviceNeeded)
	refused(stolen, wire.KeyPackagesUpload{Packages: []wire.KeyPackage{keyPackage(1, "q")}}, qpq.Unauthorized, wire.CodeDeviceNeeded)
	m := r.dial()
	thief.counter++
	refused(m, m.statement(alice, thief), qpq.Denied, wire.CodeDeviceUnknown)

	l.authenticate(alice, alice.device)
	devices := call(l, wire.DevicesList{})
	if len(devices.Devices) != 1 || devices.Devices[0].Device != alice.device.key.ID() {
		t.Errorf("%+v", devices)
	}
	item := call(l, wire.VaultGet{Names: []string{"contacts"}})
	if len(item.Items) != 1 || item.Items[0].Version != 2 || item.KeysVersion != 3 {
		t.Errorf("%+v", item)
	}
	bob := r.dial()
	bob.register("bob")
	refused(bob, wire.KeyPackagesClaim{User: alice.user, Suites: suites}, qpq.NotFound, wire.CodeNoKeyPackage)
	// The password did not change: who knows it may finish. That is what passwd is for.
	done := must(started.Finish(ke2, ids(alice.user)))
	call(waiting, wire.LoginFinish{KE3: done.KE3})
}

func TestRevocationTakesEveryItem(t *testing.T) {
	r := newRig(t, nil)
	l := r.dial()
	alice := l.register("alice")
	thief, _ := r.enrol(alice)
	export := l.login(alice)
	for _, name := range []string{"a", "b"} {
		call(l, wire.VaultPut{Item: wire.VaultItem{Name: name, Version: 1, Sealed: []byte("sealed")}, KeysVersion: 2})
	}
	vault, key := must(identity.NewVaultKey(rand.Reader)), must(identity.NewAccountKey(rand.Reader))
	next := must(alice.state().Next(identity.Change{Key: alice.account, NewKey: key, Vault: vault, Now: time.Now(), Revoke: []qpq.DeviceID{thief.key.ID()}}))
	keys := must(wire.SealKeys(rand.Reader, next, 3, wire.Secrets{Password: must(identity.NewPasswordKey(alice.user, export, nil)), Account: key, Vault: vault}))
	item := func(name string, version uint64) wire.VaultItem {
		return wire.VaultItem{Name: name, Version: version, Sealed: []byte("anew")}
	}
	for what, items := range map[string][]wire.VaultItem{
		"none":              nil,
		"one missing":       {item("a", 2)},
		"one twice":         {item("a", 2), item("a", 2)},
		"one too many":      {item("a", 2), item("b", 2), item("c", 1)},
		"of an old version": {item("a", 2), item("b", 1)},
	} {
		t.Log(what)
		refused(l, wire.AccountPublish{State: next.Bytes(), Keys: &keys, Items: items}, qpq.Conflict, wire.CodeVaultConflict)
	}
	call(l, wire.AccountPublish{State: next.Bytes(), Keys: &keys, Items: []wire.VaultItem{item("b", 2), item("a", 2)}})
}

func TestDeleteLeavesATombstone(t *testing.T) {
	r := newRig(t, nil)
	l := r.dial()
	alice := l.register("alice")
	_, other := r.enrol(alice)
	bob := r.dial()
	bob.register("bob")
	call(other, wire.LinkCreate{Rendezvous: [16]byte{1}})
	refused(l, wire.AccountDelete{User: alice.user}, qpq.Unauthorized, wire.CodePasswordNeeded)
	l.login(alice)
	refused(l, wire.AccountDelete{User: newPerson("bob").user}, qpq.Denied, "other-account")
	call(l, wire.AccountDelete{User: alice.user})

	if other.wasClosed() == nil || l.wasClosed() != nil {
		t.Errorf("closed: the other device %v, the asking one %v", other.wasClosed(), l.wasClosed())
	}
	refused(l, wire.DevicesList{}, qpq.Unauthorized, wire.CodeDeviceNeeded)
	refused(r.dial(), wire.LinkOffer{Rendezvous: [16]byte{1}, Sealed: []byte("x")}, qpq.NotFound, wire.CodeLinkUnknown)
	m := r.dial()
	alice.device.counter++
	refused(m, m.statement(alice, alice.device), qpq.Denied, wire.CodeDeviceUnknown)
	if _, err := m.tryLogin(alice.user, alice.password); !errors.Is(err, opaque.ErrPassword) {
		t.Errorf("login to a deleted account: %v", err)
	}
	_, request, _ := opaque.StartRegistration(cheap, []byte("x"))
	refused(m, wire.RegisterStart{User: alice.user, Request: request}, qpq.Exists, wire.CodeNameTaken)
	refused(bob, wire.AccountLookup{User: alice.user}, qpq.NotFound, wire.CodeUserUnknown)
	if _, err := r.cfg.Store.Account(t.Context(), "alice"); qpq.CodeOf(err) != "account-erased" {
		t.Errorf("the account: %v", err)
	}
}

func TestChangePassword(t *testing.T) {
	r := newRig(t, nil)
	l := r.dial()
	alice := l.register("alice")
	offline, m := r.enrol(alice)
	m.hangUp()
	other := r.dial()
	other.login(alice)
	waiting := r.dial()
	started, ke1, _ := opaque.StartLogin(waiting.opaque(), []byte(alice.password))
	ke2 := call(waiting, wire.LoginStart{User: alice.user, KE1: ke1}).KE2

	l.login(alice)
	again, request, err := opaque.StartRegistration(cheap, []byte("a new one"))
	check(t, err)
	registered := must(again.Finish(call(l, wire.PasswordStart{Request: request}).Response, ids(alice.user)))
	keys := must(wire.SealKeys(rand.Reader, alice.state(), 3, alice.secrets(registered.ExportKey)))
	old := keys
	old.Version = 2
	refused(l, wire.PasswordFinish{Record: registered.Record, Keys: old}, qpq.Conflict, wire.CodeVaultConflict)
	refused(l, wire.PasswordFinish{Record: registered.Record, Keys: keys}, qpq.Invalid, wire.CodeNoStart)
	again, request, _ = opaque.StartRegistration(cheap, []byte("a new one"))
	registered = must(again.Finish(call(l, wire.PasswordStart{Request: request}).Response, ids(alice.user)))
	keys = must(wire.SealKeys(rand.Reader, alice.state(), 3, alice.secrets(registered.ExportKey)))
	call(l, wire.PasswordFinish{Record: registered.Record, Keys: keys})

	refused(l, wire.PasswordStart{Request: request}, qpq.Unauthorized, wire.CodePasswordNeeded)
	refused(other, wire.VaultKeysGet{}, qpq.Unauthorized, wire.CodeDeviceNeeded)
	done := must(started.Finish(ke2, ids(alice.user)))
	refused(waiting, wire.LoginFinish{KE3: done.KE3}, qpq.Invalid, wire.CodeNoStart)
	if _, err := r.dial().tryLogin(alice.user, alice.password); !errors.Is(err, opaque.ErrPassword) {
		t.Errorf("the old password: %v", err)
	}
	if _, err := r.dial().tryLogin(alice.user, "a new one"); err != nil {
		t.Errorf("the new password: %v", err)
	}
	back := r.dial() // the device that was offline goes on working
	back.authenticate(alice, offline)
	wrap := call(back, wire.VaultKeysGet{}).Keys
	if key, err := offline.key.OpenVault(alice.state(), wrap.WrapFor(offline.key.ID())); err != nil || !key.Equal(alice.vault) {
		t.Errorf("the vault on the device that was offline: %v", err)
	}
}

func TestPasswordRightOfOldLoginsEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		l := r.dial()
		alice := l.register("alice")
		l.login(alice)
		time.Sleep(10*time.Minute - time.Millisecond)
		_, request, _ := opaque.StartRegistration(cheap, []byte("x"))
		call(l, wire.PasswordStart{Request: request})
		time.Sleep(time.Millisecond)
		refused(l, wire.PasswordFinish{Record: make([]byte, 192), Keys: alice.keys}, qpq.Unauthorized, wire.CodePasswordNeeded)
	})
}

func TestServerRestoredFromYesterday(t *testing.T) {
	r := newRig(t, nil)
	alice := r.dial().register("alice")
	yesterday := r.dir + "/yesterday.db"
	check(t, copyStore(r.dir+"/qpq.db", yesterday))
	second, _ := r.enrol(alice)
	newest := call(r.enrolled(alice), wire.VaultKeysGet{}).Keys.Version
	for range 5 {
		r.enrolled(alice)
	}

	r.start(yesterday)
	l := r.dial()
	reply := l.authenticate(alice, alice.device)
	if reply.Stale || reply.Counter != alice.device.counter {
		t.Errorf("the device's counter is ahead and was not taken over: %+v", reply)
	}
	if reply.StateVersion != 1 || newest != 2 || reply.KeysVersion != 1 {
		t.Errorf("the copy is not behind: %+v", reply)
	}
	m := r.dial()
	second.counter++
	refused(m, m.statement(alice, second), qpq.Denied, wire.CodeDeviceUnknown)

	export := l.login(alice) // the state that the server lost is offered again
	keys := must(wire.SealKeys(rand.Reader, alice.state(), 2, alice.secrets(export)))
	call(l, wire.AccountPublish{State: alice.state().Bytes(), Keys: &keys})
	r.dial().authenticate(alice, second)
}

// TestADeviceGivesBackWhatTheServerLost: without the password, and nothing but what the account key signed.
func TestADeviceGivesBackWhatTheServerLost(t *testing.T) {
	r := newRig(t, nil)
	first := r.dial()
	alice := first.register("alice")
	yesterday, earlier := r.dir+"/yesterday.db", alice.keys
	check(t, copyStore(r.dir+"/qpq.db", yesterday))
	second, _ := r.enrol(alice)
	revoker := r.dial()
	alice.revoke(revoker, revoker.login(alice), second.key.ID())
	added, revoked := alice.states[1], alice.states[2]

	r.start(yesterday)
	l := r.enrolled(alice)
	own, other := earlier.Devices[0], wire.DeviceWrap{Device: second.key.ID(), Wrap: bytes.Repeat([]byte{7}, 1168)}
	forged := own
	forged.Wrap = other.Wrap
	offer := func(state *identity.AccountState, keys wire.VaultKeys, wraps ...wire.DeviceWrap) wire.AccountPublish {
		keys.Version, keys.Devices = 2, wraps
		return wire.AccountPublish{State: state.Bytes(), Keys: &keys}
	}
	wraps := wire.VaultKeys{}
	refused(l, offer(revoked, wraps, own), qpq.Conflict, wire.CodeVersionConflict)
	refused(l, wire.AccountPublish{State: added.Bytes()}, qpq.Invalid, wire.CodeBadKeys)
	refused(l, offer(added, wraps, own), qpq.Invalid, wire.CodeBadKeys)
	refused(l, offer(added, earlier, own, other), qpq.Unauthorized, wire.CodePasswordNeeded)
	call(l, offer(added, wraps, forged, other))
	call(l, offer(added, wraps, forged, other)) // a repetition
	refused(l, offer(revoked, wraps, own), qpq.Unauthorized, wire.CodePasswordNeeded)

	r.dial().authenticate(alice, second)
	l.login(alice)
	keys := call(l, wire.VaultKeysGet{}).Keys
	if keys.Version != 2 || !bytes.Equal(keys.AccountKey, earlier.AccountKey) || !bytes.Equal(keys.PasswordWrap, earlier.PasswordWrap) {
		t.Errorf("what the password opens changed: version %d", keys.Version)
	}
	if !bytes.Equal(keys.WrapFor(own.Device), own.Wrap) || !bytes.Equal(keys.WrapFor(other.Device), other.Wrap) {
		t.Error("the wraps are not the server's own, and the one it lacked")
	}
}
