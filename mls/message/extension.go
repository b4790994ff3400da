package message

import (
	"slices"

	"github.com/quicproquo/qpq/mls/internal/codec"
)

// ExtensionType is the code point of an extension (RFC 9420, section 17.3).
type ExtensionType uint16

// The extension types.
const (
	ExtensionApplicationID        ExtensionType = 1 // leaf nodes; a default type
	ExtensionRatchetTree          ExtensionType = 2 // group infos; a default type
	ExtensionRequiredCapabilities ExtensionType = 3 // group contexts; a default type
	ExtensionExternalPub          ExtensionType = 4 // group infos; a default type
	ExtensionExternalSenders      ExtensionType = 5 // group contexts; a default type
	// ExtensionAppDataDictionary holds application data by component (draft-ietf-mls-extensions).
	ExtensionAppDataDictionary ExtensionType = 6
	// ExtensionLastResort marks a key package that may be used more than once, as earlier versions of
	// draft-ietf-mls-extensions had it and deployed servers know it.
	ExtensionLastResort ExtensionType = 0x000a
)

// Extension is one extension: its type, and data that the type gives a meaning to.
type Extension struct {
	Type ExtensionType
	Data []byte
}

// Extensions is a list of extensions with at most one of each type.
type Extensions []Extension

// Find returns the data of the extension of type t.
func (list Extensions) Find(t ExtensionType) (data []byte, ok bool) {
	for _, e := range list {
		if e.Type == t {
			return e.Data, true
		}
	}
	return nil, false
}

// With returns a copy of list in which the extension of type t is data: replaced where it stands, or
// added at the end.
func (list Extensions) With(t ExtensionType, data []byte) Extensions {
	out := slices.Clone(list)
	for i := range out {
		if out[i].Type == t {
			out[i].Data = data
			return out
		}
	}
	return append(out, Extension{t, data})
}

// Equal reports whether both lists hold the same extensions in the same order.
func (list Extensions) Equal(other Extensions) bool {
	return slices.EqualFunc(list, other, func(a, b Extension) bool {
		return a.Type == b.Type && slices.Equal(a.Data, b.Data)
	})
}

// Append appends the encoding of list to b.
func (list Extensions) Append(b []byte) []byte {
	start := len(b)
	b = codec.OpenVec(b)
	for _, e := range list {
		b = codec.AppendVec(codec.AppendUint16(b, uint16(e.Type)), e.Data)
	}
	return codec.CloseVec(b, start)
}

func decodeExtensions(d *codec.Decoder) Extensions {
	list := Extensions(codec.List(d, func(d *codec.Decoder) Extension {
		return Extension{ExtensionType(d.Uint16()), d.Vec()}
	}))
	for i, e := range list {
		for _, other := range list[:min(i, 64)] {
			if other.Type == e.Type {
				d.Fail("extension %d twice", e.Type)
				return nil
			}
		}
		if i >= 64 {
			d.Fail("more than 64 extensions")
			return nil
		}
	}
	return list
}

// UnmarshalExtensions decodes a list of extensions.
func UnmarshalExtensions(data []byte) (Extensions, error) {
	return whole(data, "extensions", decodeExtensions)
}

// RequiredCapabilities is the content of the required_capabilities extension (RFC 9420, section 11.1).
type RequiredCapabilities struct {
	Extensions  []ExtensionType
	Proposals   []ProposalType
	Credentials []CredentialType
}

// Marshal returns the encoding of r.
func (r *RequiredCapabilities) Marshal() []byte {
	b := appendUint16s(nil, r.Extensions)
	b = appendUint16s(b, r.Proposals)
	return appendUint16s(b, r.Credentials)
}

// UnmarshalRequiredCapabilities decodes the content of a required_capabilities extension.
func UnmarshalRequiredCapabilities(data []byte) (*RequiredCapabilities, error) {
	return whole(data, "required_capabilities", func(d *codec.Decoder) *RequiredCapabilities {
		return &RequiredCapabilities{
			Extensions:  decodeUint16s[ExtensionType](d),
			Proposals:   decodeUint16s[ProposalType](d),
			Credentials: decodeUint16s[CredentialType](d),
		}
	})
}

// ExternalSender is somebody outside the group who may propose changes (RFC 9420, section 12.1.8.1).
type ExternalSender struct {
	SignatureKey []byte
	Credential   Credential
}

// MarshalExternalSenders returns the content of an external_senders extension.
func MarshalExternalSenders(list []ExternalSender) []byte {
	return codec.AppendList(nil, list, func(b []byte, s ExternalSender) []byte {
		return s.Credential.Append(codec.AppendVec(b, s.SignatureKey))
	})
}

// UnmarshalExternalSenders decodes the content of an external_senders extension.
func UnmarshalExternalSenders(data []byte) ([]ExternalSender, error) {
	return whole(data, "external_senders", func(d *codec.Decoder) []ExternalSender {
		return codec.List(d, func(d *codec.Decoder) ExternalSender {
			return ExternalSender{SignatureKey: d.Vec(), Credential: decodeCredential(d)}
		})
	})
}

// MarshalExternalPub returns the content of an external_pub extension (RFC 9420, section 12.4.3.2).
func MarshalExternalPub(key []byte) []byte { return codec.AppendVec(nil, key) }

// UnmarshalExternalPub decodes the content of an external_pub extension.
func UnmarshalExternalPub(data []byte) ([]byte, error) {
	return whole(data, "external_pub", (*codec.Decoder).Vec)
}

// IsGREASE reports whether v is one of the values that are sent only to keep receivers tolerant of
// values that they do not know (RFC 9420, section 13.5).
func IsGREASE[T ~uint16](v T) bool { return v&0x0f0f == 0x0a0a && v>>8 == v&0xff && v != 0xfafa }
