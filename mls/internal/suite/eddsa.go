package suite

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"io"

	"github.com/cloudflare/circl/sign/ed448"
)

// ed25519Scheme verifies one signature at a time: batch verification accepts others than single verification does, and
// members would disagree.
type ed25519Scheme struct{}

func (e ed25519Scheme) parse(priv []byte) (*Signer, error) {
	return parseEdDSA(e, priv, ed25519.SeedSize, func(seed []byte) []byte { return ed25519.NewKeyFromSeed(seed) })
}

func (e ed25519Scheme) generate(rand io.Reader) (*Signer, error) {
	return generateEdDSA(e, rand, ed25519.SeedSize)
}

func (ed25519Scheme) sign(k *signerSecret, _ io.Reader, message []byte) ([]byte, error) {
	return ed25519.Sign(k.key.([]byte), message), nil
}

func (ed25519Scheme) verify(pub, message, sig []byte) error {
	if len(pub) != ed25519.PublicKeySize {
		return fmt.Errorf("%w: %d bytes, want %d", ErrSignatureKey, len(pub), ed25519.PublicKeySize)
	}
	if !ed25519.Verify(pub, message, sig) {
		return ErrSignature
	}
	return nil
}

type ed448Scheme struct{}

func (e ed448Scheme) parse(priv []byte) (*Signer, error) {
	return parseEdDSA(e, priv, ed448.SeedSize, func(seed []byte) []byte { return ed448.NewKeyFromSeed(seed) })
}

func (e ed448Scheme) generate(rand io.Reader) (*Signer, error) {
	return generateEdDSA(e, rand, ed448.SeedSize)
}

func (ed448Scheme) sign(k *signerSecret, _ io.Reader, message []byte) ([]byte, error) {
	return ed448.Sign(k.key.([]byte), message, ""), nil
}

func (ed448Scheme) verify(pub, message, sig []byte) error {
	if len(pub) != ed448.PublicKeySize {
		return fmt.Errorf("%w: %d bytes, want %d", ErrSignatureKey, len(pub), ed448.PublicKeySize)
	}
	if !ed448.Verify(pub, message, sig, "") {
		return ErrSignature
	}
	return nil
}

// parseEdDSA expands a seed to seed and public key. A public key that came along must be that one: signing with another
// reveals the private key.
func parseEdDSA(scheme signature, priv []byte, seedSize int, expand func(seed []byte) []byte) (*Signer, error) {
	if len(priv) != seedSize && len(priv) != 2*seedSize {
		return nil, fmt.Errorf("%w: private key of %d bytes, want %d", ErrSignatureKey, len(priv), seedSize)
	}
	key := expand(priv[:seedSize])
	pub := bytes.Clone(key[seedSize:])
	if len(priv) > seedSize && !bytes.Equal(priv[seedSize:], pub) {
		clear(key)
		return nil, fmt.Errorf("%w: private key with another public key", ErrSignatureKey)
	}
	return newSigner(scheme, pub, key[:seedSize:seedSize], key), nil
}

func generateEdDSA(scheme signature, rand io.Reader, seedSize int) (*Signer, error) {
	seed := make([]byte, seedSize)
	defer clear(seed)
	if _, err := io.ReadFull(rand, seed); err != nil {
		return nil, fmt.Errorf("draw signature key: %w", err)
	}
	return scheme.parse(seed)
}
