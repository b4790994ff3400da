// Package message has the structures of the Messaging Layer Security protocol (RFC 9420) as they
// are on the wire, with strict decoding and canonical encoding. It holds no secrets and makes no
// decisions: package mls does.
//
// Decoding accepts exactly one encoding of each value and never more bytes than the value has.
// Decoded values alias the bytes that they were decoded from; neither may be changed.
package message

import (
	"fmt"

	"github.com/quicproquo/qpq/mls/internal/codec"
	"github.com/quicproquo/qpq/mls/internal/treemath"
)

// ErrMalformed is what every error of decoding wraps.
var ErrMalformed = codec.ErrMalformed

// LeafIndex is the position of a member's leaf in the ratchet tree, counted from zero at the left
// (RFC 9420, section 4). Zero is a valid index.
type LeafIndex = treemath.Leaf

// ProtocolVersion is the version of the protocol (RFC 9420, section 6).
type ProtocolVersion uint16

// MLS10 is version 1.0, the only one there is.
const MLS10 ProtocolVersion = 1

// CipherSuite is the code point of a cipher suite (RFC 9420, section 17.1).
type CipherSuite uint16

// WireFormat says what an MLSMessage carries (RFC 9420, section 17.2).
type WireFormat uint16

// The wire formats.
const (
	WirePublicMessage  WireFormat = 1
	WirePrivateMessage WireFormat = 2
	WireWelcome        WireFormat = 3
	WireGroupInfo      WireFormat = 4
	WireKeyPackage     WireFormat = 5
)

// Message is an MLSMessage (RFC 9420, section 6): exactly one of its fields is set.
type Message struct {
	Public     *PublicMessage
	Private    *PrivateMessage
	Welcome    *Welcome
	GroupInfo  *GroupInfo
	KeyPackage *KeyPackage
}

// Marshal returns the encoding of m.
func (m *Message) Marshal() []byte {
	b := codec.AppendUint16(nil, uint16(MLS10))
	switch {
	case m.Public != nil:
		return m.Public.append(codec.AppendUint16(b, uint16(WirePublicMessage)))
	case m.Private != nil:
		return m.Private.append(codec.AppendUint16(b, uint16(WirePrivateMessage)))
	case m.Welcome != nil:
		return m.Welcome.Append(codec.AppendUint16(b, uint16(WireWelcome)))
	case m.GroupInfo != nil:
		return m.GroupInfo.Append(codec.AppendUint16(b, uint16(WireGroupInfo)))
	case m.KeyPackage != nil:
		return m.KeyPackage.Append(codec.AppendUint16(b, uint16(WireKeyPackage)))
	}
	panic("message: empty Message")
}

// Unmarshal decodes an MLSMessage.
func Unmarshal(data []byte) (*Message, error) {
	d := codec.NewDecoder(data)
	if v := ProtocolVersion(d.Uint16()); v != MLS10 && d.Err() == nil {
		return nil, fmt.Errorf("%w: protocol version %d", ErrMalformed, v)
	}
	var m Message
	switch f := WireFormat(d.Uint16()); f {
	case WirePublicMessage:
		m.Public = decodePublicMessage(d)
	case WirePrivateMessage:
		m.Private = decodePrivateMessage(d)
	case WireWelcome:
		m.Welcome = decodeWelcome(d)
	case WireGroupInfo:
		m.GroupInfo = decodeGroupInfo(d)
	case WireKeyPackage:
		m.KeyPackage = decodeKeyPackage(d)
	default:
		d.Fail("wire format %d", f)
	}
	if err := d.Done(); err != nil {
		return nil, fmt.Errorf("decode MLS message: %w", err)
	}
	return &m, nil
}

// whole decodes data with one and requires that nothing is left over.
func whole[T any](data []byte, what string, one func(*codec.Decoder) T) (T, error) {
	d := codec.NewDecoder(data)
	v := one(d)
	if err := d.Done(); err != nil {
		var zero T
		return zero, fmt.Errorf("decode %s: %w", what, err)
	}
	return v, nil
}

func appendUint16s[T ~uint16](b []byte, list []T) []byte {
	b = codec.AppendVarint(b, 2*len(list))
	for _, v := range list {
		b = codec.AppendUint16(b, uint16(v))
	}
	return b
}

// maxTypes bounds lists of types: each is looked up in others.
const maxTypes = 4096

func decodeUint16s[T ~uint16](d *codec.Decoder) []T {
	sub := d.Sub()
	if len(sub.Rest()) > 2*maxTypes {
		d.Fail("more than %d types in a list", maxTypes)
		return nil
	}
	list := make([]T, 0, len(sub.Rest())/2)
	for !sub.Empty() {
		list = append(list, T(sub.Uint16()))
	}
	d.FailWith(sub.Err())
	return list
}
