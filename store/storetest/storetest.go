// Package storetest is the suite that every backend of package store passes: the contract's sentences
// as tests, random histories against a plain model, and races.
package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/store"
)

// Domain is the domain of the stores under test.
const Domain = "example.org"

// Epoch is when they were made.
var Epoch = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// Run runs the suite. Open returns a new, empty engine, which it closes with the test.
func Run(t *testing.T, open func(testing.TB) store.Engine) {
	for _, c := range []struct {
		name string
		test func(*testing.T, store.Engine)
	}{
		{"Engine", testEngine},
		{"Meta", testMeta},
		{"Register", testRegister},
		{"Tombstone", testTombstone},
		{"ErasureIsComplete", testErasureIsComplete},
		{"ChangeAccount", testChangeAccount},
		{"Revocation", testRevocation},
		{"Devices", testDevices},
		{"Sessions", testSessions},
		{"Vault", testVault},
		{"KeyPackages", testKeyPackages},
		{"KeyPackageLimits", testKeyPackageLimits},
		{"KeyPackagesOfRevoked", testKeyPackagesOfRevoked},
		{"Attempts", testAttempts},
		{"Tokens", testTokens},
		{"Inbox", testInbox},
		{"Echo", testEcho},
		{"Receipts", testReceipts},
		{"Sweep", testSweep},
		{"Leaving", testLeaving},
		{"Blobs", testBlobs},
		{"BlobsGo", testBlobsGo},
		{"BlobsPutOff", testBlobsPutOff},
		{"BlobsMissed", testBlobsMissed},
		{"BlobsOnce", testBlobsOnce},
		{"BlobsSurviveKills", testBlobsSurviveKills},
		{"Races", testRaces},
		{"Model", testModel},
		{"ChannelModel", testChannelModel},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

// Limits of key packages: few of a suite, and more than any test has.
var (
	two  = store.KeyPackageLimits{Suite: 2, Device: 1000}
	many = store.KeyPackageLimits{Suite: 1000, Device: 1000}
)

// Open returns the store in e.
func Open(t testing.TB, e store.Engine) *store.Store {
	t.Helper()
	return openWith(t, e, nil)
}

// openWith is Open with a place for the bytes of blobs.
func openWith(t testing.TB, e store.Engine, contents store.Contents) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), e, store.Config{Domain: Domain, Now: Epoch, Blobs: contents})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// wantKind fails unless err is of the kind and code.
func wantKind(t *testing.T, err error, kind qpq.Kind, code string) {
	t.Helper()
	if qpq.KindOf(err) != kind || qpq.CodeOf(err) != code {
		t.Fatalf("error %v is %v %q, want %v %q", err, qpq.KindOf(err), qpq.CodeOf(err), kind, code)
	}
}

// ok fails on an error, with all that caused it.
func ok(t testing.TB, err error) {
	t.Helper()
	if err == nil {
		return
	}
	var e *qpq.Error
	if errors.As(err, &e) && e.Err != nil {
		t.Fatalf("%v (%v)", err, e.Err)
	}
	t.Fatal(err)
}

// device returns a device made of one byte.
func device(b byte) store.Device {
	return store.Device{ID: qpq.DeviceID{b}, PublicKey: []byte{b, 1}, Certificate: []byte{b, 2}, Label: []byte{b, 3}}
}

// registration returns a complete registration of name.
func registration(name string) store.Registration {
	return store.Registration{
		Name: name, Record: store.Record("record of " + name), Device: device(1), Now: Epoch,
		State: store.AccountState{Version: 1, Hash: []byte("hash 1"), State: []byte("state 1")},
		Vault: []store.VaultItem{{Name: "account-key", Value: []byte("sealed")}, {Name: "vault", Value: []byte{}}},
	}
}

func register(t testing.TB, s *store.Store, name string) {
	t.Helper()
	_, err := s.Register(t.Context(), registration(name))
	ok(t, err)
}
