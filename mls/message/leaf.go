package message

import (
	"slices"
	"time"

	"github.com/quicproquo/qpq/mls/internal/codec"
)

// LeafNodeSource says how a leaf node came into the tree (RFC 9420, section 7.2).
type LeafNodeSource uint8

// The sources.
const (
	SourceKeyPackage LeafNodeSource = 1
	SourceUpdate     LeafNodeSource = 2
	SourceCommit     LeafNodeSource = 3
)

// Capabilities lists what a client supports beyond what every client must (RFC 9420, section 7.2).
type Capabilities struct {
	Versions     []ProtocolVersion
	CipherSuites []CipherSuite
	Extensions   []ExtensionType
	Proposals    []ProposalType
	Credentials  []CredentialType
}

// Append appends the encoding of c to b.
func (c *Capabilities) Append(b []byte) []byte {
	b = appendUint16s(b, c.Versions)
	b = appendUint16s(b, c.CipherSuites)
	b = appendUint16s(b, c.Extensions)
	b = appendUint16s(b, c.Proposals)
	return appendUint16s(b, c.Credentials)
}

func decodeCapabilities(d *codec.Decoder) *Capabilities {
	return &Capabilities{
		Versions:     decodeUint16s[ProtocolVersion](d),
		CipherSuites: decodeUint16s[CipherSuite](d),
		Extensions:   decodeUint16s[ExtensionType](d),
		Proposals:    decodeUint16s[ProposalType](d),
		Credentials:  decodeUint16s[CredentialType](d),
	}
}

// Default reports whether every client knows t without listing it.
func (t ExtensionType) Default() bool {
	return t >= ExtensionApplicationID && t <= ExtensionExternalSenders
}

// Default reports whether every client knows t without listing it.
func (t ProposalType) Default() bool {
	return t >= ProposalAdd && t <= ProposalGroupContextExtensions
}

// Equal reports whether both list the same in the same order.
func (c *Capabilities) Equal(other *Capabilities) bool {
	return slices.Equal(c.Versions, other.Versions) && slices.Equal(c.CipherSuites, other.CipherSuites) &&
		slices.Equal(c.Extensions, other.Extensions) && slices.Equal(c.Proposals, other.Proposals) &&
		slices.Equal(c.Credentials, other.Credentials)
}

// HasExtension reports whether t is supported: a default type, or one that is listed.
func (c *Capabilities) HasExtension(t ExtensionType) bool {
	return t.Default() || slices.Contains(c.Extensions, t)
}

// HasProposal reports whether t is supported: a default type, or one that is listed.
func (c *Capabilities) HasProposal(t ProposalType) bool {
	return t.Default() || slices.Contains(c.Proposals, t)
}

// HasCredential reports whether t is listed.
func (c *Capabilities) HasCredential(t CredentialType) bool { return slices.Contains(c.Credentials, t) }

// HasCipherSuite reports whether s is listed.
func (c *Capabilities) HasCipherSuite(s CipherSuite) bool { return slices.Contains(c.CipherSuites, s) }

// Lifetime is the time in which a key package may be used, both ends included (RFC 9420, section 7.2).
type Lifetime struct {
	NotBefore, NotAfter uint64 // seconds since 1970
}

// NewLifetime returns the lifetime between two times.
func NewLifetime(notBefore, notAfter time.Time) Lifetime {
	return Lifetime{uint64(max(0, notBefore.Unix())), uint64(max(0, notAfter.Unix()))}
}

// Contains reports whether now lies in l.
func (l Lifetime) Contains(now time.Time) bool {
	s := now.Unix()
	return s >= 0 && l.NotBefore <= uint64(s) && uint64(s) <= l.NotAfter
}

// LeafNode describes one member (RFC 9420, section 7.2).
type LeafNode struct {
	EncryptionKey []byte
	SignatureKey  []byte
	Credential    Credential
	Capabilities  *Capabilities // shared between equal leaves; never changed
	Source        LeafNodeSource
	Lifetime      Lifetime // of SourceKeyPackage
	ParentHash    []byte   // of SourceCommit
	Extensions    Extensions
	Signature     []byte
}

// Append appends the encoding of n to b.
func (n *LeafNode) Append(b []byte) []byte {
	return codec.AppendVec(n.appendUnsigned(b), n.Signature)
}

func (n *LeafNode) appendUnsigned(b []byte) []byte {
	b = codec.AppendVec(b, n.EncryptionKey)
	b = codec.AppendVec(b, n.SignatureKey)
	b = n.Credential.Append(b)
	b = n.Capabilities.Append(b)
	b = append(b, byte(n.Source))
	switch n.Source {
	case SourceKeyPackage:
		b = codec.AppendUint64(b, n.Lifetime.NotBefore)
		b = codec.AppendUint64(b, n.Lifetime.NotAfter)
	case SourceCommit:
		b = codec.AppendVec(b, n.ParentHash)
	}
	return n.Extensions.Append(b)
}

// AppendTBS appends LeafNodeTBS, what the signature covers: for an update or a commit also the group
// and the position of the leaf.
func (n *LeafNode) AppendTBS(b, groupID []byte, index LeafIndex) []byte {
	b = n.appendUnsigned(b)
	if n.Source == SourceUpdate || n.Source == SourceCommit {
		b = codec.AppendVec(b, groupID)
		b = codec.AppendUint32(b, uint32(index))
	}
	return b
}

// DecodeLeafNode reads a leaf node.
func DecodeLeafNode(d *codec.Decoder) *LeafNode {
	n := &LeafNode{
		EncryptionKey: d.Vec(),
		SignatureKey:  d.Vec(),
		Credential:    decodeCredential(d),
		Capabilities:  decodeCapabilities(d),
		Source:        LeafNodeSource(d.Uint8()),
	}
	switch n.Source {
	case SourceKeyPackage:
		n.Lifetime = Lifetime{d.Uint64(), d.Uint64()}
	case SourceUpdate:
	case SourceCommit:
		n.ParentHash = d.Vec()
	default:
		d.Fail("leaf node source %d", n.Source)
	}
	n.Extensions = decodeExtensions(d)
	n.Signature = d.Vec()
	return n
}

// Detach returns a copy of n that keeps alive nothing but its own bytes and the capabilities.
func (n *LeafNode) Detach() *LeafNode {
	out := *n
	size := len(n.EncryptionKey) + len(n.SignatureKey) + len(n.Credential.Identity) + len(n.Credential.Data) +
		len(n.ParentHash) + len(n.Signature)
	for _, c := range n.Credential.Certificates {
		size += len(c)
	}
	for _, e := range n.Extensions {
		size += len(e.Data)
	}
	buf := make([]byte, 0, size)
	keep := func(b []byte) []byte {
		start := len(buf)
		buf = append(buf, b...)
		return buf[start:len(buf):len(buf)]
	}
	out.EncryptionKey, out.SignatureKey = keep(n.EncryptionKey), keep(n.SignatureKey)
	out.Credential.Identity, out.Credential.Data = keep(n.Credential.Identity), keep(n.Credential.Data)
	out.ParentHash, out.Signature = keep(n.ParentHash), keep(n.Signature)
	out.Credential.Certificates = slices.Clone(n.Credential.Certificates)
	for i, c := range out.Credential.Certificates {
		out.Credential.Certificates[i] = keep(c)
	}
	out.Extensions = slices.Clone(n.Extensions)
	for i := range out.Extensions {
		out.Extensions[i].Data = keep(out.Extensions[i].Data)
	}
	return &out
}

// SkipLeafNode reads past a leaf node. What it lets pass may still be malformed.
func SkipLeafNode(d *codec.Decoder) {
	d.Vec()    // encryption key
	d.Vec()    // signature key
	d.Uint16() // type of the credential
	d.Vec()
	for range 5 { // capabilities
		d.Vec()
	}
	switch LeafNodeSource(d.Uint8()) {
	case SourceKeyPackage:
		d.Take(16) // lifetime
	case SourceCommit:
		d.Vec() // parent hash
	}
	d.Vec() // extensions
	d.Vec() // signature
}

// Equal reports whether both leaf nodes have the same encoding.
func (n *LeafNode) Equal(other *LeafNode) bool {
	return slices.Equal(n.Signature, other.Signature) && slices.Equal(n.Append(nil), other.Append(nil))
}

// UnmarshalLeafNode decodes a leaf node.
func UnmarshalLeafNode(data []byte) (*LeafNode, error) {
	return whole(data, "leaf node", DecodeLeafNode)
}

// ParentNode is a node above the leaves that holds a key (RFC 9420, section 7.1).
type ParentNode struct {
	EncryptionKey  []byte
	ParentHash     []byte
	UnmergedLeaves []LeafIndex // strictly increasing
}

// Append appends the encoding of n to b.
func (n *ParentNode) Append(b []byte) []byte {
	b = codec.AppendVec(b, n.EncryptionKey)
	b = codec.AppendVec(b, n.ParentHash)
	b = codec.AppendVarint(b, 4*len(n.UnmergedLeaves))
	for _, l := range n.UnmergedLeaves {
		b = codec.AppendUint32(b, uint32(l))
	}
	return b
}

// DecodeParentNode reads a parent node.
func DecodeParentNode(d *codec.Decoder) *ParentNode {
	n := &ParentNode{EncryptionKey: d.Vec(), ParentHash: d.Vec()}
	sub := d.Sub()
	for !sub.Empty() {
		l := LeafIndex(sub.Uint32())
		if k := len(n.UnmergedLeaves); k > 0 && l <= n.UnmergedLeaves[k-1] {
			d.Fail("unmerged leaves out of order")
			return n
		}
		n.UnmergedLeaves = append(n.UnmergedLeaves, l)
	}
	d.FailWith(sub.Err())
	return n
}

// SkipParentNode reads past a parent node. What it lets pass may still be malformed.
func SkipParentNode(d *codec.Decoder) {
	for range 3 { // encryption key, parent hash, unmerged leaves
		d.Vec()
	}
}

// Detach returns a copy of n that keeps alive nothing but its own bytes.
func (n *ParentNode) Detach() *ParentNode {
	buf := append(append(make([]byte, 0, len(n.EncryptionKey)+len(n.ParentHash)), n.EncryptionKey...), n.ParentHash...)
	k := len(n.EncryptionKey)
	return &ParentNode{buf[:k:k], buf[k:len(buf):len(buf)], slices.Clone(n.UnmergedLeaves)}
}
