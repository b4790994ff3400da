package identity

import (
	"crypto/hpke"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/quicproquo/qpq"
)

// VaultKey is the random key of a vault. The vault's public key, which the account states carry, is
// derived from it; so no server can put another vault in its place.
type VaultKey struct{ secret }

const vaultKeySize = 32

// NewVaultKey makes a vault key.
func NewVaultKey(rand io.Reader) (*VaultKey, error) {
	b, err := random(rand, vaultKeySize)
	if err != nil {
		return nil, err
	}
	return &VaultKey{secret{b}}, nil
}

// Equal reports in constant time whether both are the same key.
func (k *VaultKey) Equal(o *VaultKey) bool { return k.equal(o.secret) }

func (k *VaultKey) pair() hpke.PrivateKey { return derivePair(k.secret, "quicproquo vault hpke v1") }

func derivePair(s secret, label string) hpke.PrivateKey {
	ikm := s.derive(label, 64)
	defer clear(ikm)
	pair, err := kem().DeriveKeyPair(ikm)
	if err != nil {
		panic("identity: derive an HPKE key: " + err.Error())
	}
	return pair
}

// Public returns the vault's public key, of EncryptionKeySize bytes, to which others seal what is
// for the account rather than for one device.
func (k *VaultKey) Public() []byte { return k.pair().PublicKey().Bytes() }

// SealTo seals plaintext to an account's vault; what says what it is, and context where it belongs.
func SealTo(s *AccountState, what, context string, plaintext []byte) ([]byte, error) {
	return sealTo(s.VaultKey, sealedInfo(s.User, what, context), plaintext)
}

// OpenSealed opens what SealTo sealed. It fails with qpq.Denied.
func (k *VaultKey) OpenSealed(user qpq.UserID, what, context string, sealed []byte) ([]byte, error) {
	return openSealed(k.pair(), sealedInfo(user, what, context), sealed)
}

func sealedInfo(user qpq.UserID, what, context string) []byte {
	w := writer{[]byte("quicproquo sealed v1\x00")}
	w.user(user)
	w.vec16([]byte(what))
	w.vec16([]byte(context))
	return w.b
}

// sealTo is HPKE in base mode (RFC 9180, section 6.1) with ML-KEM-768 + X25519, HKDF-SHA256 and
// ChaCha20Poly1305: encapsulated key, then ciphertext.
func sealTo(public, info, plaintext []byte) ([]byte, error) {
	pub, err := kem().NewPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("seal to a key: %w", err)
	}
	return hpke.Seal(pub, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), info, plaintext)
}

func openSealed(key hpke.PrivateKey, info, sealed []byte) ([]byte, error) {
	b, err := hpke.Open(key, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), info, sealed)
	if err != nil {
		return nil, qpq.Wrap(qpq.Denied, "not-for-this-key", "something sealed could not be opened: it was altered, or is meant for another key", err)
	}
	return b, nil
}

// WrapFor wraps the vault key to a device of its account.
func (k *VaultKey) WrapFor(d *DeviceRequest) ([]byte, error) {
	return sealTo(d.EncryptionKey, wrapInfo(d.User, d.ID()), k.b)
}

// OpenVault opens the wrap made for this device and checks that it holds the vault key of s. It fails
// with qpq.Denied.
func (k *DeviceKey) OpenVault(s *AccountState, wrap []byte) (*VaultKey, error) {
	b, err := openSealed(k.wrap, wrapInfo(s.User, k.ID()), wrap)
	if err != nil {
		return nil, err
	}
	return vaultOf(s, b)
}

func wrapInfo(user qpq.UserID, device qpq.DeviceID) []byte {
	w := writer{[]byte("quicproquo vault wrap v1\x00")}
	w.user(user)
	w.fixed(device[:])
	return w.b
}

// vaultOf checks an unwrapped key against the public key that the account key signed.
func vaultOf(s *AccountState, b []byte) (*VaultKey, error) {
	k := &VaultKey{secret{b}}
	if len(b) != vaultKeySize || subtle.ConstantTimeCompare(k.Public(), s.VaultKey) != 1 {
		k.Wipe()
		return nil, qpq.E(qpq.Denied, "wrong-vault-key", fmt.Sprintf(
			"the vault key that the server sent is not the one that %s signed in version %d: do not trust this server", s.User, s.Version))
	}
	return k, nil
}

// Seal seals an item of the vault. The user, the item's name and its version are bound to it: a server
// can neither swap items nor pass an old one for a new one to who remembers the version. Sizes are
// padded, by at most an eighth.
func (k *VaultKey) Seal(rand io.Reader, user qpq.UserID, name string, version uint64, plaintext []byte) ([]byte, error) {
	return k.sealItem(rand, "quicproquo vault items v1", itemInfo(user, name, version), pad(plaintext))
}

// Open opens an item that Seal sealed under the same name and version. It fails with qpq.Denied.
func (k *VaultKey) Open(user qpq.UserID, name string, version uint64, sealed []byte) ([]byte, error) {
	b, err := k.openItem("quicproquo vault items v1", itemInfo(user, name, version), sealed)
	if err != nil {
		return nil, err
	}
	return unpad(b)
}

func itemInfo(user qpq.UserID, name string, version uint64) []byte {
	var w writer
	w.user(user)
	w.vec16([]byte(name))
	w.u64(version)
	return w.b
}

const sealVersion = 1

// sealItem is XChaCha20-Poly1305 under a key derived for the label: version, nonce, ciphertext.
func (s secret) sealItem(rand io.Reader, label string, aad, plaintext []byte) ([]byte, error) {
	key := s.derive(label, chacha20poly1305.KeySize)
	defer clear(key)
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, err
	}
	nonce, err := random(rand, aead.NonceSize())
	if err != nil {
		return nil, err
	}
	return aead.Seal(append([]byte{sealVersion}, nonce...), nonce, plaintext, aad), nil
}

func (s secret) openItem(label string, aad, sealed []byte) ([]byte, error) {
	const head = 1 + chacha20poly1305.NonceSizeX
	if len(sealed) < head || sealed[0] != sealVersion {
		return nil, qpq.E(qpq.Invalid, "malformed-seal", "something sealed cannot be read: it is too short or of an unknown version")
	}
	key := s.derive(label, chacha20poly1305.KeySize)
	defer clear(key)
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, err
	}
	b, err := aead.Open(nil, sealed[1:head], sealed[head:], aad)
	if err != nil {
		return nil, qpq.Wrap(qpq.Denied, "wrong-seal", "something sealed could not be opened: it was altered, replaced by an older version, or the key is another", err)
	}
	return b, nil
}

const minPadded = 256

// pad puts the length before b and zeros behind, up to a size with few significant bits (PADMÉ,
// Nikitin et al. 2019), at least minPadded.
func pad(b []byte) []byte {
	n := uint(len(b) + 4)
	size := uint(minPadded)
	if n > size {
		e := bits.Len(n) - 1
		mask := uint(1)<<(e-bits.Len(uint(e))) - 1
		size = (n + mask) &^ mask
	}
	out := make([]byte, size)
	binary.BigEndian.PutUint32(out, uint32(len(b)))
	copy(out[4:], b)
	return out
}

func unpad(b []byte) ([]byte, error) {
	if len(b) >= minPadded {
		if n := binary.BigEndian.Uint32(b); uint64(n) <= uint64(len(b)-4) {
			return b[4 : 4+n : 4+n], nil
		}
	}
	return nil, qpq.E(qpq.Invalid, "malformed-seal", "something sealed cannot be read: its padding is wrong")
}

// DeviceNameItem is the name under which a device's name for people is sealed, in version 1.
func DeviceNameItem(id qpq.DeviceID) string { return "device-name-" + id.String() }
