// Package transition is what proposals do to a group: whether a list of them is valid (RFC 9420,
// section 12.2), and the tree and extensions that come of it (section 12.3). Members and those who only
// follow a group's public messages share it, so that they judge alike.
package transition

import (
	"errors"
	"math"
	"time"

	"github.com/quicproquo/qpq/mls/internal/suite"
	"github.com/quicproquo/qpq/mls/internal/tree"
	"github.com/quicproquo/qpq/mls/message"
)

// The errors of this package; the public packages name them too.
var (
	ErrLeafNode     = errors.New("invalid leaf node")
	ErrKeyPackage   = errors.New("invalid key package")
	ErrCredential   = errors.New("credential refused")
	ErrCapabilities = errors.New("required capabilities are missing")
	ErrLifetime     = errors.New("lifetime refused")
	ErrProposal     = errors.New("invalid proposal")
	ErrSuite        = errors.New("wrong cipher suite")
	ErrMembers      = tree.ErrMembers
	ErrSignature    = errors.New("invalid signature")
	ErrGroupInfo    = errors.New("invalid group info")
	ErrNoTree       = errors.New("ratchet tree is needed")
)

// The limits where an application sets none.
const (
	DefaultMembers     = 50_000
	DefaultMessageSize = 128 << 20 // bytes
	DefaultLifetime    = 400 * 24 * time.Hour
)

// NoLimit, as a lifetime, stands for none.
const NoLimit = time.Duration(math.MaxInt64)

// Rules is what the application decides. Every field but Suite may be left zero.
type Rules struct {
	Suite      *suite.Suite
	MaxMembers int
	// MaxLifetime bounds how long a key package may be valid; zero or NoLimit: no bound.
	MaxLifetime time.Duration
	// Credential decides whether a credential speaks the truth about who holds the key.
	Credential func(c message.Credential, signatureKey []byte) error
	// Successor decides whether a member may replace its credential.
	Successor func(old, next message.Credential) error
	// Proposal decides whether a proposal is authorised, and knows the custom types.
	Proposal func(p message.Proposal, sender message.Sender) error
	// AppData applies a component's updates, in order, to its entry.
	AppData func(c message.ComponentID, current []byte, updates [][]byte) ([]byte, error)
	// ResumptionUsage allows pre-shared keys of this usage besides the usual one, for the commit that
	// starts a group in another's place.
	ResumptionUsage message.ResumptionUsage
}
