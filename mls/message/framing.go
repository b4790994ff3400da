package message

import (
	"slices"

	"github.com/quicproquo/qpq/mls/internal/codec"
)

// ContentType says what a framed content holds (RFC 9420, section 6).
type ContentType uint8

// The content types.
const (
	ContentApplication ContentType = 1
	ContentProposal    ContentType = 2
	ContentCommit      ContentType = 3
)

// SenderType says in what role the sender of a message speaks (RFC 9420, section 6).
type SenderType uint8

// The sender types.
const (
	SenderMember            SenderType = 1
	SenderExternal          SenderType = 2
	SenderNewMemberProposal SenderType = 3
	SenderNewMemberCommit   SenderType = 4
)

// Sender is who sent a message (RFC 9420, section 6).
type Sender struct {
	Type  SenderType
	Index uint32 // a member's leaf index, or an external sender's place in the external_senders extension
}

// MemberSender returns the sender that is the member at a leaf.
func MemberSender(leaf LeafIndex) Sender { return Sender{SenderMember, uint32(leaf)} }

// Leaf returns the leaf of a member.
func (s Sender) Leaf() (LeafIndex, bool) { return LeafIndex(s.Index), s.Type == SenderMember }

func (s Sender) append(b []byte) []byte {
	b = append(b, byte(s.Type))
	if s.Type == SenderMember || s.Type == SenderExternal {
		b = codec.AppendUint32(b, s.Index)
	}
	return b
}

func decodeSender(d *codec.Decoder) Sender {
	s := Sender{Type: SenderType(d.Uint8())}
	switch s.Type {
	case SenderMember, SenderExternal:
		s.Index = d.Uint32()
	case SenderNewMemberProposal, SenderNewMemberCommit:
	default:
		d.Fail("sender type %d", s.Type)
	}
	return s
}

// FramedContent is what somebody says to a group (RFC 9420, section 6). Which of the last three
// fields is set is the content type.
type FramedContent struct {
	GroupID           []byte
	Epoch             uint64
	Sender            Sender
	AuthenticatedData []byte // not encrypted, but authenticated
	Type              ContentType
	Application       []byte
	Proposal          Proposal
	Commit            *Commit
}

// AppendBody appends the encoding of the content proper.
func (c *FramedContent) AppendBody(b []byte) []byte {
	switch c.Type {
	case ContentApplication:
		return codec.AppendVec(b, c.Application)
	case ContentProposal:
		return AppendProposal(b, c.Proposal)
	default:
		return c.Commit.Append(b)
	}
}

// size returns about how long the encoding of c is, so that it need not be moved as it grows.
func (c *FramedContent) size() int {
	n := 64 + len(c.GroupID) + len(c.AuthenticatedData) + len(c.Application)
	if c.Commit != nil && c.Commit.Path != nil {
		n += 1024
		for _, node := range c.Commit.Path.Nodes {
			n += 8 + 2*len(node.EncryptionKey)
			for _, s := range node.Secrets {
				n += 8 + len(s.KEMOutput) + len(s.Ciphertext)
			}
		}
	}
	return n
}

// Append appends the encoding of c to b.
func (c *FramedContent) Append(b []byte) []byte {
	b = slices.Grow(b, c.size())
	b = codec.AppendVec(b, c.GroupID)
	b = codec.AppendUint64(b, c.Epoch)
	b = c.Sender.append(b)
	b = codec.AppendVec(b, c.AuthenticatedData)
	return c.AppendBody(append(b, byte(c.Type)))
}

func (c *FramedContent) decodeBody(d *codec.Decoder) {
	switch c.Type {
	case ContentApplication:
		c.Application = d.Vec()
	case ContentProposal:
		c.Proposal = DecodeProposal(d)
	case ContentCommit:
		c.Commit = decodeCommit(d)
	default:
		d.Fail("content type %d", c.Type)
	}
}

func decodeFramedContent(d *codec.Decoder) *FramedContent {
	c := &FramedContent{
		GroupID:           d.Vec(),
		Epoch:             d.Uint64(),
		Sender:            decodeSender(d),
		AuthenticatedData: d.Vec(),
		Type:              ContentType(d.Uint8()),
	}
	c.decodeBody(d)
	return c
}

// FramedContentAuthData proves a framed content (RFC 9420, section 6.1).
type FramedContentAuthData struct {
	Signature       []byte
	ConfirmationTag []byte // of commits only
}

func (a *FramedContentAuthData) append(b []byte, t ContentType) []byte {
	b = codec.AppendVec(b, a.Signature)
	if t == ContentCommit {
		b = codec.AppendVec(b, a.ConfirmationTag)
	}
	return b
}

func decodeAuthData(d *codec.Decoder, t ContentType) FramedContentAuthData {
	a := FramedContentAuthData{Signature: d.Vec()}
	if t == ContentCommit {
		a.ConfirmationTag = d.Vec()
	}
	return a
}

// AuthenticatedContent is a framed content with its proof and the form it is sent in (RFC 9420,
// section 6).
type AuthenticatedContent struct {
	WireFormat WireFormat
	Content    *FramedContent
	Auth       FramedContentAuthData
}

// Append appends the encoding of a to b.
func (a *AuthenticatedContent) Append(b []byte) []byte {
	b = codec.AppendUint16(b, uint16(a.WireFormat))
	return a.Auth.append(a.Content.Append(b), a.Content.Type)
}

// UnmarshalAuthenticatedContent decodes an authenticated content.
func UnmarshalAuthenticatedContent(data []byte) (*AuthenticatedContent, error) {
	return whole(data, "authenticated content", func(d *codec.Decoder) *AuthenticatedContent {
		a := &AuthenticatedContent{WireFormat: WireFormat(d.Uint16()), Content: decodeFramedContent(d)}
		if a.WireFormat != WirePublicMessage && a.WireFormat != WirePrivateMessage {
			d.Fail("wire format %d", a.WireFormat)
		}
		a.Auth = decodeAuthData(d, a.Content.Type)
		return a
	})
}

// AppendTBS appends FramedContentTBS, what the signature covers. groupContext is the encoded context
// of the epoch; it is left out for senders who are not members and do not become one by this message.
func (a *AuthenticatedContent) AppendTBS(b, groupContext []byte) []byte {
	b = codec.AppendUint16(b, uint16(MLS10))
	b = codec.AppendUint16(b, uint16(a.WireFormat))
	b = a.Content.Append(b)
	if t := a.Content.Sender.Type; t == SenderMember || t == SenderNewMemberCommit {
		b = append(b, groupContext...)
	}
	return b
}

// AppendTBM appends AuthenticatedContentTBM, what the membership tag covers (RFC 9420, section 6.2).
func (a *AuthenticatedContent) AppendTBM(b, groupContext []byte) []byte {
	return a.Auth.append(a.AppendTBS(b, groupContext), a.Content.Type)
}

// AppendConfirmedInput appends ConfirmedTranscriptHashInput of a commit (RFC 9420, section 8.2).
func (a *AuthenticatedContent) AppendConfirmedInput(b []byte) []byte {
	b = codec.AppendUint16(b, uint16(a.WireFormat))
	return codec.AppendVec(a.Content.Append(b), a.Auth.Signature)
}

// PublicMessage is a message that is signed, not encrypted (RFC 9420, section 6.2).
type PublicMessage struct {
	Content       *FramedContent
	Auth          FramedContentAuthData
	MembershipTag []byte // of members' messages only
}

// Authenticated returns the authenticated content that m carries.
func (m *PublicMessage) Authenticated() *AuthenticatedContent {
	return &AuthenticatedContent{WirePublicMessage, m.Content, m.Auth}
}

func (m *PublicMessage) append(b []byte) []byte {
	b = m.Auth.append(m.Content.Append(b), m.Content.Type)
	if m.Content.Sender.Type == SenderMember {
		b = codec.AppendVec(b, m.MembershipTag)
	}
	return b
}

func decodePublicMessage(d *codec.Decoder) *PublicMessage {
	m := &PublicMessage{Content: decodeFramedContent(d)}
	m.Auth = decodeAuthData(d, m.Content.Type)
	if m.Content.Sender.Type == SenderMember {
		m.MembershipTag = d.Vec()
	}
	return m
}

// PrivateMessage is a message that is signed and encrypted (RFC 9420, section 6.3).
type PrivateMessage struct {
	GroupID             []byte
	Epoch               uint64
	Type                ContentType
	AuthenticatedData   []byte
	EncryptedSenderData []byte
	Ciphertext          []byte
}

func (m *PrivateMessage) append(b []byte) []byte {
	b = m.AppendContentAAD(b)
	b = codec.AppendVec(b, m.EncryptedSenderData)
	return codec.AppendVec(b, m.Ciphertext)
}

// AppendSenderDataAAD appends SenderDataAAD (RFC 9420, section 6.3.2).
func (m *PrivateMessage) AppendSenderDataAAD(b []byte) []byte {
	b = codec.AppendVec(b, m.GroupID)
	b = codec.AppendUint64(b, m.Epoch)
	return append(b, byte(m.Type))
}

// AppendContentAAD appends PrivateContentAAD (RFC 9420, section 6.3.1).
func (m *PrivateMessage) AppendContentAAD(b []byte) []byte {
	return codec.AppendVec(m.AppendSenderDataAAD(b), m.AuthenticatedData)
}

func decodePrivateMessage(d *codec.Decoder) *PrivateMessage {
	m := &PrivateMessage{GroupID: d.Vec(), Epoch: d.Uint64(), Type: ContentType(d.Uint8())}
	if (m.Type < ContentApplication || m.Type > ContentCommit) && d.Err() == nil {
		d.Fail("content type %d", m.Type)
	}
	m.AuthenticatedData, m.EncryptedSenderData, m.Ciphertext = d.Vec(), d.Vec(), d.Vec()
	return m
}

// AppendPrivateContent appends PrivateMessageContent, what the ciphertext of a PrivateMessage holds,
// with padding zero bytes (RFC 9420, section 6.3.1).
func (a *AuthenticatedContent) AppendPrivateContent(b []byte, padding int) []byte {
	b = slices.Grow(b, a.Content.size()+128)
	b = a.Auth.append(a.Content.AppendBody(b), a.Content.Type)
	return append(b, make([]byte, max(0, padding))...)
}

// UnmarshalPrivateContent decodes the plaintext of m, which sender sent.
func (m *PrivateMessage) UnmarshalPrivateContent(plaintext []byte, sender Sender) (*AuthenticatedContent, error) {
	d := codec.NewDecoder(plaintext)
	a := &AuthenticatedContent{WireFormat: WirePrivateMessage, Content: &FramedContent{
		GroupID: m.GroupID, Epoch: m.Epoch, Sender: sender, AuthenticatedData: m.AuthenticatedData, Type: m.Type,
	}}
	a.Content.decodeBody(d)
	a.Auth = decodeAuthData(d, m.Type)
	for _, c := range d.Rest() {
		if c != 0 {
			d.Fail("padding is not zero")
			break
		}
	}
	d.Take(len(d.Rest()))
	return a, d.Done()
}

// SenderData says who sent a PrivateMessage, and with which key (RFC 9420, section 6.3.2).
type SenderData struct {
	Leaf       LeafIndex
	Generation uint32
	ReuseGuard [4]byte
}

// Append appends the encoding of s to b.
func (s *SenderData) Append(b []byte) []byte {
	b = codec.AppendUint32(b, uint32(s.Leaf))
	b = codec.AppendUint32(b, s.Generation)
	return append(b, s.ReuseGuard[:]...)
}

// UnmarshalSenderData decodes a SenderData.
func UnmarshalSenderData(data []byte) (SenderData, error) {
	return whole(data, "sender data", func(d *codec.Decoder) SenderData {
		s := SenderData{Leaf: LeafIndex(d.Uint32()), Generation: d.Uint32()}
		copy(s.ReuseGuard[:], d.Take(len(s.ReuseGuard)))
		return s
	})
}
