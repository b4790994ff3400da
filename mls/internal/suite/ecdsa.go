package suite

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"fmt"
	"io"

	"github.com/quicproquo/qpq/mls/internal/hpke"
)

// ecdsaScheme is ECDSA with DER-encoded signatures and uncompressed points.
type ecdsaScheme struct {
	curve elliptic.Curve
	hash  hpke.KDF
	size  int // of a scalar in bytes
}

var (
	ecdsaP256 = ecdsaScheme{elliptic.P256(), hpke.HKDFSHA256, 32}
	ecdsaP384 = ecdsaScheme{elliptic.P384(), hpke.HKDFSHA384, 48}
	ecdsaP521 = ecdsaScheme{elliptic.P521(), hpke.HKDFSHA512, 66}
)

func (e ecdsaScheme) parse(priv []byte) (*Signer, error) {
	significant := bytes.TrimLeft(priv, "\x00")
	if len(significant) > e.size {
		return nil, fmt.Errorf("%w: private key of %d bytes, want %d", ErrSignatureKey, len(priv), e.size)
	}
	raw := make([]byte, e.size)
	copy(raw[e.size-len(significant):], significant)
	key, err := ecdsa.ParseRawPrivateKey(e.curve, raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSignatureKey, err)
	}
	pub, err := key.PublicKey.Bytes()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSignatureKey, err)
	}
	return newSigner(e, pub, raw, key), nil
}

// generate draws scalars until one is in range (FIPS 186-5 appendix A.2.2). A source that yields none in 64 is broken.
func (e ecdsaScheme) generate(rand io.Reader) (*Signer, error) {
	candidate := make([]byte, e.size)
	defer clear(candidate)
	for range 64 {
		if _, err := io.ReadFull(rand, candidate); err != nil {
			return nil, fmt.Errorf("draw signature key: %w", err)
		}
		if excess := 8*e.size - e.curve.Params().BitSize; excess > 0 {
			candidate[0] &= 0xff >> excess
		}
		if k, err := e.parse(candidate); err == nil {
			return k, nil
		}
	}
	return nil, fmt.Errorf("draw signature key: %w: no scalar in range from this source of randomness", ErrSignatureKey)
}

func (e ecdsaScheme) public(pub []byte) (*ecdsa.PublicKey, error) {
	key, err := ecdsa.ParseUncompressedPublicKey(e.curve, pub)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSignatureKey, err)
	}
	return key, nil
}

func (e ecdsaScheme) sign(k *signerSecret, rand io.Reader, message []byte) ([]byte, error) {
	return ecdsa.SignASN1(rand, k.key.(*ecdsa.PrivateKey), e.hash.AppendHash(nil, message))
}

func (e ecdsaScheme) verify(pub, message, sig []byte) error {
	key, err := e.public(pub)
	if err != nil {
		return err
	}
	if !ecdsa.VerifyASN1(key, e.hash.AppendHash(nil, message), sig) {
		return ErrSignature
	}
	return nil
}
