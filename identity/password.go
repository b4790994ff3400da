package identity

import (
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"

	"github.com/quicproquo/qpq"
)

// PasswordKey is what a password, and a recovery code if there is one, open: the account key and the
// vault. It comes of the export key of OPAQUE, which no server sees; but a hostile server can guess
// weak passwords offline, which a recovery code of 128 bits rules out.
type PasswordKey struct {
	secret
	user qpq.UserID
}

const exportKeySize = 64 // OPAQUE over SHA-512 (RFC 9807, section 4.1.2)

// NewPasswordKey derives the key of a user from OPAQUE's export key; recovery is nil where the account
// has no recovery code. The caller wipes export.
func NewPasswordKey(user qpq.UserID, export []byte, recovery *RecoveryCode) (*PasswordKey, error) {
	if len(export) != exportKeySize {
		return nil, fmt.Errorf("derive a password key: the export key has %d bytes, and %d are due", len(export), exportKeySize)
	}
	var salt []byte
	if recovery != nil {
		salt = recovery.b
	}
	w := writer{[]byte("quicproquo password key v1\x00")}
	w.user(user)
	b, err := hkdf.Key(sha256.New, export, salt, string(w.b), 32)
	if err != nil {
		return nil, fmt.Errorf("derive a password key: %w", err)
	}
	return &PasswordKey{secret{b}, user}, nil
}

const labelAccountSeal = "quicproquo account key seal v1"

// SealAccount seals the account key: SealedAccountSize bytes that only this key opens.
func (k *PasswordKey) SealAccount(rand io.Reader, key *AccountKey) ([]byte, error) {
	return k.sealItem(rand, labelAccountSeal, k.accountInfo(key.Public()), key.b)
}

// OpenAccount opens the account key and checks that it is the one of s. The caller wipes it as soon as
// it has signed. It fails with qpq.Denied.
func (k *PasswordKey) OpenAccount(s *AccountState, sealed []byte) (*AccountKey, error) {
	b, err := k.openItem(labelAccountSeal, k.accountInfo(s.Key), sealed)
	if err != nil {
		return nil, err
	}
	if len(b) != 32 {
		return nil, qpq.E(qpq.Invalid, "malformed-seal", "the sealed account key has the wrong size")
	}
	key := &AccountKey{secret{b}}
	if pub := key.Public(); subtle.ConstantTimeCompare(pub[:], s.Key[:]) != 1 {
		key.Wipe()
		return nil, qpq.E(qpq.Denied, "wrong-account-key", fmt.Sprintf("the account key that the server sent is not that of %s", s.User))
	}
	return key, nil
}

func (k *PasswordKey) accountInfo(p PublicKey) []byte {
	var w writer
	w.user(k.user)
	w.fixed(p[:])
	return w.b
}

// WrapVault wraps the vault key to the password.
func (k *PasswordKey) WrapVault(v *VaultKey) ([]byte, error) {
	pair := derivePair(k.secret, "quicproquo password hpke v1")
	return sealTo(pair.PublicKey().Bytes(), wrapInfo(k.user, qpq.DeviceID{}), v.b)
}

// OpenVault opens what WrapVault wrapped and checks that it holds the vault key of s. It fails with
// qpq.Denied.
func (k *PasswordKey) OpenVault(s *AccountState, wrap []byte) (*VaultKey, error) {
	b, err := openSealed(derivePair(k.secret, "quicproquo password hpke v1"), wrapInfo(k.user, qpq.DeviceID{}), wrap)
	if err != nil {
		return nil, err
	}
	return vaultOf(s, b)
}
