package node

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/wire"
)

func upload(l *line, packages ...wire.KeyPackage) []wire.KeyPackageCount {
	l.r.t.Helper()
	return call(l, wire.KeyPackagesUpload{Packages: packages}).Counts
}

func lastResort(suite uint16, rest string) wire.KeyPackage {
	p := keyPackage(suite, rest)
	p.LastResort = true
	return p
}

func TestKeyPackages(t *testing.T) {
	r := newRig(t, nil)
	l := r.dial()
	alice := l.register("alice")
	first := keyPackage(1, "one")
	counts := upload(l, first, keyPackage(0xF001, "pq"), lastResort(1, "last"))
	upload(l, first) // a repetition
	if got := call(l, wire.KeyPackagesCount{}).Counts; len(got) != 2 || got[0] != counts[0] || got[0] != (wire.KeyPackageCount{Suite: 1, OneTime: 1, LastResort: true}) {
		t.Errorf("%+v", got)
	}
	second, m := r.enrol(alice)
	upload(m, keyPackage(1, "of the second device"))

	bob := r.dial()
	bob.register("bob")
	claim := func(q wire.KeyPackagesClaim) map[qpq.DeviceID]string {
		t.Helper()
		q.User = alice.user
		out := map[qpq.DeviceID]string{}
		for _, p := range call(bob, q).Packages {
			out[p.Device] = fmt.Sprintf("%d %s %v", p.Suite, p.Data[5:], p.LastResort)
		}
		return out
	}
	id := alice.device.key.ID()
	want := func(got, want map[qpq.DeviceID]string) {
		t.Helper()
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	want(claim(wire.KeyPackagesClaim{Suites: []uint16{0xF001, 1}}), map[qpq.DeviceID]string{id: "61441 pq false", second.key.ID(): "1 of the second device false"})
	want(claim(wire.KeyPackagesClaim{Suites: []uint16{0xF001, 1}}), map[qpq.DeviceID]string{id: "1 one false"})
	want(claim(wire.KeyPackagesClaim{Suites: []uint16{1}, Devices: []qpq.DeviceID{id}}), map[qpq.DeviceID]string{id: "1 last true"})
	want(claim(wire.KeyPackagesClaim{Suites: []uint16{1}}), map[qpq.DeviceID]string{id: "1 last true"})
	refused(bob, wire.KeyPackagesClaim{User: alice.user, Suites: []uint16{2}}, qpq.NotFound, wire.CodeNoKeyPackage)
	refused(bob, wire.KeyPackagesClaim{User: alice.user, Suites: []uint16{1}, Devices: []qpq.DeviceID{second.key.ID()}}, qpq.NotFound, wire.CodeNoKeyPackage)
	reply := call(bob, wire.KeyPackagesClaim{User: alice.user, Suites: []uint16{1}, After: 1})
	if len(reply.States) != 1 || reply.Newest != 2 {
		t.Errorf("%d states, newest %d", len(reply.States), reply.Newest)
	}
}

func TestReplaceDropsEarlierPackages(t *testing.T) {
	r := newRig(t, nil)
	l := r.dial()
	alice := l.register("alice")
	upload(l, keyPackage(1, "a"), keyPackage(1, "b"), keyPackage(0xF001, "c"), lastResort(1, "d"), lastResort(0xF001, "e"))
	counts := call(l, wire.KeyPackagesUpload{Packages: []wire.KeyPackage{keyPackage(1, "fresh")}, Replace: true}).Counts
	if len(counts) != 1 || counts[0] != (wire.KeyPackageCount{Suite: 1, OneTime: 1}) {
		t.Errorf("%+v", counts)
	}
	bob := r.dial()
	bob.register("bob")
	got := call(bob, wire.KeyPackagesClaim{User: alice.user, Suites: suites}).Packages
	if len(got) != 1 || string(got[0].Data[5:]) != "fresh" {
		t.Errorf("%+v", got)
	}
	refused(bob, wire.KeyPackagesClaim{User: alice.user, Suites: suites}, qpq.NotFound, wire.CodeNoKeyPackage)
	r.sweepOnce(t.Context(), time.Now())
	upload(l, lastResort(1, "a new last one"))
	call(bob, wire.KeyPackagesClaim{User: alice.user, Suites: suites})
}

func TestUploadIsRefused(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Limits.KeyPackages = 2 })
	l := r.dial()
	l.register("alice")
	other := keyPackage(1, "x")
	other.Suite = 2
	unlisted := keyPackage(3, "x")
	expired := keyPackage(1, "x")
	expired.Expires = time.Now().Add(-time.Second)
	never := keyPackage(1, "x")
	never.Expires = time.Time{}
	for what, p := range map[string]wire.KeyPackage{
		"of another suite": other, "of a suite that the certificate does not list": unlisted, "expired": expired,
		"without an end": never, "nonsense": {Suite: 1, Data: []byte("x"), Expires: time.Now().Add(time.Hour)},
	} {
		t.Log(what)
		refused(l, wire.KeyPackagesUpload{Packages: []wire.KeyPackage{p}}, qpq.Invalid, "bad-key-package")
	}
	upload(l, keyPackage(1, "a"), keyPackage(1, "b"))
	refused(l, wire.KeyPackagesUpload{Packages: []wire.KeyPackage{keyPackage(1, "c")}}, qpq.Exhausted, "too-many-key-packages")
}

func TestKeyPackagesOfAllSuitesAreBounded(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Limits.KeyPackages, c.Limits.DevicePackages = 2, 3 })
	l := r.dial()
	alice := l.register("alice")
	upload(l, keyPackage(1, "a"), lastResort(1, "last"), keyPackage(0xF001, "b"))
	upload(l, lastResort(1, "a new last one"))
	for _, one := range []wire.KeyPackage{keyPackage(1, "c"), keyPackage(0xF001, "c"), lastResort(0xF001, "c")} {
		refused(l, wire.KeyPackagesUpload{Packages: []wire.KeyPackage{one}}, qpq.Exhausted, "too-many-key-packages")
	}
	counts := call(l, wire.KeyPackagesCount{}).Counts
	if want := []wire.KeyPackageCount{{Suite: 1, OneTime: 1, LastResort: true}, {Suite: 0xF001, OneTime: 1}}; !slices.Equal(counts, want) {
		t.Errorf("after refusals: %+v, want %+v", counts, want)
	}
	_, second := r.enrol(alice)
	upload(second, keyPackage(1, "of another device"))
}

func TestReplenishHint(t *testing.T) {
	r := newRig(t, nil)
	l := r.dial()
	alice := l.register("alice")
	var packages []wire.KeyPackage
	for i := range lowKeyPackages + 1 {
		packages = append(packages, keyPackage(1, fmt.Sprint(i)))
	}
	upload(l, packages...)
	bob := r.dial()
	bob.register("bob")
	call(bob, wire.KeyPackagesClaim{User: alice.user, Suites: suites})
	if pushed := l.pushed(); len(pushed) != 0 {
		t.Errorf("%d are left, and a hint came: %v", lowKeyPackages, pushed)
	}
	call(bob, wire.KeyPackagesClaim{User: alice.user, Suites: suites})
	if pushed := l.pushed(); len(pushed) != 1 || pushed[0] != (wire.KeyPackagesPush{Suite: 1, Left: lowKeyPackages - 1}) {
		t.Errorf("pushed %v", pushed)
	}
}

func TestKeyPackagesExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		l := r.dial()
		alice := l.register("alice")
		upload(l, keyPackage(1, "a"))
		bob := r.dial()
		bob.register("bob")
		time.Sleep(time.Hour)
		refused(bob, wire.KeyPackagesClaim{User: alice.user, Suites: suites}, qpq.NotFound, wire.CodeNoKeyPackage)
	})
}

func TestNobodyDrainsSomebodysKeyPackages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *Config) { c.Limits.ClaimBurst = 3; c.Limits.ClaimInterval = time.Minute })
		l := r.dial()
		alice := l.register("alice")
		upload(l, lastResort(1, "last"))
		bob := r.dial()
		bob.register("bob")
		q := wire.KeyPackagesClaim{User: alice.user, Suites: suites}
		for range 3 {
			call(bob, q)
		}
		refused(bob, q, qpq.RateLimited, "rate-limited")
		carol := r.dial()
		carol.register("carol")
		call(carol, q) // bob's greed is not carol's
		time.Sleep(time.Minute)
		call(bob, q)
		refused(bob, q, qpq.RateLimited, "rate-limited")
	})
}
