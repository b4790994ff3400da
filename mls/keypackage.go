package mls

import (
	"bytes"
	"fmt"
	"io"
	"time"

	"github.com/quicproquo/qpq/mls/internal/codec"
	"github.com/quicproquo/qpq/mls/internal/suite"
	"github.com/quicproquo/qpq/mls/message"
)

// KeyPackageOptions is what a key package can be given.
type KeyPackageOptions struct {
	Leaf       LeafOptions
	Extensions Extensions
	LastResort bool // may be used more than once, when there is no other
	// NotBefore is when the lifetime starts. Zero is an hour ago, for clocks that run behind.
	NotBefore time.Time
	// Lifetime replaces the Config's.
	Lifetime time.Duration
}

// KeyPackageBundle is a key package with its private keys. It cannot be printed.
type KeyPackageBundle struct {
	KeyPackage *KeyPackage
	suite      *suite.Suite
	key        *SignatureKey
	init       *suite.KeyPair
	encryption *suite.KeyPair
}

// NewKeyPackage makes a key package for others to add this client to a group with. Its private keys
// are to be stored (Marshal) before it is published, and erased (Wipe) when it was used, unless it is
// one of last resort.
func NewKeyPackage(config Config, id CipherSuite, identity Identity, options KeyPackageOptions) (*KeyPackageBundle, error) {
	c, err := config.filled()
	if err != nil {
		return nil, err
	}
	s, err := c.suite(id)
	if err != nil {
		return nil, err
	}
	if identity.Key == nil || identity.Key.suite.ID() != s.ID() {
		return nil, fmt.Errorf("%w: the signature key is missing or for another suite", ErrConfig)
	}
	b := &KeyPackageBundle{suite: s, key: identity.Key}
	if b.init, err = s.GenerateKeyPair(c.Rand); err != nil {
		return nil, err
	}
	if b.encryption, err = s.GenerateKeyPair(c.Rand); err != nil {
		return nil, err
	}
	leaf, err := c.newLeaf(s, identity, b.encryption, options.Leaf)
	if err != nil {
		return nil, err
	}
	leaf.Source = message.SourceKeyPackage
	leaf.Lifetime = c.lifetime(options)
	if err := signLeaf(c, s, identity.Key.signer, leaf, nil, 0); err != nil {
		return nil, err
	}
	k := &KeyPackage{Version: message.MLS10, CipherSuite: id, InitKey: b.init.Public(), LeafNode: leaf, Extensions: options.Extensions}
	if options.LastResort {
		k.Extensions = k.Extensions.With(message.ExtensionLastResort, []byte{})
	}
	if g, ok := grease(leaf.Capabilities.Extensions); ok {
		k.Extensions = k.Extensions.With(g, []byte{})
	}
	if k.Signature, err = s.SignWithLabel(b.key.signer, c.Rand, "KeyPackageTBS", k.AppendTBS(nil)); err != nil {
		return nil, err
	}
	b.KeyPackage = k
	return b, c.rules(s).CheckKeyPackage(k)
}

func (c *Config) lifetime(o KeyPackageOptions) message.Lifetime {
	start, length := o.NotBefore, o.Lifetime
	if length == 0 {
		length = c.Lifetime
	}
	if start.IsZero() {
		start = c.Clock().Add(-time.Hour)
	}
	return message.NewLifetime(start, start.Add(length))
}

// Message returns the key package as an MLS message, to publish.
func (b *KeyPackageBundle) Message() []byte {
	return (&message.Message{KeyPackage: b.KeyPackage}).Marshal()
}

// Ref returns the reference by which a welcome names the key package (RFC 9420, section 5.2).
func (b *KeyPackageBundle) Ref() []byte { return keyPackageRef(b.suite, b.KeyPackage) }

func keyPackageRef(s *suite.Suite, k *KeyPackage) []byte {
	return s.RefHash("MLS 1.0 KeyPackage Reference", k.Append(nil))
}

// Wipe erases the private keys of the key package, not the signature key.
func (b *KeyPackageBundle) Wipe() {
	b.init.Wipe()
	b.encryption.Wipe()
}

// Marshal returns an encoding of the bundle, a secret for the caller to guard.
func (b *KeyPackageBundle) Marshal() []byte {
	out := codec.AppendVec(nil, b.KeyPackage.Append(nil))
	for _, secret := range [][]byte{b.init.Bytes(), b.encryption.Bytes(), b.key.Bytes()} {
		out = codec.AppendVec(out, secret)
		clear(secret)
	}
	return out
}

// UnmarshalKeyPackageBundle decodes what Marshal returned.
func UnmarshalKeyPackageBundle(c Config, data []byte) (*KeyPackageBundle, error) {
	d := codec.NewDecoder(data)
	encoded, init, encryption, key := d.Vec(), d.Vec(), d.Vec(), d.Vec()
	if err := d.Done(); err != nil {
		return nil, fmt.Errorf("decode key package bundle: %w", err)
	}
	k, err := message.UnmarshalKeyPackage(bytes.Clone(encoded))
	if err != nil {
		return nil, err
	}
	return ImportKeyPackageBundle(c, k, init, encryption, key)
}

// ImportKeyPackageBundle puts a key package and its private keys together, as they come from elsewhere:
// another implementation, or a test vector. They must belong together.
func ImportKeyPackageBundle(c Config, k *KeyPackage, initKey, encryptionKey, signatureKey []byte) (*KeyPackageBundle, error) {
	s, err := c.suite(k.CipherSuite)
	if err != nil {
		return nil, err
	}
	b := &KeyPackageBundle{KeyPackage: k, suite: s}
	if b.key, err = ParseSignatureKey(c, k.CipherSuite, signatureKey); err != nil {
		return nil, err
	}
	if b.init, err = s.NewKeyPair(initKey, nil); err != nil {
		return nil, err
	}
	if b.encryption, err = s.NewKeyPair(encryptionKey, nil); err != nil {
		return nil, err
	}
	if !bytes.Equal(b.init.Public(), k.InitKey) || !bytes.Equal(b.encryption.Public(), k.LeafNode.EncryptionKey) ||
		!bytes.Equal(b.key.signer.Public(), k.LeafNode.SignatureKey) {
		return nil, fmt.Errorf("%w: it does not belong to the private keys", ErrKeyPackage)
	}
	return b, nil
}

// Format keeps the keys out of logs.
func (b KeyPackageBundle) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "[key package bundle]")
}

// ParseKeyPackage decodes and verifies a key package that somebody published, as an MLS message or
// bare. Its lifetime must include the present. It aliases data, which must not be changed.
func ParseKeyPackage(config Config, data []byte) (*KeyPackage, error) {
	c, err := config.filled()
	if err != nil {
		return nil, err
	}
	k, err := parse(c, data, ErrKeyPackage, func(m *message.Message) *KeyPackage { return m.KeyPackage }, message.UnmarshalKeyPackage)
	if err != nil {
		return nil, err
	}
	return k, c.checkKeyPackage(k)
}

// checkKeyPackage verifies a key package before it is used to add somebody.
func (c *Config) checkKeyPackage(k *KeyPackage) error {
	s, err := c.suite(k.CipherSuite)
	if err != nil {
		return err
	}
	if !k.LeafNode.Lifetime.Contains(c.Clock()) {
		return fmt.Errorf("%w: %w: its time has not come or has passed", ErrKeyPackage, ErrLifetime)
	}
	return c.rules(s).CheckKeyPackage(k)
}
