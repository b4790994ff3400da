// Package schedule is the key schedule (RFC 9420, section 8): from the secrets of one epoch, a commit
// and pre-shared keys to the secrets of the next.
package schedule

import (
	"bytes"
	"fmt"
	"io"

	"github.com/quicproquo/qpq/mls/internal/codec"
	"github.com/quicproquo/qpq/mls/internal/suite"
	"github.com/quicproquo/qpq/mls/message"
)

// Epoch holds the secrets of one epoch (RFC 9420, section 8, table 4).
type Epoch struct {
	SenderData      []byte
	Encryption      []byte
	Exporter        []byte
	External        []byte
	Confirmation    []byte
	Membership      []byte
	Resumption      []byte
	Authenticator   []byte
	Init            []byte
	suite           *suite.Suite
	externalKeyPair *suite.KeyPair
}

// Format keeps the secrets out of logs.
func (e Epoch) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[epoch secrets]") }

// MarshalText returns a placeholder, for encoding/json and log/slog.
func (e Epoch) MarshalText() ([]byte, error) { return []byte("[epoch secrets]"), nil }

// Joiner computes the joiner secret of the epoch that context, encoded, describes.
func Joiner(s *suite.Suite, initSecret, commitSecret, context []byte) []byte {
	extracted := s.Extract(initSecret, commitSecret)
	defer clear(extracted)
	return s.ExpandWithLabel(extracted, "joiner", context, s.HashSize())
}

// member computes the secret that joiner and pre-shared keys make.
func member(s *suite.Suite, joiner, psk []byte) []byte { return s.Extract(joiner, psk) }

// Welcome computes the key and nonce that the group info in a welcome is sealed with.
func Welcome(s *suite.Suite, joiner, psk []byte) (key, nonce []byte) {
	m := member(s, joiner, psk)
	secret := s.DeriveSecret(m, "welcome")
	defer clear(m)
	defer clear(secret)
	return s.ExpandWithLabel(secret, "key", nil, s.KeySize()), s.ExpandWithLabel(secret, "nonce", nil, s.NonceSize())
}

// New computes the secrets of the epoch that context, encoded, describes.
func New(s *suite.Suite, joiner, psk, context []byte) *Epoch {
	m := member(s, joiner, psk)
	epoch := s.ExpandWithLabel(m, "epoch", context, s.HashSize())
	clear(m)
	return FromEpochSecret(s, epoch)
}

// FromEpochSecret computes the secrets of an epoch from its epoch secret, which it wipes.
func FromEpochSecret(s *suite.Suite, epoch []byte) *Epoch {
	defer clear(epoch)
	return &Epoch{
		SenderData:    s.DeriveSecret(epoch, "sender data"),
		Encryption:    s.DeriveSecret(epoch, "encryption"),
		Exporter:      s.DeriveSecret(epoch, "exporter"),
		External:      s.DeriveSecret(epoch, "external"),
		Confirmation:  s.DeriveSecret(epoch, "confirm"),
		Membership:    s.DeriveSecret(epoch, "membership"),
		Resumption:    s.DeriveSecret(epoch, "resumption"),
		Authenticator: s.DeriveSecret(epoch, "authentication"),
		Init:          s.DeriveSecret(epoch, "init"),
		suite:         s,
	}
}

func (e *Epoch) fields() []*[]byte {
	return []*[]byte{&e.SenderData, &e.Encryption, &e.Exporter, &e.External, &e.Confirmation, &e.Membership,
		&e.Resumption, &e.Authenticator, &e.Init}
}

// Append appends an encoding of the secrets, for Decode.
func (e *Epoch) Append(b []byte) []byte {
	for _, f := range e.fields() {
		b = codec.AppendVec(b, *f)
	}
	return b
}

// Decode reads what Append wrote.
func Decode(s *suite.Suite, d *codec.Decoder) *Epoch {
	e := &Epoch{suite: s}
	for _, f := range e.fields() {
		*f = bytes.Clone(d.Vec())
	}
	return e
}

// Complete reports whether all secrets are there. The one of messages is not asked: a secret tree takes it over.
func (e *Epoch) Complete() bool {
	for _, f := range e.fields() {
		if f != &e.Encryption && len(*f) != e.suite.HashSize() {
			return false
		}
	}
	return true
}

// Wipe erases the secrets.
func (e *Epoch) Wipe() {
	for _, f := range e.fields() {
		clear(*f)
		*f = nil
	}
	if e.externalKeyPair != nil {
		e.externalKeyPair.Wipe()
	}
}

// ExternalKeyPair returns the key pair that people join by an external commit with (RFC 9420, section
// 8.3). It is computed when it is first wanted.
func (e *Epoch) ExternalKeyPair() (*suite.KeyPair, error) {
	if e.externalKeyPair != nil {
		return e.externalKeyPair, nil
	}
	pair, err := e.suite.DeriveKeyPair(e.External)
	e.externalKeyPair = pair
	return pair, err
}

// Export computes a secret for use outside of MLS (RFC 9420, section 8.5).
func (e *Epoch) Export(label string, context []byte, n int) []byte {
	secret := e.suite.DeriveSecret(e.Exporter, label)
	defer clear(secret)
	return e.suite.ExpandWithLabel(secret, "exported", e.suite.Hash(context), n)
}

// ConfirmationTag computes the tag that confirms a transcript (RFC 9420, section 6.1).
func (e *Epoch) ConfirmationTag(confirmedTranscriptHash []byte) []byte {
	return e.suite.MAC(e.Confirmation, confirmedTranscriptHash)
}

// externalInitLabel is the exporter context of an external init (RFC 9420, section 8.3).
const externalInitLabel = "MLS 1.0 external init secret"

// NewExternalInit makes an init secret for those who hold the external key, and what tells it to them.
func NewExternalInit(s *suite.Suite, externalPub []byte) (kemOutput, initSecret []byte, err error) {
	return s.EncapExport(nil, externalPub, nil, []byte(externalInitLabel), s.HashSize())
}

// ExternalInit returns the init secret that an ExternalInit proposal carries.
func (e *Epoch) ExternalInit(kemOutput []byte) ([]byte, error) {
	pair, err := e.ExternalKeyPair()
	if err != nil {
		return nil, err
	}
	return e.suite.DecapExport(pair, kemOutput, nil, []byte(externalInitLabel), e.suite.HashSize())
}

// PSK is a pre-shared key with the name of this use of it.
type PSK struct {
	ID     message.PreSharedKeyID
	Secret []byte
}

// PSKSecret combines pre-shared keys (RFC 9420, section 8.4); without any it is all zero.
func PSKSecret(s *suite.Suite, psks []PSK) []byte {
	zero := make([]byte, s.HashSize())
	secret := make([]byte, s.HashSize())
	for i, psk := range psks {
		extracted := s.Extract(zero, psk.Secret)
		label := psk.ID.Append(nil)
		label = codec.AppendUint16(label, uint16(i))
		label = codec.AppendUint16(label, uint16(len(psks)))
		input := s.ExpandWithLabel(extracted, "derived psk", label, s.HashSize())
		secret = s.Extract(input, secret)
		clear(extracted)
		clear(input)
	}
	return secret
}

// ConfirmedTranscriptHash extends the transcript by a commit (RFC 9420, section 8.2).
func ConfirmedTranscriptHash(s *suite.Suite, interimBefore []byte, commit *message.AuthenticatedContent) []byte {
	return s.Hash(interimBefore, commit.AppendConfirmedInput(nil))
}

// InterimTranscriptHash extends the confirmed transcript by a confirmation tag.
func InterimTranscriptHash(s *suite.Suite, confirmed, confirmationTag []byte) []byte {
	return s.Hash(confirmed, codec.AppendVec(nil, confirmationTag))
}
