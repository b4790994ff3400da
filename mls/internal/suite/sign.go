package suite

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
)

// Errors of signatures that callers test with [errors.Is].
var (
	// ErrSignature means that a signature is not valid for key, label and content.
	ErrSignature = errors.New("invalid signature")
	// ErrSignatureKey means that a signature key is malformed, wiped, or of another scheme.
	ErrSignatureKey = errors.New("invalid signature key")
)

// signature is a signature scheme. Keys are in the encodings of MLS (RFC 9420 section 5.1.1).
type signature interface {
	// parse does not keep priv.
	parse(priv []byte) (*Signer, error)
	generate(rand io.Reader) (*Signer, error)
	sign(k *signerSecret, rand io.Reader, message []byte) ([]byte, error)
	verify(pub, message, sig []byte) error
}

// Signer is a parsed signature private key with its public key. It cannot be printed. It is safe for concurrent use until Wipe.
type Signer struct {
	pub    []byte
	secret func() *signerSecret // a function, so that fmt finds an address even in an unexported field of another struct
}

type signerSecret struct {
	scheme signature
	raw    []byte // the seed of EdDSA, the scalar of ECDSA
	key    any    // what the scheme parsed from it
}

func newSigner(scheme signature, pub, raw []byte, key any) *Signer {
	s := &signerSecret{scheme: scheme, raw: raw, key: key}
	return &Signer{pub: pub, secret: func() *signerSecret { return s }}
}

// Public returns the public key, not a copy: it must not be changed.
func (k *Signer) Public() []byte { return k.pub }

// Bytes returns a copy of the private key, nil after Wipe: the seed of EdDSA, the big-endian scalar of ECDSA.
func (k *Signer) Bytes() []byte { return bytes.Clone(k.secret().raw) }

// Equal reports in constant time whether both hold the same private key; wiped signers equal nothing.
func (k *Signer) Equal(other *Signer) bool {
	a, b := k.secret(), other.secret()
	return a.scheme == b.scheme && len(a.raw) > 0 && subtle.ConstantTimeCompare(a.raw, b.raw) == 1
}

// Wipe overwrites the private key; what the standard library parsed from an ECDSA key can only be released. It must not run
// beside another use of the signer.
func (k *Signer) Wipe() {
	s := k.secret()
	clear(s.raw)
	if expanded, ok := s.key.([]byte); ok {
		clear(expanded)
	}
	s.raw, s.key = nil, nil
}

// Format prints a placeholder for every verb.
func (k Signer) Format(f fmt.State, _ rune) { io.WriteString(f, "[signature key]") }

// MarshalText returns a placeholder, for encoding/json and log/slog.
func (k Signer) MarshalText() ([]byte, error) { return []byte("[signature key]"), nil }

// NewSigner parses a signature private key, or returns [ErrSignatureKey]: for EdDSA the seed, or the seed followed by its
// public key; for ECDSA the big-endian scalar, of which leading zeros may be missing or superfluous.
func (s *Suite) NewSigner(priv []byte) (*Signer, error) { return s.signature.parse(priv) }

// GenerateSigner returns a new signature key drawn from rand; nil means crypto/rand.
func (s *Suite) GenerateSigner(rand io.Reader) (*Signer, error) {
	return s.signature.generate(reader(rand))
}

// SignWithLabel signs content under a label (RFC 9420 section 5.1.2). EdDSA is deterministic; for ECDSA the standard library
// draws its own randomness. The parameter is there for schemes to come.
func (s *Suite) SignWithLabel(k *Signer, rand io.Reader, label string, content []byte) ([]byte, error) {
	if err := fits(content); err != nil {
		return nil, err
	}
	if k != nil {
		if secret := k.secret(); secret.scheme == s.signature && secret.raw != nil {
			return s.signature.sign(secret, reader(rand), labelled(label, content))
		}
	}
	return nil, fmt.Errorf("sign %q: %w: wiped, or not of suite %#04x", label, ErrSignatureKey, s.id)
}

// VerifyWithLabel returns [ErrSignatureKey] or [ErrSignature] unless sig is a signature of content under the label.
func (s *Suite) VerifyWithLabel(pub []byte, label string, content, sig []byte) error {
	if err := fits(content); err != nil {
		return err
	}
	if scheme, ok := s.signature.(ed25519Scheme); ok && len(content) <= onStack {
		return verifyShort(scheme, pub, label, content, sig)
	}
	return s.signature.verify(pub, labelled(label, content), sig)
}

// onStack is the longest content that is verified without an allocation, enough for a leaf node: a join verifies one for each
// member.
const onStack = 2048

// verifyShort calls the scheme by its type: what is handed to an interface counts as escaping.
func verifyShort(scheme ed25519Scheme, pub []byte, label string, content, sig []byte) error {
	var buf [onStack + 2*maxLabel]byte
	return scheme.verify(pub, appendLabelled(buf[:0], label, content), sig)
}

func reader(r io.Reader) io.Reader {
	if r == nil {
		return rand.Reader
	}
	return r
}
