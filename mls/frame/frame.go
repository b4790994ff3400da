// Package frame reads the cleartext header of MLS messages (RFC 9420, section 6): what a delivery
// service may know of them. It can decrypt nothing, holds no keys and imports nothing of package mls, so
// that a server can link it and nothing else.
package frame

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrMalformed is what every error of this package wraps.
var ErrMalformed = errors.New("malformed MLS message")

// WireFormat says what a message is (RFC 9420, section 17.2).
type WireFormat uint16

// The wire formats.
const (
	PublicMessage  WireFormat = 1
	PrivateMessage WireFormat = 2
	Welcome        WireFormat = 3
	GroupInfo      WireFormat = 4
	KeyPackage     WireFormat = 5
)

// ContentType says what a public or private message holds (RFC 9420, section 6).
type ContentType uint8

// The content types.
const (
	Application ContentType = 1
	Proposal    ContentType = 2
	Commit      ContentType = 3
)

// SenderType says in what role the sender of a public message speaks (RFC 9420, section 6).
type SenderType uint8

// The sender types.
const (
	Member            SenderType = 1
	External          SenderType = 2
	NewMemberProposal SenderType = 3
	NewMemberCommit   SenderType = 4
)

// Header is what a message shows to everybody. Its slices alias the message.
type Header struct {
	WireFormat WireFormat
	// CipherSuite is of welcomes, group infos and key packages.
	CipherSuite uint16
	// GroupID and Epoch are of public and private messages and of group infos.
	GroupID []byte
	Epoch   uint64
	// ContentType and AuthenticatedData are of public and private messages.
	ContentType       ContentType
	AuthenticatedData []byte
	// Sender and SenderIndex are of public messages; the index is of members and external senders. Nothing
	// here proves them.
	Sender      SenderType
	SenderIndex uint32
}

// Parse reads the header of one MLSMessage. Of a private message and a welcome it verifies that nothing
// is missing and nothing follows; the contents of the others are beyond it. It allocates nothing
// but errors.
func Parse(message []byte) (Header, error) {
	r := reader{rest: message}
	var h Header
	if version := r.uint(2); version != 1 && !r.failed {
		return h, fmt.Errorf("%w: protocol version %d", ErrMalformed, version)
	}
	switch h.WireFormat = WireFormat(r.uint(2)); h.WireFormat {
	case PublicMessage:
		h.public(&r)
	case PrivateMessage:
		h.private(&r)
	case Welcome:
		h.welcome(&r)
	case GroupInfo:
		h.groupInfo(&r)
	case KeyPackage:
		h.keyPackage(&r)
	default:
		r.failed = true
	}
	if r.failed {
		return Header{}, fmt.Errorf("%w: wire format %d", ErrMalformed, h.WireFormat)
	}
	return h, nil
}

func (h *Header) public(r *reader) {
	h.GroupID, h.Epoch = r.vector(), r.uint(8)
	h.Sender = SenderType(r.uint(1))
	switch h.Sender {
	case Member, External:
		h.SenderIndex = uint32(r.uint(4))
	case NewMemberProposal, NewMemberCommit:
	default:
		r.failed = true
	}
	h.AuthenticatedData = r.vector()
	h.ContentType = ContentType(r.uint(1))
	if h.ContentType != Proposal && h.ContentType != Commit || len(r.rest) == 0 {
		r.failed = true // application messages are never public
	}
}

func (h *Header) private(r *reader) {
	h.GroupID, h.Epoch = r.vector(), r.uint(8)
	h.ContentType = ContentType(r.uint(1))
	h.AuthenticatedData = r.vector()
	senderData, ciphertext := r.vector(), r.vector()
	if h.ContentType < Application || h.ContentType > Commit || len(senderData) == 0 || len(ciphertext) == 0 || len(r.rest) > 0 {
		r.failed = true
	}
}

func (h *Header) welcome(r *reader) {
	h.CipherSuite = uint16(r.uint(2))
	secrets, info := r.vector(), r.vector()
	if len(secrets) == 0 || len(info) == 0 || len(r.rest) > 0 {
		r.failed = true
	}
}

func (h *Header) groupInfo(r *reader) {
	if r.uint(2) != 1 {
		r.failed = true
	}
	h.CipherSuite = uint16(r.uint(2))
	h.GroupID, h.Epoch = r.vector(), r.uint(8)
}

func (h *Header) keyPackage(r *reader) {
	if r.uint(2) != 1 {
		r.failed = true
	}
	h.CipherSuite = uint16(r.uint(2))
	if initKey := r.vector(); len(initKey) == 0 {
		r.failed = true
	}
}

// reader reads a message from the front. After a failure it returns zero values.
type reader struct {
	rest   []byte
	failed bool
}

func (r *reader) take(n int) []byte {
	if r.failed || n > len(r.rest) {
		r.failed = true
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

// uint reads a big-endian integer of n bytes.
func (r *reader) uint(n int) uint64 {
	var b [8]byte
	copy(b[8-n:], r.take(n))
	return binary.BigEndian.Uint64(b[:])
}

// vector reads a variable-size vector, whose length must be in its shortest form (RFC 9420, section 2.1.2).
func (r *reader) vector() []byte {
	first := r.take(1)
	if r.failed {
		return nil
	}
	size := 1 << (first[0] >> 6)
	n := uint64(first[0] & 0x3f)
	if size > 4 {
		r.failed = true
		return nil
	}
	for _, b := range r.take(size - 1) {
		n = n<<8 | uint64(b)
	}
	if size == 2 && n < 1<<6 || size == 4 && n < 1<<14 {
		r.failed = true
		return nil
	}
	return r.take(int(n))
}
