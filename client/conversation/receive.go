package conversation

import (
	"errors"
	"fmt"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/mls"
	"github.com/quicproquo/qpq/mls/message"
	"github.com/quicproquo/qpq/wire"
)

// The errors of Receive and Accept that callers tell apart, with errors.Is.
var (
	// ErrVoid says that a commit counts for nobody: whoever made it broke a rule, as all members see.
	ErrVoid = errors.New("the commit is void")
	// ErrUnreadable says that a message or commit could not be opened here. Others may be able to.
	ErrUnreadable = errors.New("cannot be read on this device")
	// ErrKnown says that a message was received before, or is this device's own.
	ErrKnown = errors.New("is known already")
)

// Text is an application message.
type Text struct {
	Records []mls.Record
	From    wire.MemberDevice
	Content []byte
}

// Receive opens a message that is no commit. The result is nil for a proposal, which is set aside: what members propose counts only
// with the hub's word (Farewell). It fails with ErrKnown and ErrUnreadable.
func (g *Group) Receive(payload []byte) (*Text, []mls.Record, error) {
	received, err := g.mls.Process(payload)
	if errors.Is(err, mls.ErrConsumed) {
		return nil, nil, ErrKnown
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	switch m := received.(type) {
	case *mls.ApplicationMessage:
		from, err := deviceOf(m.SenderLeaf)
		return &Text{Records: m.Records, From: from, Content: m.Plaintext}, m.Records, err
	case *mls.ReceivedProposal:
		return nil, g.putAside(m), nil
	case *mls.Echo:
		return nil, nil, ErrKnown
	}
	return nil, nil, fmt.Errorf("%w: a commit came as a message", ErrUnreadable)
}

// Farewell takes the proposal by which the last device of an account leaves, which waits for a commit: the hub says that the account
// left. It fails with ErrKnown and ErrUnreadable; anything else than such a proposal is set aside.
func (g *Group) Farewell(u qpq.UserID, goodbye []byte) ([]mls.Record, error) {
	received, err := g.mls.Process(goodbye)
	if errors.Is(err, mls.ErrConsumed) {
		return nil, ErrKnown
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	switch m := received.(type) {
	case *mls.ReceivedProposal:
		from, err := g.deviceAt(mls.LeafIndex(m.Sender.Index))
		if err != nil {
			return nil, err
		}
		if _, ok := m.Proposal.(*message.SelfRemove); !ok || from.User != u || g.founding.Direct {
			return g.putAside(m), nil
		}
		return m.Records, nil
	case *mls.ApplicationMessage:
		return m.Records, nil
	}
	return nil, ErrKnown
}

// putAside sets a proposal aside that was received. It returns what to store.
func (g *Group) putAside(m *mls.ReceivedProposal) []mls.Record {
	return append(m.Records, g.mls.DropProposals(func(p mls.AttributedProposal) bool { return p.Proposal == m.Proposal })...)
}

// Encrypt encrypts an application message. Where Waiting reports proposals, they have to be committed first.
func (g *Group) Encrypt(content []byte) (*mls.Outgoing, error) { return g.mls.Encrypt(content, nil) }

// Waiting reports whether proposals wait for a commit.
func (g *Group) Waiting() bool { return len(g.mls.Proposals()) > 0 }

// SetAside sets the proposals that wait aside: they cannot be committed. It returns what to store.
func (g *Group) SetAside() []mls.Record { return g.mls.DropProposals(nil) }

// Leave returns the message by which this device leaves; somebody else commits it. The group goes on until then.
func (g *Group) Leave() (*mls.Outgoing, error) {
	out, err := g.mls.ProposeSelfRemove()
	if err != nil {
		return nil, err
	}
	own := message.MemberSender(g.mls.OwnIndex()) // here it must not wait: nobody commits that they leave
	out.Records = append(out.Records, g.mls.DropProposals(func(p mls.AttributedProposal) bool { return p.Sender == own })...)
	return out, nil
}

// Accepted is a commit that took effect.
type Accepted struct {
	Records   []mls.Record
	Committer wire.MemberDevice
	External  bool // the committer joined by it
	Claim     wire.Claim
	Before    wire.Conversation
	After     wire.Conversation
	Removed   bool // this device is no longer a member
	Left      bool // the accounts that it removes left by themselves
}

// Accept takes the commit of a slot that builds on the last accepted one. It fails with ErrVoid, ErrUnreadable, and with
// *UnknownDevices where an account has to be looked up first; then nothing changed.
func (g *Group) Accept(slot uint64, commit []byte) (*Accepted, error) {
	claim, err := ClaimOf(commit)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrVoid, err)
	}
	if claim.Slot != slot || claim.Parent != g.slot {
		return nil, fmt.Errorf("%w: its claim is for slot %d after %d", ErrVoid, claim.Slot, claim.Parent)
	}
	received, err := g.mls.Process(commit)
	if err != nil {
		return nil, judge(err)
	}
	switch m := received.(type) {
	case *mls.Echo:
		if m.Commit != nil {
			return g.Apply(m.Commit)
		}
		return nil, fmt.Errorf("%w: it is an own commit that was given up", ErrUnreadable)
	case *mls.StagedCommit:
		e, err := g.effectOf(m.Change)
		if err == nil {
			err = g.check(m.Change, e)
		}
		if err == nil && !sameClaim(claim, g.claim(e, slot)) {
			err = qpq.E(qpq.Denied, wire.CodeBadClaim, fmt.Sprintf("%s claimed something else than its commit does", e.committer.User))
		}
		if err != nil {
			return nil, judge(err)
		}
		left, err := g.selfRemoved(m.Change)
		if err != nil {
			return nil, err
		}
		records, err := m.Merge()
		if err != nil {
			return nil, err
		}
		return g.advance(e, claim, left, records)
	}
	return nil, fmt.Errorf("%w: it is no commit", ErrVoid)
}

// judge says what it means that a commit was not accepted.
func judge(err error) error {
	var unknown *UnknownDevices
	switch {
	case errors.As(err, &unknown):
		return unknown
	case errors.Is(err, mls.ErrState), errors.Is(err, qpq.Damaged), errors.Is(err, qpq.Exhausted):
		return err
	case errors.Is(err, mls.ErrDecrypt), errors.Is(err, mls.ErrConsumed), errors.Is(err, mls.ErrTooFar),
		errors.Is(err, mls.ErrConfirmationTag), errors.Is(err, mls.ErrPath), errors.Is(err, mls.ErrUnknownProposal):
		return fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	return fmt.Errorf("%w: %w", ErrVoid, err)
}

// Apply takes effect of this device's own commit, which its hub gave the slot that it claimed.
func (g *Group) Apply(p *mls.PendingCommit) (*Accepted, error) {
	claim, err := ClaimOf(p.Message)
	if err != nil {
		return nil, err
	}
	e, err := g.effectOf(p.Change)
	if err != nil {
		return nil, err
	}
	left, err := g.selfRemoved(p.Change)
	if err != nil {
		return nil, err
	}
	records, err := p.Apply()
	if err != nil {
		return nil, err
	}
	return g.advance(e, claim, left, records)
}

// advance notes that a commit took effect.
func (g *Group) advance(e *effect, claim wire.Claim, left map[qpq.UserID]bool, records []mls.Record) (*Accepted, error) {
	a := &Accepted{Records: records, Committer: e.committer, External: e.external, Claim: claim, Before: g.conversation, After: e.after, Removed: g.mls.Removed()}
	for _, u := range claim.Removed {
		a.Left = a.Left || left[u]
	}
	g.slot, g.conversation = claim.Slot, e.after
	if claim.Rekeys && !a.Removed {
		access, err := exportAccess(g.mls, g.founding.Channel, claim.Slot)
		if err != nil {
			return nil, err
		}
		g.access = access
	}
	return a, nil
}
