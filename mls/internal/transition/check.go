package transition

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/quicproquo/qpq/mls/internal/tree"
	"github.com/quicproquo/qpq/mls/message"
)

// CheckSender verifies that the role of a sender allows a proposal (RFC 9420, section 12.1.8, and
// draft-ietf-mls-extensions).
func CheckSender(p message.Proposal, sender message.Sender) error {
	allowed := true
	switch sender.Type {
	case message.SenderMember:
		allowed = p.Type() != message.ProposalExternalInit
	case message.SenderNewMemberProposal:
		allowed = p.Type() == message.ProposalAdd
	case message.SenderNewMemberCommit:
		switch p.Type() {
		case message.ProposalExternalInit, message.ProposalRemove, message.ProposalPreSharedKey,
			message.ProposalAppDataUpdate, message.ProposalAppEphemeral:
		default:
			allowed = false
		}
	case message.SenderExternal:
		switch p.Type() {
		case message.ProposalUpdate, message.ProposalExternalInit, message.ProposalSelfRemove:
			allowed = false
		}
	}
	if !allowed {
		return fmt.Errorf("%w: type %d from a sender of type %d", ErrProposal, p.Type(), sender.Type)
	}
	return nil
}

// Check verifies one proposal against the group that d and context are (RFC 9420, section 12.1). What
// depends on the other proposals of a commit is not asked.
func (r *Rules) Check(p message.Proposal, d *tree.Diff, context *message.GroupContext, sender message.Sender) error {
	if r.Proposal != nil {
		if err := r.Proposal(p, sender); err != nil {
			return fmt.Errorf("%w: %w", ErrProposal, err)
		}
	}
	switch p := p.(type) {
	case *message.Add:
		return r.CheckKeyPackage(p.KeyPackage)
	case *message.Update:
		l := tree.Leaf(sender.Index)
		old := d.Leaf(l)
		if old == nil {
			return fmt.Errorf("%w: update of the blank leaf %d", ErrProposal, l)
		}
		return r.CheckReplacement(old, p.LeafNode, message.SourceUpdate, context.GroupID, l)
	case *message.Remove:
		if d.Leaf(p.Removed) == nil {
			return fmt.Errorf("%w: removal of the blank leaf %d", ErrProposal, p.Removed)
		}
	case *message.SelfRemove:
		if d.Leaf(tree.Leaf(sender.Index)) == nil {
			return fmt.Errorf("%w: removal of the blank leaf %d", ErrProposal, sender.Index)
		}
	case *message.PreSharedKey:
		return r.checkPSK(p.PSK)
	case *message.ReInit:
		if p.Version < context.Version {
			return fmt.Errorf("%w: re-initialisation with version %d", ErrProposal, p.Version)
		}
	case *message.GroupContextExtensions:
		return r.checkExtensions(p.Extensions, context.Extensions)
	}
	return nil
}

func (r *Rules) checkPSK(id message.PreSharedKeyID) error {
	if len(id.Nonce) != r.Suite.HashSize() {
		return fmt.Errorf("%w: nonce of %d bytes for a pre-shared key", ErrProposal, len(id.Nonce))
	}
	if id.Type == message.PSKResumption && id.Usage != message.ResumptionApplication && id.Usage != r.ResumptionUsage {
		return fmt.Errorf("%w: resumption key of usage %d", ErrProposal, id.Usage)
	}
	return nil
}

func (r *Rules) checkExtensions(next, current message.Extensions) error {
	required, err := Required(next)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrProposal, err)
	}
	before, err := Required(current)
	if err != nil {
		return err
	}
	if slices.Contains(before.Proposals, message.ProposalAppDataUpdate) || slices.Contains(required.Proposals, message.ProposalAppDataUpdate) {
		was, had := current.Find(message.ExtensionAppDataDictionary)
		will, has := next.Find(message.ExtensionAppDataDictionary)
		if had != has || !bytes.Equal(was, will) {
			return fmt.Errorf("%w: application data changes by proposals of its own", ErrProposal)
		}
	}
	return r.CheckExternalSenders(next)
}

// CheckExternalSenders verifies the external_senders extension, if there is one.
func (r *Rules) CheckExternalSenders(extensions message.Extensions) error {
	data, ok := extensions.Find(message.ExtensionExternalSenders)
	if !ok {
		return nil
	}
	senders, err := message.UnmarshalExternalSenders(data)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrProposal, err)
	}
	for _, e := range senders {
		if r.Credential == nil {
			continue
		}
		if err := r.Credential(e.Credential, e.SignatureKey); err != nil {
			return fmt.Errorf("%w: external sender: %w", ErrCredential, err)
		}
	}
	return nil
}
