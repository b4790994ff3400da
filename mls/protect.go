package mls

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/quicproquo/qpq/mls/internal/secrettree"
	"github.com/quicproquo/qpq/mls/internal/suite"
	"github.com/quicproquo/qpq/mls/internal/transition"
	"github.com/quicproquo/qpq/mls/message"
)

// Outgoing is a message, and what to store before it is sent: otherwise a crash could use its key
// twice. Store a proposal itself with them and send it even after a crash: this client may commit it, and others have to
// know it then.
type Outgoing struct {
	Records []Record
	Message []byte
	Ref     []byte // of a proposal: the reference that a commit names it by
}

// Format keeps the records out of logs.
func (o Outgoing) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, fmt.Sprintf("[message of %d bytes, %d records]", len(o.Message), len(o.Records)))
}

// sign fills in the signature of a content that this client sends in the current epoch.
func (g *Group) sign(a *message.AuthenticatedContent, key *suite.Signer) (err error) {
	a.Auth.Signature, err = g.suite.SignWithLabel(key, g.config.Rand, "FramedContentTBS", a.AppendTBS(nil, g.epoch.encoded))
	return err
}

// content returns a framed content from this client.
func (g *Group) content(t message.ContentType, authenticatedData []byte) *message.FramedContent {
	return &message.FramedContent{GroupID: g.epoch.context.GroupID, Epoch: g.Epoch(), Sender: message.MemberSender(g.own),
		AuthenticatedData: authenticatedData, Type: t}
}

// Encrypt encrypts an application message to the group. authenticatedData is sent along in the clear
// but cannot be changed. Proposals that have been received must be committed first (RFC 9420, section
// 12.4).
func (g *Group) Encrypt(plaintext, authenticatedData []byte) (*Outgoing, error) {
	if err := g.mayChange(); err != nil {
		return nil, err
	}
	if len(g.waiting()) > 0 {
		return nil, ErrPendingProposal
	}
	if len(plaintext)+len(authenticatedData) > g.config.MaxMessageSize-1024 {
		return nil, fmt.Errorf("%w: %d bytes of text", ErrTooLarge, len(plaintext))
	}
	c := g.content(message.ContentApplication, authenticatedData)
	c.Application = plaintext
	a := &message.AuthenticatedContent{WireFormat: message.WirePrivateMessage, Content: c}
	if err := g.sign(a, g.key); err != nil {
		return nil, err
	}
	encoded, err := g.protect(a)
	if err != nil {
		return nil, err
	}
	return &Outgoing{Records: g.ratchetRecords(nil, g.epoch), Message: encoded}, nil
}

// protect encodes a signed content as the MLS message that its wire format says.
func (g *Group) protect(a *message.AuthenticatedContent) ([]byte, error) {
	if a.WireFormat == message.WirePublicMessage {
		m := &message.PublicMessage{Content: a.Content, Auth: a.Auth}
		if a.Content.Sender.Type == message.SenderMember {
			m.MembershipTag = g.suite.MAC(g.secrets.Membership, a.AppendTBM(nil, g.epoch.encoded))
		}
		return (&message.Message{Public: m}).Marshal(), nil
	}
	m, err := g.encrypt(a)
	if err != nil {
		return nil, err
	}
	return (&message.Message{Private: m}).Marshal(), nil
}

func ratchetOf(t message.ContentType) secrettree.Kind {
	if t == message.ContentApplication {
		return secrettree.Application
	}
	return secrettree.Handshake
}

// encrypt makes a PrivateMessage (RFC 9420, section 6.3). It uses up a key of the own ratchet.
func (g *Group) encrypt(a *message.AuthenticatedContent) (*message.PrivateMessage, error) {
	m := &message.PrivateMessage{GroupID: a.Content.GroupID, Epoch: a.Content.Epoch, Type: a.Content.Type,
		AuthenticatedData: a.Content.AuthenticatedData}
	plaintext := a.AppendPrivateContent(nil, 0)
	if n := g.config.Padding(len(plaintext)) - len(plaintext); n > 0 {
		plaintext = append(plaintext, make([]byte, n)...)
	}
	data := message.SenderData{Leaf: g.own}
	if err := g.config.random(data.ReuseGuard[:]); err != nil {
		return nil, err
	}
	key, err := g.epoch.secrets.Next(g.own, ratchetOf(a.Content.Type))
	if err != nil {
		return nil, err
	}
	defer key.Wipe()
	data.Generation = key.Generation
	guard(key.Nonce, data.ReuseGuard)
	var scratch [256]byte
	if m.Ciphertext, err = g.suite.Seal(key.Key, key.Nonce, m.AppendContentAAD(scratch[:0]), plaintext); err != nil {
		return nil, fmt.Errorf("encrypt message: %w", err)
	}
	senderKey, senderNonce := g.senderDataKey(g.epoch, m.Ciphertext)
	m.EncryptedSenderData, err = g.suite.Seal(senderKey, senderNonce, m.AppendSenderDataAAD(scratch[:0]), data.Append(nil))
	if err != nil {
		return nil, fmt.Errorf("encrypt sender data: %w", err)
	}
	return m, nil
}

// guard mixes the reuse guard into a nonce.
func guard(nonce []byte, reuseGuard [4]byte) {
	for i, b := range reuseGuard {
		nonce[i] ^= b
	}
}

// senderDataKey returns what the sender data of a message is encrypted with (RFC 9420, section 6.3.2).
func (g *Group) senderDataKey(e *epoch, ciphertext []byte) (key, nonce []byte) {
	sample := ciphertext[:min(len(ciphertext), g.suite.HashSize())]
	return g.suite.ExpandWithLabel(e.senderData, "key", sample, g.suite.KeySize()),
		g.suite.ExpandWithLabel(e.senderData, "nonce", sample, g.suite.NonceSize())
}

// errOwn says that a private message is from this client.
var errOwn = errors.New("message is from this client")

// opened is a message that was decrypted and verified. The key it used is consumed by accept.
type opened struct {
	content *message.AuthenticatedContent
	leaf    *LeafNode // the sender's, of a private message
	opening *secrettree.Opening
}

func (o *opened) accept(g *Group) {
	if o.opening != nil {
		o.opening.Commit(int(min(g.config.MaxForward, maxSkipped)))
	}
}

// maxSkipped bounds how many keys of messages that were skipped are kept of one sender: they are part of what is stored with each message.
const maxSkipped = 1000

func (o *opened) drop() {
	if o.opening != nil {
		o.opening.Drop()
	}
}

// decrypt opens and verifies a PrivateMessage of an epoch whose keys are there.
func (g *Group) decrypt(e *epoch, m *message.PrivateMessage) (*opened, error) {
	var scratch [256]byte
	key, nonce := g.senderDataKey(e, m.Ciphertext)
	encoded, err := g.suite.Open(key, nonce, m.AppendSenderDataAAD(scratch[:0]), m.EncryptedSenderData)
	if err != nil {
		return nil, fmt.Errorf("%w: sender data", ErrDecrypt)
	}
	data, err := message.UnmarshalSenderData(encoded)
	if err != nil {
		return nil, err
	}
	if data.Leaf == g.own {
		return nil, errOwn
	}
	leaf := g.leafAt(e, data.Leaf)
	if leaf == nil {
		return nil, fmt.Errorf("%w: leaf %d", ErrUnknownSender, data.Leaf)
	}
	o := &opened{leaf: leaf}
	if o.opening, err = e.secrets.Open(data.Leaf, ratchetOf(m.Type), data.Generation, g.config.MaxForward); err != nil {
		return nil, err
	}
	if o.content, err = g.open(e, m, o.opening.Key, data, leaf, scratch[:0]); err != nil {
		o.drop()
		return nil, err
	}
	return o, nil
}

func (g *Group) open(e *epoch, m *message.PrivateMessage, key *secrettree.Key, data message.SenderData, leaf *LeafNode, scratch []byte) (*message.AuthenticatedContent, error) {
	nonce := slices.Clone(key.Nonce)
	guard(nonce, data.ReuseGuard)
	plaintext, err := g.suite.Open(key.Key, nonce, m.AppendContentAAD(scratch), m.Ciphertext)
	if err != nil {
		return nil, fmt.Errorf("%w: from leaf %d", ErrDecrypt, data.Leaf)
	}
	a, err := m.UnmarshalPrivateContent(plaintext, message.MemberSender(data.Leaf))
	if err != nil {
		return nil, err
	}
	return a, g.verify(a, leaf.SignatureKey, e.encoded)
}

// verify checks the signature of a content.
func (g *Group) verify(a *message.AuthenticatedContent, signatureKey, encodedContext []byte) error {
	var scratch [2048]byte
	err := g.suite.VerifyWithLabel(signatureKey, "FramedContentTBS", a.AppendTBS(scratch[:0], encodedContext), a.Auth.Signature)
	if err != nil {
		return fmt.Errorf("%w: of a message: %w", ErrSignature, err)
	}
	return nil
}

// verifyPublic checks a PublicMessage of the current epoch (RFC 9420, section 6.2).
func (g *Group) verifyPublic(m *message.PublicMessage) (*opened, error) {
	a := m.Authenticated()
	if a.Content.Type == message.ContentApplication {
		return nil, fmt.Errorf("%w: application message that is not encrypted", ErrMalformed)
	}
	key, err := transition.SenderKey(a.Content, g.epoch.context.Extensions, g.tree.Leaf)
	if err != nil {
		return nil, err
	}
	if a.Content.Sender.Type == message.SenderMember &&
		!g.suite.VerifyMAC(g.secrets.Membership, m.MembershipTag, a.AppendTBM(nil, g.epoch.encoded)) {
		return nil, ErrMembershipTag
	}
	return &opened{content: a}, g.verify(a, key, g.epoch.encoded)
}
