package suite

import (
	"fmt"
	"io"

	"github.com/quicproquo/qpq/mls/internal/codec"
	"github.com/quicproquo/qpq/mls/internal/hpke"
)

// Errors that callers test with [errors.Is].
var (
	// ErrPublicKey means that an HPKE public key or KEM output has the wrong length, is not on the curve, or has low order.
	ErrPublicKey = hpke.ErrPublicKey
	// ErrPrivateKey means that an HPKE private key is malformed, wiped, or does not match suite or public key.
	ErrPrivateKey = hpke.ErrPrivateKey
	// ErrOpen means that a ciphertext is not authentic for the key and context it was opened with.
	ErrOpen = hpke.ErrOpen
	// ErrLength means that a key, a nonce, a content or a requested output has a length the algorithm does not have.
	ErrLength = hpke.ErrLength
)

// KeyPair is a parsed HPKE private key with its public key. It cannot be printed, and is safe for concurrent use until Wipe.
type KeyPair = hpke.KeyPair

// GenerateKeyPair returns a new HPKE key pair drawn from rand; nil means crypto/rand.
func (s *Suite) GenerateKeyPair(rand io.Reader) (*KeyPair, error) {
	return s.hpke.GenerateKeyPair(rand)
}

// DeriveKeyPair derives the HPKE key pair of a secret (RFC 9180 section 7.1.3).
func (s *Suite) DeriveKeyPair(ikm []byte) (*KeyPair, error) { return s.hpke.DeriveKeyPair(ikm) }

// NewKeyPair parses a private key as KeyPair.Bytes returns it, or [ErrPrivateKey]. A nil pub is computed. For X25519 and X448
// a given one is trusted but for its length, and a wrong one makes a key pair that opens nothing; for all others it is compared.
func (s *Suite) NewKeyPair(priv, pub []byte) (*KeyPair, error) { return s.hpke.NewKeyPair(priv, pub) }

// CheckPublicKey returns [ErrPublicKey] unless pub can be encrypted to: the right length, on the curve, not of low order.
func (s *Suite) CheckPublicKey(pub []byte) error { return s.hpke.Check(pub) }

// PublicKeySize returns the length of an HPKE public key in bytes.
func (s *Suite) PublicKeySize() int { return s.hpke.PublicKeySize() }

// EncryptWithLabel encrypts to an HPKE public key (RFC 9420 section 5.1.3). Of rand, where nil means crypto/rand,
// comes the ephemeral key of X25519 and X448; for ML-KEM and the NIST curves the standard library draws its own.
func (s *Suite) EncryptWithLabel(rand io.Reader, pub []byte, label string, context, plaintext []byte) (kemOutput, ciphertext []byte, err error) {
	e, err := s.Encryption(label, context)
	if err != nil {
		return nil, nil, err
	}
	return e.Encrypt(rand, pub, plaintext)
}

// Encryption is EncryptWithLabel for any number of messages of one label and context, which is hashed once.
type Encryption struct {
	suite *Suite
	info  hpke.Info
}

// Encryption returns what encrypts under a label and context.
func (s *Suite) Encryption(label string, context []byte) (*Encryption, error) {
	if err := fits(context); err != nil {
		return nil, err
	}
	return &Encryption{s, s.hpke.Info(labelled(label, context))}, nil
}

// Encrypt encrypts one message, as EncryptWithLabel. It is safe for concurrent use if rand is.
func (e *Encryption) Encrypt(rand io.Reader, pub, plaintext []byte) (kemOutput, ciphertext []byte, err error) {
	return e.suite.hpke.SealInfo(rand, pub, e.info, nil, plaintext)
}

// DecryptWithLabel decrypts what EncryptWithLabel returned. Bad input gives [ErrPublicKey] for the KEM output and [ErrOpen]
// for the ciphertext, the label or the context.
func (s *Suite) DecryptWithLabel(k *KeyPair, label string, context, kemOutput, ciphertext []byte) ([]byte, error) {
	if err := fits(context); err != nil {
		return nil, err
	}
	return s.hpke.Open(k, kemOutput, labelled(label, context), nil, ciphertext)
}

// EncapExport shares a secret of n bytes with the holder of pub, as an external join does (RFC 9420 section 8.3). Of rand
// holds what EncryptWithLabel says.
func (s *Suite) EncapExport(rand io.Reader, pub, info, exporterContext []byte, n int) (kemOutput, secret []byte, err error) {
	return s.hpke.SendExport(rand, pub, info, exporterContext, n)
}

// DecapExport recovers the secret that EncapExport returned.
func (s *Suite) DecapExport(k *KeyPair, kemOutput, info, exporterContext []byte, n int) ([]byte, error) {
	return s.hpke.ReceiveExport(k, kemOutput, info, exporterContext, n)
}

func fits(content []byte) error {
	if len(content) > codec.MaxVector {
		return fmt.Errorf("%w: content of %d bytes, at most %d", ErrLength, len(content), codec.MaxVector)
	}
	return nil
}
