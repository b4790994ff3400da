package mls

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"io"
	"time"

	"github.com/quicproquo/qpq/mls/internal/suite"
	"github.com/quicproquo/qpq/mls/internal/transition"
	"github.com/quicproquo/qpq/mls/message"
)

// NoLimit, as a lifetime, stands for none.
const NoLimit = transition.NoLimit

// CredentialValidator decides what credentials prove: the authentication service of RFC 9420, section
// 5.3.1.
type CredentialValidator interface {
	// ValidateCredential returns an error unless c is true of whoever holds the signature key.
	ValidateCredential(c Credential, signatureKey []byte) error
	// ValidateSuccessor returns an error unless a member with the credential old may go on with next.
	ValidateSuccessor(old, next Credential) error
}

// Config is what an application decides about its groups. The zero value of each field but
// Credentials is a good choice. It may be shared by many groups and is not changed after first use.
type Config struct {
	// Credentials is required: without it nobody would know who anybody is.
	Credentials CredentialValidator
	// Authorize decides whether a sender may make a proposal, which includes proposals in commits. Nil
	// allows members everything and others nothing but external commits and what external_senders permits.
	Authorize func(p Proposal, sender Sender) error
	// PSK returns external pre-shared keys and those of components.
	PSK func(id PreSharedKeyID) ([]byte, bool)
	// AppData applies a component's updates, in order, to its entry in the group's application data
	// (draft-ietf-mls-extensions). Nil refuses such proposals.
	AppData func(c message.ComponentID, current []byte, updates [][]byte) ([]byte, error)

	// Clock tells the time. Nil is time.Now.
	Clock func() time.Time
	// Rand is where the package draws its own randomness. Nil is crypto/rand. Some key generation of the
	// standard library draws its own.
	Rand io.Reader
	// Padding returns how long a content of n bytes is to be made before it is encrypted. Nil is
	// PadToMultiple(64).
	Padding func(n int) int

	// HybridSuite is the code point of the post-quantum hybrid suite. Zero is 0xF001.
	HybridSuite CipherSuite
	// Extensions and Proposals are the types that the application supports beyond those of RFC 9420.
	// They are listed in the capabilities of its leaf nodes. A commit of a custom proposal has a path.
	Extensions []message.ExtensionType
	Proposals  []message.ProposalType
	// NoGREASE leaves out the values that keep other implementations tolerant (RFC 9420, section 13.5).
	NoGREASE bool
	// PublicHandshake sends proposals and commits signed but not encrypted, so that servers can follow.
	PublicHandshake bool

	// MaxForward is how many messages of one sender may be missing before one is refused. Zero is 1000.
	// As many keys of messages that were skipped are kept, but no more than 1000.
	MaxForward uint32
	// PastEpochs is for how many epochs late messages can be opened. Zero is 5, negative none.
	PastEpochs int
	// MaxMembers bounds the members of a group. Zero is 50,000.
	MaxMembers int
	// MaxMessageSize bounds a message, and a ratchet tree that comes beside one, in bytes. Zero is 128 MiB.
	MaxMessageSize int
	// Lifetime is for how long new key packages can be used. Zero is 84 days.
	Lifetime time.Duration
	// MaxLifetime bounds the lifetime of others' key packages. Zero is 400 days, NoLimit none.
	MaxLifetime time.Duration
}

// PadToMultiple returns a padding policy that fills up to a multiple of k bytes.
func PadToMultiple(k int) func(int) int { return func(n int) int { return (n + k - 1) / k * k } }

// NoPadding is the padding policy that adds nothing: the length of each message shows.
func NoPadding(n int) int { return n }

// filled returns c with all defaults in place.
func (c Config) filled() (*Config, error) {
	if c.Credentials == nil {
		return nil, fmt.Errorf("%w: Credentials is missing", ErrConfig)
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Padding == nil {
		c.Padding = PadToMultiple(64)
	}
	c.HybridSuite = cmp.Or(c.HybridSuite, MLKEM768X25519_AES128GCM_SHA256_Ed25519)
	c.MaxForward = cmp.Or(c.MaxForward, 1000)
	c.PastEpochs = cmp.Or(c.PastEpochs, 5)
	c.MaxMembers = cmp.Or(c.MaxMembers, transition.DefaultMembers)
	c.MaxMessageSize = cmp.Or(c.MaxMessageSize, transition.DefaultMessageSize)
	c.Lifetime = cmp.Or(c.Lifetime, 84*24*time.Hour)
	c.MaxLifetime = cmp.Or(c.MaxLifetime, transition.DefaultLifetime)
	return &c, nil
}

// suite returns a cipher suite by its code point.
func (c *Config) suite(id CipherSuite) (*suite.Suite, error) {
	s := suite.Lookup(uint16(id), uint16(c.HybridSuite))
	if s == nil {
		return nil, fmt.Errorf("%w: %#04x is not known", ErrSuite, uint16(id))
	}
	return s, nil
}

// random fills b.
func (c *Config) random(b []byte) error {
	r := c.Rand
	if r == nil {
		r = rand.Reader
	}
	if _, err := io.ReadFull(r, b); err != nil {
		return fmt.Errorf("draw randomness: %w", err)
	}
	return nil
}

func (c *Config) randomBytes(n int) ([]byte, error) {
	b := make([]byte, n)
	return b, c.random(b)
}

// rules returns what the application decides, in the form that validation takes it.
func (c *Config) rules(s *suite.Suite) *transition.Rules {
	r := &transition.Rules{
		Suite: s, MaxMembers: c.MaxMembers, MaxLifetime: c.MaxLifetime, AppData: c.AppData,
		Credential: c.Credentials.ValidateCredential,
		Successor:  c.Credentials.ValidateSuccessor,
		Proposal:   c.Authorize,
	}
	if r.Proposal == nil {
		r.Proposal = func(p Proposal, sender Sender) error {
			if sender.Type == message.SenderNewMemberProposal {
				return fmt.Errorf("nobody may propose itself")
			}
			return nil
		}
	}
	return r
}

// checkSize verifies that something from elsewhere is within the size limit, before anything is read of it.
func (c *Config) checkSize(data []byte) error {
	if len(data) > c.MaxMessageSize {
		return fmt.Errorf("%w: %d bytes, %d are allowed", ErrTooLarge, len(data), c.MaxMessageSize)
	}
	return nil
}

// unmarshal decodes an MLS message within the size limit.
func (c *Config) unmarshal(data []byte) (*message.Message, error) {
	if err := c.checkSize(data); err != nil {
		return nil, err
	}
	return message.Unmarshal(data)
}

// parse decodes what may come as an MLS message or bare. Where it is a message of another kind, the error is kind.
func parse[T any](c *Config, data []byte, kind error, wrapped func(*message.Message) *T, bare func([]byte) (*T, error)) (*T, error) {
	if err := c.checkSize(data); err != nil {
		return nil, err
	}
	m, err := message.Unmarshal(data)
	if err == nil {
		if v := wrapped(m); v != nil {
			return v, nil
		}
		err = fmt.Errorf("%w: the message is something else", kind)
	}
	if v, notBare := bare(data); notBare == nil {
		return v, nil
	}
	return nil, err
}
