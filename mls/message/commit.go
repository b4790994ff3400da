package message

import "github.com/quicproquo/qpq/mls/internal/codec"

// ProposalOrRef is a proposal in a commit: its value, or the hash of the message that carried it
// (RFC 9420, section 12.4). Exactly one field is set.
type ProposalOrRef struct {
	Proposal  Proposal
	Reference []byte
}

// Commit applies proposals and starts the next epoch (RFC 9420, section 12.4).
type Commit struct {
	Proposals []ProposalOrRef
	Path      *UpdatePath // nil where the commit has none
}

// HPKECiphertext is a ciphertext and what the receiver needs to derive its key (RFC 9420, section 7.6).
type HPKECiphertext struct {
	KEMOutput  []byte
	Ciphertext []byte
}

// UpdatePathNode is the new key of one node of a path, and the path secret for all who may know it.
type UpdatePathNode struct {
	EncryptionKey []byte
	Secrets       []HPKECiphertext // one for each node of the copath child's resolution, in order
}

// UpdatePath is a fresh leaf and fresh keys for the nodes above it (RFC 9420, section 7.6).
type UpdatePath struct {
	LeafNode *LeafNode
	Nodes    []UpdatePathNode // along the filtered direct path, upwards
}

// Append appends the encoding of c to b.
func (c HPKECiphertext) Append(b []byte) []byte {
	return codec.AppendVec(codec.AppendVec(b, c.KEMOutput), c.Ciphertext)
}

func decodeHPKECiphertext(d *codec.Decoder) HPKECiphertext {
	return HPKECiphertext{d.Vec(), d.Vec()}
}

// Append appends the encoding of p to b.
func (p *UpdatePath) Append(b []byte) []byte {
	b = p.LeafNode.Append(b)
	return codec.AppendList(b, p.Nodes, func(b []byte, n UpdatePathNode) []byte {
		b = codec.AppendVec(b, n.EncryptionKey)
		return codec.AppendList(b, n.Secrets, func(b []byte, c HPKECiphertext) []byte { return c.Append(b) })
	})
}

func decodeUpdatePath(d *codec.Decoder) *UpdatePath {
	return &UpdatePath{
		LeafNode: DecodeLeafNode(d),
		Nodes: codec.List(d, func(d *codec.Decoder) UpdatePathNode {
			return UpdatePathNode{d.Vec(), codec.List(d, decodeHPKECiphertext)}
		}),
	}
}

// UnmarshalUpdatePath decodes an update path.
func UnmarshalUpdatePath(data []byte) (*UpdatePath, error) {
	return whole(data, "update path", decodeUpdatePath)
}

// Append appends the encoding of c to b.
func (c *Commit) Append(b []byte) []byte {
	b = codec.AppendList(b, c.Proposals, func(b []byte, p ProposalOrRef) []byte {
		if p.Proposal != nil {
			return AppendProposal(append(b, 1), p.Proposal)
		}
		return codec.AppendVec(append(b, 2), p.Reference)
	})
	if c.Path == nil {
		return append(b, 0)
	}
	return c.Path.Append(append(b, 1))
}

func decodeCommit(d *codec.Decoder) *Commit {
	c := &Commit{Proposals: codec.List(d, func(d *codec.Decoder) ProposalOrRef {
		switch t := d.Uint8(); t {
		case 1:
			return ProposalOrRef{Proposal: DecodeProposal(d)}
		case 2:
			return ProposalOrRef{Reference: d.Vec()}
		default:
			d.Fail("proposal or reference of type %d", t)
			return ProposalOrRef{}
		}
	})}
	if d.Bool() {
		c.Path = decodeUpdatePath(d)
	}
	return c
}

// UnmarshalCommit decodes a commit.
func UnmarshalCommit(data []byte) (*Commit, error) { return whole(data, "commit", decodeCommit) }
