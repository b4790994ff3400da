package mls

import (
	"bytes"
	"fmt"
	"io"

	"github.com/quicproquo/qpq/mls/internal/suite"
)

// SignatureKey is a client's private signature key. It cannot be printed.
type SignatureKey struct {
	suite  *suite.Suite
	signer *suite.Signer
}

// NewSignatureKey generates a signature key for a cipher suite.
func NewSignatureKey(c Config, id CipherSuite) (*SignatureKey, error) {
	s, err := c.suite(id)
	if err != nil {
		return nil, err
	}
	k, err := s.GenerateSigner(c.Rand)
	return &SignatureKey{s, k}, err
}

// ParseSignatureKey returns the signature key with the given private encoding: the seed of Ed25519
// and Ed448, the big-endian scalar of ECDSA.
func ParseSignatureKey(c Config, id CipherSuite, private []byte) (*SignatureKey, error) {
	s, err := c.suite(id)
	if err != nil {
		return nil, err
	}
	k, err := s.NewSigner(private)
	return &SignatureKey{s, k}, err
}

// Public returns the public key as it is in leaf nodes.
func (k *SignatureKey) Public() []byte { return bytes.Clone(k.signer.Public()) }

// Bytes returns the private encoding, a secret for the caller to guard and wipe.
func (k *SignatureKey) Bytes() []byte { return k.signer.Bytes() }

// Wipe erases the key. Groups that use it can no longer send.
func (k *SignatureKey) Wipe() { k.signer.Wipe() }

// Format keeps the key out of logs.
func (k SignatureKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[signature key]") }

// Identity is who a client is in a group: a credential and the key that it is for.
type Identity struct {
	Credential Credential
	Key        *SignatureKey
}
