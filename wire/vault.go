package wire

import (
	"fmt"
	"io"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/identity"
)

// Check reports whether keys may stand beside an account state: complete, one above version, with a
// wrap for each device of the state in the state's order, and none else. It fails with qpq.Conflict
// (vault-conflict) on the version and with qpq.Invalid (bad-keys) on the rest.
func (k *VaultKeys) Check(s *identity.AccountState, version uint64) error {
	if k.Version != version+1 {
		return qpq.E(qpq.Conflict, CodeVaultConflict, fmt.Sprintf(
			"the vault's keys were to become version %d, and they are at %d: read them again and retry", k.Version, version))
	}
	fits := len(k.AccountKey) > 0 && len(k.PasswordWrap) > 0 && len(k.Devices) == len(s.Devices)
	for i := 0; fits && i < len(k.Devices); i++ {
		fits = k.Devices[i].Device == s.Devices[i].ID()
	}
	if !fits {
		return qpq.E(qpq.Invalid, CodeBadKeys,
			"the vault's keys do not fit the account state: they need the account key, a wrap for the password and one for each device, in order")
	}
	return nil
}

// WrapFor returns the wrap made for a device, nil if there is none.
func (k *VaultKeys) WrapFor(id qpq.DeviceID) []byte {
	for _, d := range k.Devices {
		if d.Device == id {
			return d.Wrap
		}
	}
	return nil
}

// SealKeys makes the keys of a vault for an account state: every way to open it, from the secrets
// themselves. rand feeds the nonces.
func SealKeys(rand io.Reader, s *identity.AccountState, version uint64, secrets Secrets) (VaultKeys, error) {
	k := VaultKeys{Version: version, Recovery: secrets.Recovery}
	var err error
	if k.AccountKey, err = secrets.Password.SealAccount(rand, secrets.Account); err != nil {
		return VaultKeys{}, err
	}
	if k.PasswordWrap, err = secrets.Password.WrapVault(secrets.Vault); err != nil {
		return VaultKeys{}, err
	}
	for _, d := range s.Devices {
		wrap, err := secrets.Vault.WrapFor(d.Request())
		if err != nil {
			return VaultKeys{}, err
		}
		k.Devices = append(k.Devices, DeviceWrap{Device: d.ID(), Wrap: wrap})
	}
	return k, nil
}

// Secrets are what the keys of a vault lock up.
type Secrets struct {
	Password *identity.PasswordKey
	Account  *identity.AccountKey
	Vault    *identity.VaultKey
	Recovery bool // a recovery code is mixed into Password
}
