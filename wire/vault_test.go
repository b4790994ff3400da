package wire_test

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/wire"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestSealKeys makes the keys of an account with two devices and opens them in every way.
func TestSealKeys(t *testing.T) {
	account, vault := must(identity.NewAccountKey(rand.Reader)), must(identity.NewVaultKey(rand.Reader))
	first, second := must(identity.NewDeviceKey(rand.Reader)), must(identity.NewDeviceKey(rand.Reader))
	now := time.Now()
	one := must(identity.NewAccount(account, must(first.Request(alice, []uint16{1})), vault, now))
	two := must(one.Next(identity.Change{Now: now, Key: account, Add: []*identity.DeviceRequest{must(second.Request(alice, []uint16{1}))}}))
	password := must(identity.NewPasswordKey(alice, make([]byte, 64), nil))
	keys := must(wire.SealKeys(rand.Reader, two, 4, wire.Secrets{Password: password, Account: account, Vault: vault}))

	keys = must(wire.Unmarshal[wire.VaultKeys](must(wire.Marshal(keys))))
	if err := keys.Check(two, 3); err != nil {
		t.Errorf("Check: %v", err)
	}
	for _, d := range []*identity.DeviceKey{first, second} {
		if got, err := d.OpenVault(two, keys.WrapFor(d.ID())); err != nil || !got.Equal(vault) {
			t.Errorf("a device's wrap: %v", err)
		}
	}
	if got, err := password.OpenVault(two, keys.PasswordWrap); err != nil || !got.Equal(vault) {
		t.Errorf("the password's wrap: %v", err)
	}
	if got, err := password.OpenAccount(two, keys.AccountKey); err != nil || !got.Equal(account) {
		t.Errorf("the account key: %v", err)
	}
	if keys.WrapFor(qpq.DeviceID{}) != nil {
		t.Error("a wrap for a device that is none")
	}

	for _, version := range []uint64{2, 4} {
		if err := keys.Check(two, version); qpq.CodeOf(err) != wire.CodeVaultConflict {
			t.Errorf("after version %d: %v", version, err)
		}
	}
	swapped := keys
	swapped.Devices = []wire.DeviceWrap{keys.Devices[1], keys.Devices[0]}
	missing := keys
	missing.PasswordWrap = nil
	for name, k := range map[string]wire.VaultKeys{"swapped": swapped, "missing": missing} {
		if err := k.Check(two, 3); qpq.CodeOf(err) != wire.CodeBadKeys {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := keys.Check(one, 3); qpq.CodeOf(err) != wire.CodeBadKeys {
		t.Errorf("keys of another state: %v", err)
	}
}
