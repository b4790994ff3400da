// Package hpke is single-shot HPKE in base mode (RFC 9180) for the key encapsulation mechanisms of MLS: its own, fast ones for
// X25519, X448 and MLKEM768-X25519, and the standard library's for the NIST curves.
package hpke

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
)

// Errors that callers test with [errors.Is].
var (
	// ErrPublicKey means that a public key or an encapsulated key has the wrong length, is not on the curve, or has low order.
	ErrPublicKey = errors.New("invalid HPKE public key")
	// ErrPrivateKey means that a private key is malformed, wiped, does not match its public key, or belongs to another KEM.
	ErrPrivateKey = errors.New("invalid HPKE private key")
	// ErrOpen means that a ciphertext is not authentic for the key, nonce and additional data it was opened with.
	ErrOpen = errors.New("ciphertext does not authenticate")
	// ErrLength means that a key, a nonce or a requested output has a length the algorithm does not have.
	ErrLength = errors.New("wrong length")
)

// KEM is a key encapsulation mechanism by its number in the HPKE registry of IANA.
type KEM uint16

// The mechanisms that this package implements.
const (
	P256           KEM = 0x0010
	P384           KEM = 0x0011
	P521           KEM = 0x0012
	X25519         KEM = 0x0020
	X448           KEM = 0x0021
	MLKEM768X25519 KEM = 0x647a
)

// kem is a key encapsulation mechanism together with the key schedule of one ciphersuite.
type kem interface {
	check(pub []byte) error
	derive(ikm []byte) (*KeyPair, error)
	parse(priv, pub []byte) (*KeyPair, error)
	info(raw []byte) Info
	sender(rand io.Reader, pub []byte, info Info) (enc []byte, s sender, err error)
	recipient(k *KeyPair, enc []byte, info Info) (recipient, error)
}

type sender interface {
	Seal(aad, plaintext []byte) ([]byte, error)
	Export(exporterContext string, n int) ([]byte, error)
}

type recipient interface {
	Open(aad, ciphertext []byte) ([]byte, error)
	Export(exporterContext string, n int) ([]byte, error)
}

// sizes of a KEM in bytes, by the names of RFC 9180 section 7.1.
type sizes struct{ enc, pk, sk int }

// Suite is one HPKE ciphersuite. It is immutable and safe for concurrent use.
type Suite struct {
	sizes
	kdf KDF
	kem kem
}

// New returns the ciphersuite of three registered algorithms. It panics if this package lacks one of them.
func New(id KEM, kdf KDF, aead AEAD) Suite {
	switch id {
	case X25519:
		return newDHKEM(id, HKDFSHA256, curve25519{}, kdf, aead)
	case X448:
		return newDHKEM(id, HKDFSHA512, curve448{}, kdf, aead)
	case MLKEM768X25519:
		return newHybrid(kdf, aead)
	default:
		return newStandard(id, kdf, aead)
	}
}

// PublicKeySize returns the length of a public key, Npk.
func (s *Suite) PublicKeySize() int { return s.pk }

// EncSize returns the length of an encapsulated key, Nenc.
func (s *Suite) EncSize() int { return s.enc }

// Check returns [ErrPublicKey] unless pub has the right length, is on the curve and, for X25519 and X448 also as a part of a
// hybrid, has no low order (RFC 9180 section 7.1.4). A key that passes can be encapsulated to.
func (s *Suite) Check(pub []byte) error {
	if len(pub) != s.pk {
		return fmt.Errorf("%w: %d bytes, want %d", ErrPublicKey, len(pub), s.pk)
	}
	return s.kem.check(pub)
}

// GenerateKeyPair derives a key pair from Nsk bytes of rand; nil means crypto/rand.
func (s *Suite) GenerateKeyPair(rand io.Reader) (*KeyPair, error) {
	ikm := make([]byte, s.sk)
	defer clear(ikm)
	if _, err := io.ReadFull(reader(rand), ikm); err != nil {
		return nil, fmt.Errorf("draw HPKE key: %w", err)
	}
	return s.kem.derive(ikm)
}

// DeriveKeyPair derives a key pair from secret keying material of at least Nsk bytes of entropy (RFC 9180 section 7.1.3).
func (s *Suite) DeriveKeyPair(ikm []byte) (*KeyPair, error) { return s.kem.derive(ikm) }

// NewKeyPair parses a private key as SerializePrivateKey writes it. For X25519 and X448 a given pub is trusted, which saves
// computing it: a wrong one makes a key pair that opens nothing. All others compute pub and return [ErrPrivateKey] if the
// given one differs.
func (s *Suite) NewKeyPair(priv, pub []byte) (*KeyPair, error) {
	if pub != nil && len(pub) != s.pk {
		return nil, fmt.Errorf("%w: %d bytes, want %d", ErrPublicKey, len(pub), s.pk)
	}
	return s.kem.parse(priv, pub)
}

// Info is the application's information about a message. It may serve any number of messages, and is hashed only once: in a
// large group it is a whole ratchet tree, and the messages are as many as its members.
type Info struct{ raw, hash []byte }

// Info returns raw as an Info for this suite. It keeps raw.
func (s *Suite) Info(raw []byte) Info { return s.kem.info(raw) }

// Seal encrypts one message to pub (SealBase of RFC 9180 section 6.1). Of rand, where nil means crypto/rand, comes the
// ephemeral key of X25519 and X448, also as a part of a hybrid; for ML-KEM and the NIST curves the standard library draws its own.
func (s *Suite) Seal(rand io.Reader, pub, info, aad, plaintext []byte) (enc, ciphertext []byte, err error) {
	return s.SealInfo(rand, pub, s.Info(info), aad, plaintext)
}

// SealInfo is Seal with an Info.
func (s *Suite) SealInfo(rand io.Reader, pub []byte, info Info, aad, plaintext []byte) (enc, ciphertext []byte, err error) {
	enc, ctx, err := s.send(rand, pub, info)
	if err != nil {
		return nil, nil, err
	}
	ciphertext, err = ctx.Seal(aad, plaintext)
	return enc, ciphertext, err
}

// Open decrypts what Seal returned (OpenBase of RFC 9180 section 6.1).
func (s *Suite) Open(k *KeyPair, enc, info, aad, ciphertext []byte) ([]byte, error) {
	ctx, err := s.receive(k, enc, info)
	if err != nil {
		return nil, err
	}
	plaintext, err := ctx.Open(aad, ciphertext)
	if err != nil {
		return nil, ErrOpen
	}
	return plaintext, nil
}

// SendExport shares a secret of n bytes with the holder of pub (SendExportBase of RFC 9180 section 6.2), or returns
// [ErrLength] if n exceeds 255 hashes. Of rand holds what Seal says.
func (s *Suite) SendExport(rand io.Reader, pub, info, exporterContext []byte, n int) (enc, secret []byte, err error) {
	if err := s.exportable(n); err != nil {
		return nil, nil, err
	}
	enc, ctx, err := s.send(rand, pub, s.Info(info))
	if err != nil {
		return nil, nil, err
	}
	secret, err = ctx.Export(string(exporterContext), n)
	return enc, secret, err
}

// ReceiveExport recovers the secret that SendExport returned.
func (s *Suite) ReceiveExport(k *KeyPair, enc, info, exporterContext []byte, n int) ([]byte, error) {
	if err := s.exportable(n); err != nil {
		return nil, err
	}
	ctx, err := s.receive(k, enc, info)
	if err != nil {
		return nil, err
	}
	return ctx.Export(string(exporterContext), n)
}

func (s *Suite) send(rand io.Reader, pub []byte, info Info) ([]byte, sender, error) {
	if len(pub) != s.pk {
		return nil, nil, fmt.Errorf("%w: %d bytes, want %d", ErrPublicKey, len(pub), s.pk)
	}
	return s.kem.sender(reader(rand), pub, info)
}

func (s *Suite) receive(k *KeyPair, enc, info []byte) (recipient, error) {
	if len(enc) != s.enc {
		return nil, fmt.Errorf("%w: encapsulated key of %d bytes, want %d", ErrPublicKey, len(enc), s.enc)
	}
	return s.kem.recipient(k, enc, s.Info(info))
}

func (s *Suite) exportable(n int) error {
	if n < 0 || n > 255*s.kdf.Size() {
		return fmt.Errorf("%w: export of %d bytes, at most %d", ErrLength, n, 255*s.kdf.Size())
	}
	return nil
}

func reader(r io.Reader) io.Reader {
	if r == nil {
		return rand.Reader
	}
	return r
}
