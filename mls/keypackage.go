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

// LeafOptions is what a client says about itself in a leaf node besides who it is.
type LeafOptions struct {
	// Extensions are those of the leaf node. Their types must be among the Config's or default ones.
	Extensions Extensions
	// Capabilities replaces what the package would say: everything that it and the Config support.
	Capabilities *message.Capabilities
}

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

// newLeaf returns an unsigned leaf node.
func (c *Config) newLeaf(s *suite.Suite, identity Identity, key *suite.KeyPair, o LeafOptions) (*LeafNode, error) {
	capabilities := o.Capabilities
	if capabilities == nil {
		var err error
		if capabilities, err = c.capabilities(); err != nil {
			return nil, err
		}
	}
	return &LeafNode{EncryptionKey: key.Public(), SignatureKey: identity.Key.Public(), Credential: identity.Credential,
		Capabilities: capabilities, Extensions: o.Extensions}, nil
}

// capabilities lists what this package and the application support.
func (c *Config) capabilities() (*message.Capabilities, error) {
	k := &message.Capabilities{
		Versions:    []message.ProtocolVersion{message.MLS10},
		Extensions:  append([]message.ExtensionType{message.ExtensionAppDataDictionary, message.ExtensionLastResort}, c.Extensions...),
		Proposals:   append([]message.ProposalType{message.ProposalAppEphemeral, message.ProposalSelfRemove}, c.Proposals...),
		Credentials: []message.CredentialType{message.CredentialBasic, message.CredentialX509},
	}
	if c.AppData != nil {
		k.Proposals = append(k.Proposals, message.ProposalAppDataUpdate)
	}
	for _, id := range suite.All(uint16(c.HybridSuite)) {
		k.CipherSuites = append(k.CipherSuites, CipherSuite(id))
	}
	if c.NoGREASE {
		return k, nil
	}
	var b [4]byte
	if err := c.random(b[:]); err != nil {
		return nil, err
	}
	value := func(b byte) uint16 { v := uint16(b%15)<<4 | 0x0a; return v<<8 | v }
	k.CipherSuites = append(k.CipherSuites, CipherSuite(value(b[0])))
	k.Extensions = append(k.Extensions, message.ExtensionType(value(b[1])))
	k.Proposals = append(k.Proposals, message.ProposalType(value(b[2])))
	k.Credentials = append(k.Credentials, message.CredentialType(value(b[3])))
	return k, nil
}

// grease returns the first GREASE value of a list.
func grease[T ~uint16](list []T) (T, bool) {
	for _, v := range list {
		if message.IsGREASE(v) {
			return v, true
		}
	}
	return 0, false
}

func signLeaf(c *Config, s *suite.Suite, key *suite.Signer, n *LeafNode, groupID []byte, l LeafIndex) (err error) {
	n.Signature, err = s.SignWithLabel(key, c.Rand, "LeafNodeTBS", n.AppendTBS(nil, groupID, l))
	return err
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
