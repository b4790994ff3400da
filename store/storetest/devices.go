package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/store"
)

func testDevices(t *testing.T, e store.Engine) {
	s, ctx := Open(t, e), t.Context()
	register(t, s, "alice")
	want := device(1)
	want.Created = Epoch
	got, err := s.Device(ctx, "alice", want.ID)
	ok(t, err)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("the device (-want +got):\n%s", d)
	}
	_, err = s.Device(ctx, "alice", qpq.DeviceID{9})
	wantKind(t, err, qpq.NotFound, "no-device")
	_, err = s.Devices(ctx, "nobody")
	wantKind(t, err, qpq.NotFound, "no-account")
	ok(t, s.RenameDevice(ctx, "alice", want.ID, []byte("phone")))
	wantKind(t, s.RenameDevice(ctx, "alice", qpq.DeviceID{9}, nil), qpq.NotFound, "no-device")
	want.Label = []byte("phone")
	list, err := s.Devices(ctx, "alice")
	ok(t, err)
	if d := cmp.Diff([]store.Device{want}, list); d != "" {
		t.Errorf("the devices (-want +got):\n%s", d)
	}
}

func testSessions(t *testing.T, e store.Engine) {
	s, ctx, id := Open(t, e), t.Context(), qpq.DeviceID{1}
	register(t, s, "alice")
	for _, step := range []struct {
		counter, kept int64
		ok            bool
	}{{1, 1, true}, {2, 2, true}, {2, 2, false}, {1, 2, false}, {9, 9, true}, {3, 9, false}, {10, 10, true}} {
		kept, err := s.StartSession(ctx, "alice", id, step.counter, Epoch.Add(time.Duration(step.counter)*time.Second))
		if step.ok {
			ok(t, err)
		} else {
			wantKind(t, err, qpq.Conflict, "session-behind")
		}
		if kept != step.kept {
			t.Errorf("session %d: the server keeps %d, want %d", step.counter, kept, step.kept)
		}
	}
	d, err := s.Device(ctx, "alice", id)
	ok(t, err)
	if !d.Seen.Equal(Epoch.Add(10 * time.Second)) {
		t.Errorf("last seen %v", d.Seen)
	}
	_, err = s.StartSession(ctx, "alice", qpq.DeviceID{9}, 1, Epoch)
	wantKind(t, err, qpq.NotFound, "no-device")
	ok(t, s.ChangeAccount(ctx, store.AccountChange{Name: "alice", Revoke: []qpq.DeviceID{id}, Now: Epoch}))
	_, err = s.StartSession(ctx, "alice", id, 11, Epoch)
	wantKind(t, err, qpq.Denied, "device-revoked")
}

func testVault(t *testing.T, e store.Engine) {
	s, ctx := Open(t, e), t.Context()
	_, err := s.Vault(ctx, "alice")
	wantKind(t, err, qpq.NotFound, "no-account")
	register(t, s, "alice")
	read := func() string {
		items, err := s.Vault(ctx, "alice")
		ok(t, err)
		return fmt.Sprint(items)
	}
	put := func(items ...store.VaultItem) error { return s.PutVault(ctx, "alice", items) }

	ok(t, put(store.VaultItem{Name: "vault", Version: 1, Value: []byte("two")}))
	want := read()
	for _, items := range [][]store.VaultItem{
		{{Name: "vault", Version: 1, Value: []byte("x")}},                                               // stale
		{{Name: "vault", Value: []byte("x")}},                                                           // there already
		{{Name: "new", Version: 1, Value: []byte("x")}},                                                 // not there
		{{Name: "vault", Version: 1}},                                                                   // stale removal
		{{Name: "vault", Version: 2, Value: []byte("x")}, {Name: "gone", Version: 1}},                   // the second is stale
		{{Name: "vault", Version: 2, Value: []byte("x")}, {Name: "vault", Version: 2, Value: []byte{}}}, // twice
	} {
		wantKind(t, put(items...), qpq.Conflict, "vault-moved")
		if got := read(); got != want {
			t.Fatalf("a refused change left %s, want %s", got, want)
		}
	}
	ok(t, put(store.VaultItem{Name: "vault", Version: 2}, store.VaultItem{Name: "account-key", Version: 1, Value: []byte{}}))
	items, err := s.Vault(ctx, "alice")
	ok(t, err)
	if d := cmp.Diff([]store.VaultItem{{Name: "account-key", Version: 2, Value: []byte{}}}, items); d != "" {
		t.Errorf("the vault (-want +got):\n%s", d)
	}
}

func testKeyPackages(t *testing.T, e store.Engine) {
	s, ctx, id := Open(t, e), t.Context(), qpq.DeviceID{1}
	register(t, s, "alice")
	soon, late := Epoch.Add(time.Hour), Epoch.Add(2*time.Hour)
	packages := []store.KeyPackage{
		{Device: id, Suite: 1, Ref: []byte("b"), Package: []byte("B"), Expires: late},
		{Device: id, Suite: 1, Ref: []byte("a"), Package: []byte("A"), Expires: soon},
		{Device: id, Suite: 1, Ref: []byte("l"), Package: []byte("L"), Expires: late, LastResort: true},
		{Device: id, Suite: 0xf001, Ref: []byte("q"), Package: []byte("Q"), Expires: late},
	}
	ok(t, s.AddKeyPackages(ctx, "alice", id, packages, two))
	ok(t, s.AddKeyPackages(ctx, "alice", id, packages, two)) // a repeated upload
	wantKind(t, s.AddKeyPackages(ctx, "alice", qpq.DeviceID{9}, packages, two), qpq.NotFound, "no-device")
	more := []store.KeyPackage{{Device: id, Suite: 1, Ref: []byte("c"), Expires: late}}
	wantKind(t, s.AddKeyPackages(ctx, "alice", id, more, two), qpq.Exhausted, "too-many-key-packages")

	wantKind(t, s.ReplaceKeyPackages(ctx, "alice", id, append(more, packages...), two), qpq.Exhausted, "too-many-key-packages")
	ok(t, s.ReplaceKeyPackages(ctx, "alice", id, more, two))
	if counts, err := s.CountKeyPackages(ctx, "alice", id, Epoch); err != nil || len(counts) != 1 || counts[0].OneTime != 1 || counts[0].LastResort != 0 {
		t.Errorf("replaced: %+v, %v", counts, err)
	}
	ok(t, s.ReplaceKeyPackages(ctx, "alice", id, packages, two))

	counts, err := s.CountKeyPackages(ctx, "alice", id, Epoch)
	ok(t, err)
	want := []store.KeyPackageCount{{Device: id, Suite: 1, OneTime: 2, LastResort: 1}, {Device: id, Suite: 0xf001, OneTime: 1}}
	if d := cmp.Diff(want, counts); d != "" {
		t.Errorf("counts (-want +got):\n%s", d)
	}
	for _, ref := range []string{"a", "b", "l", "l"} { // first to expire first, then the last resort again and again
		k, err := s.ClaimKeyPackage(ctx, "alice", id, 1, Epoch)
		ok(t, err)
		if string(k.Ref) != ref || k.Device != id || k.Suite != 1 || k.LastResort != (ref == "l") {
			t.Errorf("claimed %+v, want %s", k, ref)
		}
	}
	newer := store.KeyPackage{Device: id, Suite: 1, Ref: []byte("m"), Expires: soon, LastResort: true}
	ok(t, s.AddKeyPackages(ctx, "alice", id, []store.KeyPackage{newer}, two))
	k, err := s.ClaimKeyPackage(ctx, "alice", id, 1, Epoch)
	if err != nil || string(k.Ref) != "m" {
		t.Errorf("the old last resort was not replaced: %s, %v", k.Ref, err)
	}
	_, err = s.ClaimKeyPackage(ctx, "alice", id, 1, soon) // expired at this very moment
	wantKind(t, err, qpq.NotFound, "no-key-package")
}

// testKeyPackageLimits: what a device has is counted by suite and over all suites, and a refused upload keeps nothing.
func testKeyPackageLimits(t *testing.T, e store.Engine) {
	s, ctx, id := Open(t, e), t.Context(), qpq.DeviceID{1}
	register(t, s, "alice")
	of := func(suite uint16, ref string, last bool) store.KeyPackage {
		return store.KeyPackage{Suite: suite, Ref: []byte(ref), LastResort: last, Expires: Epoch.Add(time.Hour)}
	}
	limits := store.KeyPackageLimits{Suite: 2, Device: 5}
	add := func(packages ...store.KeyPackage) error { return s.AddKeyPackages(ctx, "alice", id, packages, limits) }
	ok(t, add(of(1, "a", false), of(1, "b", false), of(1, "l", true))) // last resorts are none of a suite's one-time packages
	ok(t, add(of(2, "c", false)))
	wantKind(t, add(of(2, "d", false), of(3, "e", false)), qpq.Exhausted, "too-many-key-packages")
	wantKind(t, add(of(2, "d", false), of(2, "m", true)), qpq.Exhausted, "too-many-key-packages")
	ok(t, add(of(2, "m", true)))
	ok(t, add(of(1, "l2", true))) // in place of another
	wantKind(t, add(of(3, "e", false)), qpq.Exhausted, "too-many-key-packages")
	counts, err := s.CountKeyPackages(ctx, "alice", id, Epoch)
	ok(t, err)
	want := []store.KeyPackageCount{{Device: id, Suite: 1, OneTime: 2, LastResort: 1}, {Device: id, Suite: 2, OneTime: 1, LastResort: 1}}
	if d := cmp.Diff(want, counts); d != "" {
		t.Errorf("counts (-want +got):\n%s", d)
	}
}

func testKeyPackagesOfRevoked(t *testing.T, e store.Engine) {
	s, ctx, id, late := Open(t, e), t.Context(), qpq.DeviceID{1}, Epoch.Add(time.Hour)
	register(t, s, "alice")
	packages := []store.KeyPackage{{Suite: 1, Ref: []byte("a"), Expires: late}}
	ok(t, s.AddKeyPackages(ctx, "alice", id, packages, two))
	second := device(2)
	ok(t, s.ChangeAccount(ctx, store.AccountChange{Name: "alice", Enrol: &second, Now: Epoch}))
	ok(t, s.AddKeyPackages(ctx, "alice", second.ID, []store.KeyPackage{{Suite: 1, Ref: []byte("b"), Expires: late}}, two))
	ok(t, s.ChangeAccount(ctx, store.AccountChange{Name: "alice", Revoke: []qpq.DeviceID{id}, Now: Epoch}))
	_, err := s.ClaimKeyPackage(ctx, "alice", id, 1, Epoch)
	wantKind(t, err, qpq.NotFound, "no-key-package")
	wantKind(t, s.AddKeyPackages(ctx, "alice", id, packages, many), qpq.NotFound, "no-device")
	k, err := s.ClaimKeyPackage(ctx, "alice", second.ID, 1, Epoch)
	if err != nil || string(k.Ref) != "b" || k.Device != second.ID {
		t.Errorf("the device that stays: %+v, %v", k, err)
	}
}
