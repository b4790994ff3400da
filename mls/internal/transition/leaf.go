package transition

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/quicproquo/qpq/mls/internal/tree"
	"github.com/quicproquo/qpq/mls/message"
)

// CheckLeafForm verifies what a leaf node tells of itself: its encryption key, its capabilities, the
// extensions it has and the suite of the group. The signature key is verified with the signature.
func (r *Rules) CheckLeafForm(n *message.LeafNode) error {
	if err := r.Suite.CheckPublicKey(n.EncryptionKey); err != nil {
		return fmt.Errorf("%w: encryption key: %w", ErrLeafNode, err)
	}
	for _, e := range n.Extensions {
		if !n.Capabilities.HasExtension(e.Type) {
			return fmt.Errorf("%w: extension %d is not among its capabilities", ErrLeafNode, e.Type)
		}
	}
	// Other implementations leave out suites that they do use. Where the suite protects against a
	// downgrade, none may.
	if r.Suite.Hybrid() && !n.Capabilities.HasCipherSuite(message.CipherSuite(r.Suite.ID())) {
		return fmt.Errorf("%w: %w: it lacks suite %#04x", ErrLeafNode, ErrCapabilities, r.Suite.ID())
	}
	if !slices.Contains(n.Capabilities.Versions, message.MLS10) {
		return fmt.Errorf("%w: %w: it lacks version 1.0", ErrLeafNode, ErrCapabilities)
	}
	if !n.Capabilities.HasCredential(n.Credential.Type) {
		return fmt.Errorf("%w: %w: it lacks its own type of credential", ErrLeafNode, ErrCapabilities)
	}
	return nil
}

// CheckLeafSignature verifies the signature of a leaf node.
func (r *Rules) CheckLeafSignature(n *message.LeafNode, groupID []byte, l message.LeafIndex) error {
	var scratch [2048]byte // also for the hybrid suite
	if err := r.Suite.VerifyWithLabel(n.SignatureKey, "LeafNodeTBS", n.AppendTBS(scratch[:0], groupID, l), n.Signature); err != nil {
		return fmt.Errorf("%w: %w: %w", ErrLeafNode, ErrSignature, err)
	}
	return nil
}

// CheckCredential asks the application about a leaf's credential.
func (r *Rules) CheckCredential(n *message.LeafNode) error {
	if r.Credential == nil {
		return nil
	}
	if err := r.Credential(n.Credential, n.SignatureKey); err != nil {
		return fmt.Errorf("%w: %w", ErrCredential, err)
	}
	return nil
}

// CheckNewCredential asks the application about the credential of a leaf node that replaces old, and whether it
// may. Of the credential and key that old has it is not asked again: they may have expired since, and members who read a commit at
// different times must agree (RFC 9420, sections 5.3.1 and 5.3.2).
func (r *Rules) CheckNewCredential(old, n *message.LeafNode) error {
	same := old.Credential.Equal(n.Credential)
	if same && bytes.Equal(old.SignatureKey, n.SignatureKey) {
		return nil
	}
	if err := r.CheckCredential(n); err != nil {
		return err
	}
	if r.Successor != nil && !same {
		if err := r.Successor(old.Credential, n.Credential); err != nil {
			return fmt.Errorf("%w: %w", ErrCredential, err)
		}
	}
	return nil
}

// CheckLeaf verifies a leaf node that enters the tree at l from the given source (RFC 9420, section
// 7.3), but for what depends on the other members.
func (r *Rules) CheckLeaf(n *message.LeafNode, source message.LeafNodeSource, groupID []byte, l message.LeafIndex) error {
	if err := r.CheckLeafForm(n); err != nil {
		return err
	}
	if err := r.checkSigned(n, source, groupID, l, nil); err != nil {
		return err
	}
	return r.CheckCredential(n)
}

// checkSigned verifies a leaf node whose form was verified, which takes the place of old, if that is not nil.
func (r *Rules) checkSigned(n *message.LeafNode, source message.LeafNodeSource, groupID []byte, l message.LeafIndex, old *message.LeafNode) error {
	if n.Source != source {
		return fmt.Errorf("%w: source %d where %d belongs", ErrLeafNode, n.Source, source)
	}
	if old != nil && bytes.Equal(old.EncryptionKey, n.EncryptionKey) {
		return fmt.Errorf("%w: the encryption key did not change", ErrLeafNode)
	}
	return r.CheckLeafSignature(n, groupID, l)
}

// CheckReplacement verifies a leaf node that replaces a member's old one, by an update or a commit.
func (r *Rules) CheckReplacement(old, n *message.LeafNode, source message.LeafNodeSource, groupID []byte, l message.LeafIndex) error {
	if err := r.CheckLeafForm(n); err != nil {
		return err
	}
	if err := r.checkSigned(n, source, groupID, l, old); err != nil {
		return err
	}
	return r.CheckNewCredential(old, n)
}

// CheckKeyPackage verifies a key package (RFC 9420, section 10.1) as it is when received: whether its
// time has come or passed is not asked, because members who read it at different times must agree.
func (r *Rules) CheckKeyPackage(k *message.KeyPackage) error {
	if uint16(k.CipherSuite) != r.Suite.ID() {
		return fmt.Errorf("%w: %w: %#04x where %#04x belongs", ErrKeyPackage, ErrSuite, k.CipherSuite, r.Suite.ID())
	}
	if err := r.Suite.CheckPublicKey(k.InitKey); err != nil {
		return fmt.Errorf("%w: init key: %w", ErrKeyPackage, err)
	}
	if bytes.Equal(k.InitKey, k.LeafNode.EncryptionKey) {
		return fmt.Errorf("%w: init key and encryption key are the same", ErrKeyPackage)
	}
	if err := r.CheckLeaf(k.LeafNode, message.SourceKeyPackage, nil, 0); err != nil {
		return fmt.Errorf("%w: %w", ErrKeyPackage, err)
	}
	if l := k.LeafNode.Lifetime; l.NotAfter < l.NotBefore ||
		r.MaxLifetime > 0 && r.MaxLifetime != NoLimit && l.NotAfter-l.NotBefore > uint64(r.MaxLifetime/time.Second) {
		return fmt.Errorf("%w: %w: it is longer than allowed", ErrKeyPackage, ErrLifetime)
	}
	if err := r.Suite.VerifyWithLabel(k.LeafNode.SignatureKey, "KeyPackageTBS", k.AppendTBS(nil), k.Signature); err != nil {
		return fmt.Errorf("%w: %w: %w", ErrKeyPackage, ErrSignature, err)
	}
	return nil
}

// CheckCompatible verifies that all members of d support what the group's extensions ask for, the
// extensions themselves, and each other's types of credentials.
func (r *Rules) CheckCompatible(d *tree.Diff, extensions message.Extensions) error {
	required, err := Required(extensions)
	if err != nil {
		return err
	}
	missing := func(what string, t uint16) error {
		return fmt.Errorf("%w: a member does not know %s of type %d", ErrCapabilities, what, t)
	}
	for _, t := range required.Extensions {
		if !d.AllKnowExtension(t) {
			return missing("extensions", uint16(t))
		}
	}
	for _, e := range extensions {
		if !d.AllKnowExtension(e.Type) {
			return missing("extensions", uint16(e.Type))
		}
	}
	for _, t := range required.Proposals {
		if !d.AllKnowProposal(t) {
			return missing("proposals", uint16(t))
		}
	}
	for _, t := range append(d.CredentialTypes(), required.Credentials...) {
		if !d.AllKnowCredential(t) {
			return missing("credentials", uint16(t))
		}
	}
	return nil
}

// Required returns the required_capabilities extension, empty if there is none.
func Required(extensions message.Extensions) (*message.RequiredCapabilities, error) {
	data, ok := extensions.Find(message.ExtensionRequiredCapabilities)
	if !ok {
		return &message.RequiredCapabilities{}, nil
	}
	return message.UnmarshalRequiredCapabilities(data)
}
