package profile_test

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/identity"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

var alice = qpq.UserID{Name: "alice", Domain: "example.org"}

func newAccount() *profile.Account {
	device, key := must(identity.NewDeviceKey(rand.Reader)), must(identity.NewAccountKey(rand.Reader))
	request := must(device.Request(alice, []uint16{0xF001}))
	state := must(identity.NewAccount(key, request, must(identity.NewVaultKey(rand.Reader)), time.Now()))
	return &profile.Account{User: alice, Server: "example.org:4433", Device: device, State: state, Status: profile.Enrolling}
}
