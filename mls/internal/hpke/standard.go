package hpke

import (
	"bytes"
	"crypto/hpke"
	"crypto/subtle"
	"fmt"
	"io"
)

// standard is a ciphersuite of the standard library.
type standard struct {
	sizes
	id   KEM
	kem  hpke.KEM
	kdf  hpke.KDF
	aead hpke.AEAD
}

func newStandard(id KEM, kdf KDF, aead AEAD) Suite {
	s := &standard{
		id:   id,
		kem:  must(hpke.NewKEM(uint16(id))),
		kdf:  must(hpke.NewKDF(uint16(kdf))),
		aead: must(hpke.NewAEAD(uint16(aead))),
	}
	switch id {
	case P256:
		s.sizes = sizes{enc: 65, pk: 65, sk: 32}
	case P384:
		s.sizes = sizes{enc: 97, pk: 97, sk: 48}
	case P521:
		s.sizes = sizes{enc: 133, pk: 133, sk: 66}
	default:
		panic(fmt.Sprintf("hpke: no sizes of KEM %#04x", uint16(id)))
	}
	return Suite{sizes: s.sizes, kdf: kdf, kem: s}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func (s *standard) check(pub []byte) error {
	_, err := s.public(pub)
	return err
}

func (s *standard) public(pub []byte) (hpke.PublicKey, error) {
	k, err := s.kem.NewPublicKey(pub)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPublicKey, err)
	}
	return k, nil
}

func (s *standard) derive(ikm []byte) (*KeyPair, error) {
	k, err := s.kem.DeriveKeyPair(ikm)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPrivateKey, err)
	}
	raw, err := k.Bytes()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPrivateKey, err)
	}
	return newKeyPair(s.id, raw, k.PublicKey().Bytes(), k), nil
}

// parse tolerates a scalar without its leading zeros, as some implementations write it.
func (s *standard) parse(priv, pub []byte) (*KeyPair, error) {
	if n := s.sizes.sk - len(priv); n > 0 && len(priv) > 0 {
		priv = append(make([]byte, n, s.sizes.sk), priv...)
		defer clear(priv)
	}
	k, err := s.kem.NewPrivateKey(priv)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPrivateKey, err)
	}
	own := k.PublicKey().Bytes()
	if pub != nil && subtle.ConstantTimeCompare(own, pub) == 0 {
		return nil, fmt.Errorf("%w: of another public key", ErrPrivateKey)
	}
	return newKeyPair(s.id, bytes.Clone(priv), own, k), nil
}

// info is not hashed beforehand: the standard library hashes it for each message.
func (*standard) info(raw []byte) Info { return Info{raw: raw} }

func (s *standard) sender(_ io.Reader, pub []byte, info Info) ([]byte, sender, error) {
	k, err := s.public(pub)
	if err != nil {
		return nil, nil, err
	}
	enc, ctx, err := hpke.NewSender(k, s.kdf, s.aead, info.raw)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrPublicKey, err)
	}
	return enc, ctx, nil
}

func (s *standard) recipient(k *KeyPair, enc []byte, info Info) (recipient, error) {
	priv, err := k.of(s.id)
	if err != nil {
		return nil, err
	}
	ctx, err := hpke.NewRecipient(enc, priv.parsed.(hpke.PrivateKey), s.kdf, s.aead, info.raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPublicKey, err)
	}
	return ctx, nil
}
