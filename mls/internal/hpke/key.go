package hpke

import (
	"bytes"
	"crypto/subtle"
	"fmt"
	"io"
)

// KeyPair is a parsed private key with its public key. It cannot be printed. It is safe for concurrent use until Wipe.
type KeyPair struct {
	pub    []byte
	secret func() *secret // a function, so that fmt finds an address even in an unexported field of another struct
}

type secret struct {
	kem    KEM
	raw    []byte // as SerializePrivateKey
	parsed any    // nil, a hybridKey, or what the standard library parsed
}

func newKeyPair(kem KEM, priv, pub []byte, parsed any) *KeyPair {
	s := &secret{kem: kem, raw: priv, parsed: parsed}
	return &KeyPair{pub: pub, secret: func() *secret { return s }}
}

// Public returns the public key, not a copy: it must not be changed.
func (k *KeyPair) Public() []byte { return k.pub }

// Bytes returns a copy of the private key as SerializePrivateKey writes it, nil after Wipe. X25519 and X448 keys are clamped
// (RFC 9180 section 7.1.2), so they may differ in these bits from what was parsed.
func (k *KeyPair) Bytes() []byte { return bytes.Clone(k.secret().raw) }

// Equal reports in constant time whether both hold the same private key; wiped key pairs equal nothing.
func (k *KeyPair) Equal(other *KeyPair) bool {
	a, b := k.secret(), other.secret()
	return a.kem == b.kem && len(a.raw) > 0 && subtle.ConstantTimeCompare(a.raw, b.raw) == 1
}

// Wipe overwrites the private key; what the standard library parsed from it can only be released. It must not run beside
// another use of the key pair.
func (k *KeyPair) Wipe() {
	s := k.secret()
	clear(s.raw)
	if k, ok := s.parsed.(*hybridKey); ok {
		clear(k.dh[:])
	}
	s.raw, s.parsed = nil, nil
}

// Format prints a placeholder for every verb.
func (k KeyPair) Format(f fmt.State, _ rune) { io.WriteString(f, "[HPKE key pair]") }

// MarshalText returns a placeholder, for encoding/json and log/slog.
func (k KeyPair) MarshalText() ([]byte, error) { return []byte("[HPKE key pair]"), nil }

// of returns the private part if it is a live key of the KEM.
func (k *KeyPair) of(kem KEM) (*secret, error) {
	if k != nil {
		if s := k.secret(); s.kem == kem && s.raw != nil {
			return s, nil
		}
	}
	return nil, fmt.Errorf("%w: wiped, or of another KEM than %#04x", ErrPrivateKey, uint16(kem))
}
