package message

import (
	"bytes"

	"github.com/quicproquo/qpq/mls/internal/codec"
)

// ProposalType is the code point of a kind of proposal (RFC 9420, section 17.4).
type ProposalType uint16

// The proposal types: those of RFC 9420, which are default types, and those of
// draft-ietf-mls-extensions, which every member of a group must list among its capabilities first.
const (
	ProposalAdd                    ProposalType = 1
	ProposalUpdate                 ProposalType = 2
	ProposalRemove                 ProposalType = 3
	ProposalPreSharedKey           ProposalType = 4
	ProposalReInit                 ProposalType = 5
	ProposalExternalInit           ProposalType = 6
	ProposalGroupContextExtensions ProposalType = 7
	ProposalAppDataUpdate          ProposalType = 8
	ProposalAppEphemeral           ProposalType = 9
	ProposalSelfRemove             ProposalType = 10
)

// Proposal is a change to a group that somebody suggests (RFC 9420, section 12.1): one of *Add,
// *Update, *Remove, *PreSharedKey, *ReInit, *ExternalInit, *GroupContextExtensions, *SelfRemove,
// *AppDataUpdate, *AppEphemeral and *Custom.
type Proposal interface {
	Type() ProposalType
	append([]byte) []byte // the content, without the type
}

// Add adds the client of a key package.
type Add struct{ KeyPackage *KeyPackage }

// Update replaces the leaf of its sender.
type Update struct{ LeafNode *LeafNode }

// Remove removes the member at a leaf.
type Remove struct{ Removed LeafIndex }

// PreSharedKey mixes a key that all members know into the key schedule.
type PreSharedKey struct{ PSK PreSharedKeyID }

// ReInit ends the group; one of the given parameters takes its place.
type ReInit struct {
	GroupID     []byte
	Version     ProtocolVersion
	CipherSuite CipherSuite
	Extensions  Extensions
}

// ExternalInit carries the init secret of somebody who joins by an external commit.
type ExternalInit struct{ KEMOutput []byte }

// GroupContextExtensions replaces the extensions of the group context.
type GroupContextExtensions struct{ Extensions Extensions }

// SelfRemove removes its sender (draft-ietf-mls-extensions).
type SelfRemove struct{}

// Custom is a proposal of a type that this package does not know. Its content is an opaque vector.
type Custom struct {
	ProposalType ProposalType
	Data         []byte
}

// Type returns ProposalAdd.
func (*Add) Type() ProposalType { return ProposalAdd }

// Type returns ProposalUpdate.
func (*Update) Type() ProposalType { return ProposalUpdate }

// Type returns ProposalRemove.
func (*Remove) Type() ProposalType { return ProposalRemove }

// Type returns ProposalPreSharedKey.
func (*PreSharedKey) Type() ProposalType { return ProposalPreSharedKey }

// Type returns ProposalReInit.
func (*ReInit) Type() ProposalType { return ProposalReInit }

// Type returns ProposalExternalInit.
func (*ExternalInit) Type() ProposalType { return ProposalExternalInit }

// Type returns ProposalGroupContextExtensions.
func (*GroupContextExtensions) Type() ProposalType { return ProposalGroupContextExtensions }

// Type returns ProposalSelfRemove.
func (*SelfRemove) Type() ProposalType { return ProposalSelfRemove }

// Type returns the type that p was decoded with or made of.
func (p *Custom) Type() ProposalType { return p.ProposalType }

func (p *Add) append(b []byte) []byte          { return p.KeyPackage.Append(b) }
func (p *Update) append(b []byte) []byte       { return p.LeafNode.Append(b) }
func (p *Remove) append(b []byte) []byte       { return codec.AppendUint32(b, uint32(p.Removed)) }
func (p *PreSharedKey) append(b []byte) []byte { return p.PSK.Append(b) }
func (p *ExternalInit) append(b []byte) []byte { return codec.AppendVec(b, p.KEMOutput) }
func (p *GroupContextExtensions) append(b []byte) []byte {
	return p.Extensions.Append(b)
}
func (*SelfRemove) append(b []byte) []byte { return b }
func (p *Custom) append(b []byte) []byte   { return codec.AppendVec(b, p.Data) }

func (p *ReInit) append(b []byte) []byte {
	b = codec.AppendVec(b, p.GroupID)
	b = codec.AppendUint16(b, uint16(p.Version))
	b = codec.AppendUint16(b, uint16(p.CipherSuite))
	return p.Extensions.Append(b)
}

// AppendProposal appends the encoding of p to b.
func AppendProposal(b []byte, p Proposal) []byte {
	return p.append(codec.AppendUint16(b, uint16(p.Type())))
}

// DecodeProposal reads a proposal.
func DecodeProposal(d *codec.Decoder) Proposal {
	switch t := ProposalType(d.Uint16()); t {
	case ProposalAdd:
		return &Add{decodeKeyPackage(d)}
	case ProposalUpdate:
		return &Update{DecodeLeafNode(d)}
	case ProposalRemove:
		return &Remove{LeafIndex(d.Uint32())}
	case ProposalPreSharedKey:
		return &PreSharedKey{decodePreSharedKeyID(d)}
	case ProposalReInit:
		return &ReInit{d.Vec(), ProtocolVersion(d.Uint16()), CipherSuite(d.Uint16()), decodeExtensions(d)}
	case ProposalExternalInit:
		return &ExternalInit{d.Vec()}
	case ProposalGroupContextExtensions:
		return &GroupContextExtensions{decodeExtensions(d)}
	case ProposalSelfRemove:
		return &SelfRemove{}
	case ProposalAppDataUpdate:
		return decodeAppDataUpdate(d)
	case ProposalAppEphemeral:
		return &AppEphemeral{ComponentID(d.Uint16()), d.Vec()}
	case 0:
		d.Fail("proposal type 0")
		return &SelfRemove{}
	default:
		return &Custom{t, d.Vec()}
	}
}

// UnmarshalProposal decodes a proposal.
func UnmarshalProposal(data []byte) (Proposal, error) { return whole(data, "proposal", DecodeProposal) }

// PSKType says where a pre-shared key comes from (RFC 9420, section 8.4).
type PSKType uint8

// The kinds of pre-shared keys.
const (
	PSKExternal    PSKType = 1 // the application provides it
	PSKResumption  PSKType = 2 // it is derived from an epoch of a group
	PSKApplication PSKType = 3 // a component provides it (draft-ietf-mls-extensions)
)

// ResumptionUsage says what a resumption key is for (RFC 9420, section 8.4).
type ResumptionUsage uint8

// The usages.
const (
	ResumptionApplication ResumptionUsage = 1
	ResumptionReInit      ResumptionUsage = 2
	ResumptionBranch      ResumptionUsage = 3
)

// PreSharedKeyID names a pre-shared key and one use of it (RFC 9420, section 8.4).
type PreSharedKeyID struct {
	Type      PSKType
	ID        []byte          // of PSKExternal and PSKApplication
	Component ComponentID     // of PSKApplication
	Usage     ResumptionUsage // of PSKResumption
	GroupID   []byte          // of PSKResumption
	Epoch     uint64          // of PSKResumption
	Nonce     []byte          // fresh for each use; as long as the suite's hash
}

// Append appends the encoding of id to b.
func (id PreSharedKeyID) Append(b []byte) []byte {
	b = append(b, byte(id.Type))
	switch id.Type {
	case PSKExternal:
		b = codec.AppendVec(b, id.ID)
	case PSKResumption:
		b = append(b, byte(id.Usage))
		b = codec.AppendVec(b, id.GroupID)
		b = codec.AppendUint64(b, id.Epoch)
	case PSKApplication:
		b = codec.AppendUint16(b, uint16(id.Component))
		b = codec.AppendVec(b, id.ID)
	}
	return codec.AppendVec(b, id.Nonce)
}

func decodePreSharedKeyID(d *codec.Decoder) PreSharedKeyID {
	id := PreSharedKeyID{Type: PSKType(d.Uint8())}
	switch id.Type {
	case PSKExternal:
		id.ID = d.Vec()
	case PSKResumption:
		id.Usage = ResumptionUsage(d.Uint8())
		if (id.Usage < ResumptionApplication || id.Usage > ResumptionBranch) && d.Err() == nil {
			d.Fail("resumption key of usage %d", id.Usage)
		}
		id.GroupID, id.Epoch = d.Vec(), d.Uint64()
	case PSKApplication:
		id.Component, id.ID = ComponentID(d.Uint16()), d.Vec()
	default:
		d.Fail("pre-shared key of type %d", id.Type)
	}
	id.Nonce = d.Vec()
	return id
}

// Equal reports whether both name the same use of the same key.
func (id PreSharedKeyID) Equal(other PreSharedKeyID) bool {
	return bytes.Equal(id.Append(nil), other.Append(nil))
}
