package mls

import (
	"github.com/quicproquo/qpq/mls/internal/suite"
	"github.com/quicproquo/qpq/mls/message"
)

// LeafOptions is what a client says about itself in a leaf node besides who it is.
type LeafOptions struct {
	// Extensions are those of the leaf node. Their types must be among the Config's or default ones.
	Extensions Extensions
	// Capabilities replaces what the package would say: everything that it and the Config support.
	Capabilities *message.Capabilities
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
