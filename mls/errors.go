package mls

import (
	"errors"

	"github.com/quicproquo/qpq/mls/internal/secrettree"
	"github.com/quicproquo/qpq/mls/internal/transition"
	"github.com/quicproquo/qpq/mls/internal/tree"
	"github.com/quicproquo/qpq/mls/message"
)

// The errors that callers may want to tell apart, with errors.Is. All others that a peer can cause
// mean that the message is not valid.
var (
	ErrMalformed       = message.ErrMalformed // the encoding of a message is not valid
	ErrTooLarge        = errors.New("message is too large")
	ErrConfig          = errors.New("invalid configuration")
	ErrSuite           = transition.ErrSuite // a cipher suite is unknown or not that of the group
	ErrWrongGroup      = errors.New("message is for another group")
	ErrWrongEpoch      = errors.New("message is for another epoch")
	ErrEpochGone       = errors.New("message is for an epoch whose keys are gone")
	ErrSignature       = transition.ErrSignature // a signature is not valid
	ErrMembershipTag   = errors.New("membership tag is not valid")
	ErrConfirmationTag = errors.New("confirmation tag is not valid")
	ErrDecrypt         = errors.New("message cannot be decrypted")
	ErrConsumed        = secrettree.ErrConsumed // the message was opened already, or its key was dropped
	ErrTooFar          = secrettree.ErrTooFar   // the message is too far ahead of those that were opened
	ErrUnknownSender   = transition.ErrUnknownSender
	ErrProposal        = transition.ErrProposal // a proposal, or a list of them, is not valid
	ErrUnknownProposal = transition.ErrUnknownProposal
	ErrPathRequired    = transition.ErrPathRequired
	ErrPath            = tree.ErrPath // the path of a commit is not valid
	ErrParentHash      = transition.ErrParentHash
	ErrTree            = tree.ErrInvalid // a ratchet tree is not valid
	ErrDuplicateKey    = tree.ErrDuplicateKey
	ErrLeafNode        = transition.ErrLeafNode
	ErrKeyPackage      = transition.ErrKeyPackage
	ErrCredential      = transition.ErrCredential   // the application refused a credential
	ErrCapabilities    = transition.ErrCapabilities // a member lacks something that the group requires
	ErrLifetime        = transition.ErrLifetime
	ErrTooManyMembers  = transition.ErrMembers
	ErrMissingPSK      = errors.New("pre-shared key is not known")
	ErrWelcome         = errors.New("invalid welcome")
	ErrGroupInfo       = transition.ErrGroupInfo
	ErrNotForMe        = errors.New("welcome is for none of the given key packages")
	ErrNoTree          = transition.ErrNoTree
	ErrRemoved         = errors.New("this client was removed from the group")
	ErrReInit          = errors.New("group was ended by a re-initialisation")
	ErrDowngrade       = errors.New("group of a post-quantum suite would be replaced by one without")
	ErrPendingCommit   = errors.New("a commit is pending: apply or discard it first")
	ErrPendingProposal = errors.New("proposals are pending: commit them before sending")
	ErrStale           = errors.New("group moved on since this was made")
	ErrJoining         = errors.New("join is not confirmed yet: apply the pending commit first")
	ErrState           = errors.New("stored state is damaged")
)
