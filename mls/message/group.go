package message

import (
	"fmt"
	"io"

	"github.com/quicproquo/qpq/mls/internal/codec"
)

// GroupContext sums up a group in one epoch (RFC 9420, section 8.1).
type GroupContext struct {
	Version                 ProtocolVersion
	CipherSuite             CipherSuite
	GroupID                 []byte
	Epoch                   uint64
	TreeHash                []byte
	ConfirmedTranscriptHash []byte
	Extensions              Extensions
}

// Append appends the encoding of c to b.
func (c *GroupContext) Append(b []byte) []byte {
	b = codec.AppendUint16(b, uint16(c.Version))
	b = codec.AppendUint16(b, uint16(c.CipherSuite))
	b = codec.AppendVec(b, c.GroupID)
	b = codec.AppendUint64(b, c.Epoch)
	b = codec.AppendVec(b, c.TreeHash)
	b = codec.AppendVec(b, c.ConfirmedTranscriptHash)
	return c.Extensions.Append(b)
}

// DecodeGroupContext reads a group context.
func DecodeGroupContext(d *codec.Decoder) GroupContext {
	c := GroupContext{
		Version:                 ProtocolVersion(d.Uint16()),
		CipherSuite:             CipherSuite(d.Uint16()),
		GroupID:                 d.Vec(),
		Epoch:                   d.Uint64(),
		TreeHash:                d.Vec(),
		ConfirmedTranscriptHash: d.Vec(),
		Extensions:              decodeExtensions(d),
	}
	if c.Version != MLS10 {
		d.Fail("group of protocol version %d", c.Version)
	}
	return c
}

// UnmarshalGroupContext decodes a group context.
func UnmarshalGroupContext(data []byte) (GroupContext, error) {
	return whole(data, "group context", DecodeGroupContext)
}

// GroupInfo tells somebody who joins what the group is (RFC 9420, section 12.4.3).
type GroupInfo struct {
	Context         GroupContext
	Extensions      Extensions
	ConfirmationTag []byte
	Signer          LeafIndex
	Signature       []byte
}

// AppendTBS appends GroupInfoTBS, what the signature covers.
func (g *GroupInfo) AppendTBS(b []byte) []byte {
	b = g.Context.Append(b)
	b = g.Extensions.Append(b)
	b = codec.AppendVec(b, g.ConfirmationTag)
	return codec.AppendUint32(b, uint32(g.Signer))
}

// Append appends the encoding of g to b.
func (g *GroupInfo) Append(b []byte) []byte { return codec.AppendVec(g.AppendTBS(b), g.Signature) }

func decodeGroupInfo(d *codec.Decoder) *GroupInfo {
	return &GroupInfo{
		Context:         DecodeGroupContext(d),
		Extensions:      decodeExtensions(d),
		ConfirmationTag: d.Vec(),
		Signer:          LeafIndex(d.Uint32()),
		Signature:       d.Vec(),
	}
}

// UnmarshalGroupInfo decodes a group info that is not wrapped in an MLSMessage.
func UnmarshalGroupInfo(data []byte) (*GroupInfo, error) {
	return whole(data, "group info", decodeGroupInfo)
}

// GroupSecrets is what a new member needs to follow the group (RFC 9420, section 12.4.3.1). It is
// secret.
type GroupSecrets struct {
	JoinerSecret []byte
	PathSecret   []byte // nil where the commit had no path
	PSKs         []PreSharedKeyID
}

// Append appends the encoding of s to b.
func (s *GroupSecrets) Append(b []byte) []byte {
	b = codec.AppendVec(b, s.JoinerSecret)
	if s.PathSecret == nil {
		b = append(b, 0)
	} else {
		b = codec.AppendVec(append(b, 1), s.PathSecret)
	}
	return codec.AppendList(b, s.PSKs, func(b []byte, id PreSharedKeyID) []byte { return id.Append(b) })
}

// UnmarshalGroupSecrets decodes group secrets.
func UnmarshalGroupSecrets(data []byte) (*GroupSecrets, error) {
	return whole(data, "group secrets", func(d *codec.Decoder) *GroupSecrets {
		s := &GroupSecrets{JoinerSecret: d.Vec()}
		if d.Bool() {
			s.PathSecret = d.Vec()
		}
		s.PSKs = codec.List(d, decodePreSharedKeyID)
		return s
	})
}

// Format keeps the secrets out of logs.
func (s GroupSecrets) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[group secrets]") }

// MarshalText returns a placeholder, for encoding/json and log/slog.
func (s GroupSecrets) MarshalText() ([]byte, error) { return []byte("[group secrets]"), nil }

// EncryptedGroupSecrets is the group secrets for one new member.
type EncryptedGroupSecrets struct {
	NewMember []byte // the KeyPackageRef of the key package that was used
	Secrets   HPKECiphertext
}

// Welcome invites new members to a group (RFC 9420, section 12.4.3.1).
type Welcome struct {
	CipherSuite        CipherSuite
	Secrets            []EncryptedGroupSecrets
	EncryptedGroupInfo []byte
}

// Append appends the encoding of w to b.
func (w *Welcome) Append(b []byte) []byte {
	b = codec.AppendUint16(b, uint16(w.CipherSuite))
	b = codec.AppendList(b, w.Secrets, func(b []byte, s EncryptedGroupSecrets) []byte {
		return s.Secrets.Append(codec.AppendVec(b, s.NewMember))
	})
	return codec.AppendVec(b, w.EncryptedGroupInfo)
}

func decodeWelcome(d *codec.Decoder) *Welcome {
	return &Welcome{
		CipherSuite: CipherSuite(d.Uint16()),
		Secrets: codec.List(d, func(d *codec.Decoder) EncryptedGroupSecrets {
			return EncryptedGroupSecrets{d.Vec(), decodeHPKECiphertext(d)}
		}),
		EncryptedGroupInfo: d.Vec(),
	}
}

// UnmarshalWelcome decodes a welcome that is not wrapped in an MLSMessage.
func UnmarshalWelcome(data []byte) (*Welcome, error) { return whole(data, "welcome", decodeWelcome) }
