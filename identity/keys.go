package identity

import (
	"crypto/ed25519"
	"crypto/hpke"
	"crypto/sha256"
	"fmt"
	"io"

	"github.com/quicproquo/qpq"
)

// Sizes of keys and of what they make, in bytes.
const (
	EncryptionKeySize = 1216 // ML-KEM-768 encapsulation key 1184, X25519 public key 32
	WrapSize          = 1168 // HPKE: encapsulated key 1120, sealed vault key 32, tag 16
	SealedAccountSize = 73   // version 1, nonce 24, account key 32, tag 16
)

// PublicKey is an Ed25519 public key (RFC 8032).
type PublicKey [32]byte

// Signature is an Ed25519 signature.
type Signature [64]byte

// verify reports whether sig is p's signature over content under a label.
func (p PublicKey) verify(label string, content []byte, sig Signature) bool {
	return ed25519.Verify(p[:], labelled(label, content), sig[:])
}

// labelled separates what is signed by purpose: label, a zero byte, content. No label is the
// beginning of an MLS SignContent (RFC 9420, section 5.1.2), which the same device key may sign.
func labelled(label string, content []byte) []byte {
	return append(append([]byte(label), 0), content...)
}

// What each signature is for.
const (
	labelRequest     = "quicproquo device request v1"
	labelCertificate = "quicproquo device certificate v1"
	labelState       = "quicproquo account state v1"
	labelRotation    = "quicproquo account rotation v1"
	labelSession     = "quicproquo session v1"
	labelTranscript  = "quicproquo transcript v1"
)

// AccountKey is the key an account is. The password opens it for a moment, to add, revoke or rotate;
// whoever has it calls Wipe at once.
type AccountKey struct{ secret }

// NewAccountKey makes an account key.
func NewAccountKey(rand io.Reader) (*AccountKey, error) {
	seed, err := random(rand, ed25519.SeedSize)
	if err != nil {
		return nil, err
	}
	return &AccountKey{secret{seed}}, nil
}

// Public returns the public key.
func (k *AccountKey) Public() PublicKey { return public(k.b) }

// Equal reports in constant time whether both are the same key.
func (k *AccountKey) Equal(o *AccountKey) bool { return k.equal(o.secret) }

func (k *AccountKey) sign(label string, content []byte) Signature {
	return Signature(ed25519.Sign(ed25519.NewKeyFromSeed(k.b), labelled(label, content)))
}

func public(seed []byte) PublicKey {
	return PublicKey(ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey))
}

// DeviceKey is what a device is: a signature key, and a hybrid HPKE key for the vault's wraps. Both
// come of one stored secret.
type DeviceKey struct {
	secret
	wrap hpke.PrivateKey
}

const (
	deviceVersion = 1
	deviceSize    = 1 + 32 + 32 // version, Ed25519 seed, HPKE input keying material
)

// NewDeviceKey makes a device key.
func NewDeviceKey(rand io.Reader) (*DeviceKey, error) {
	b, err := random(rand, deviceSize)
	if err != nil {
		return nil, err
	}
	b[0] = deviceVersion
	return ParseDeviceKey(b)
}

// ParseDeviceKey reads what Bytes returned. It keeps b.
func ParseDeviceKey(b []byte) (*DeviceKey, error) {
	if len(b) != deviceSize || b[0] != deviceVersion {
		return nil, qpq.E(qpq.Damaged, "malformed-device-key", "the stored key of this device cannot be read: restore the profile or link the device anew")
	}
	wrap, err := kem().DeriveKeyPair(b[33:])
	if err != nil {
		return nil, fmt.Errorf("derive the encryption key of a device: %w", err)
	}
	return &DeviceKey{secret{b}, wrap}, nil
}

// Bytes returns the secret itself, for the encrypted profile and nowhere else. It is not a copy.
func (k *DeviceKey) Bytes() []byte { return k.b }

// Public returns the public signature key.
func (k *DeviceKey) Public() PublicKey { return public(k.b[1:33]) }

// EncryptionKey returns the public key that the vault key is wrapped to, of EncryptionKeySize bytes.
func (k *DeviceKey) EncryptionKey() []byte { return k.wrap.PublicKey().Bytes() }

// ID returns the device's id.
func (k *DeviceKey) ID() qpq.DeviceID { return k.Public().DeviceID() }

// Equal reports in constant time whether both are the same key.
func (k *DeviceKey) Equal(o *DeviceKey) bool { return k.equal(o.secret) }

// SigningKey returns the private signature key, for the MLS leaves of this device. The caller wipes it.
func (k *DeviceKey) SigningKey() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(k.b[1:33]) }

func (k *DeviceKey) sign(label string, content []byte) Signature {
	return Signature(ed25519.Sign(k.SigningKey(), labelled(label, content)))
}

// DeviceID returns the id of the device with this signature key: half of its SHA-256.
func (p PublicKey) DeviceID() qpq.DeviceID {
	sum := sha256.Sum256(p[:])
	return qpq.DeviceID(sum[:16])
}

func kem() hpke.KEM { return hpke.MLKEM768X25519() }

func checkEncryptionKey(b []byte) error {
	if _, err := kem().NewPublicKey(b); err != nil {
		return fmt.Errorf("its encryption key is none: %w", err)
	}
	return nil
}
