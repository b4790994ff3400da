package mls

import (
	"bytes"
	"fmt"

	"github.com/quicproquo/qpq/mls/internal/transition"
	"github.com/quicproquo/qpq/mls/message"
)

// cachedProposal is a proposal that a commit may refer to.
type cachedProposal struct {
	number  int // its place among those of the epoch
	ref     []byte
	encoded []byte // the authenticated content
	dropped bool   // this client will not commit it
	item    transition.Item
}

// Proposals returns the proposals that wait for a commit, in the order that they came.
func (g *Group) Proposals() []AttributedProposal {
	var list []AttributedProposal
	for _, p := range g.waiting() {
		list = append(list, AttributedProposal{p.item.Proposal, p.item.Sender})
	}
	return list
}

// DropProposals sets aside proposals that wait for a commit, for instance because policy forbids them: those that which
// reports true for, all if it is nil. This client will not commit them; a commit of somebody else can still refer to
// them. It returns what to store.
func (g *Group) DropProposals(which func(AttributedProposal) bool) []Record {
	var records []Record
	for _, p := range g.waiting() {
		if which != nil && !which(AttributedProposal{p.item.Proposal, p.item.Sender}) {
			continue
		}
		p.dropped = true
		records = append(records, p.record())
	}
	return records
}

// waiting returns the proposals that this client would commit.
func (g *Group) waiting() (list []*cachedProposal) {
	for _, p := range g.proposals {
		if !p.dropped {
			list = append(list, p)
		}
	}
	return list
}

// cacheProposal verifies a proposal and keeps it for the next commit.
func (g *Group) cacheProposal(a *message.AuthenticatedContent) (*cachedProposal, error) {
	if err := g.checkProposal(a); err != nil {
		return nil, err
	}
	return g.addProposal(a), nil
}

func (g *Group) checkProposal(a *message.AuthenticatedContent) error {
	p, sender := a.Content.Proposal, a.Content.Sender
	if err := transition.CheckSender(p, sender); err != nil {
		return err
	}
	if p.Type() == message.ProposalSelfRemove && a.WireFormat != message.WirePublicMessage {
		return fmt.Errorf("%w: a self-remove must be a public message", ErrProposal)
	}
	return g.rules.Check(p, g.tree.Diff(), &g.epoch.context, sender)
}

func (g *Group) addProposal(a *message.AuthenticatedContent) *cachedProposal {
	encoded := a.Append(nil)
	c := &cachedProposal{number: len(g.proposals), ref: g.proposalRef(encoded), encoded: encoded,
		item: transition.Item{Proposal: a.Content.Proposal, Sender: a.Content.Sender, ByReference: true}}
	for _, old := range g.proposals {
		if bytes.Equal(old.ref, c.ref) {
			return old
		}
	}
	g.proposals = append(g.proposals, c)
	return c
}

// proposalRef returns the reference of a proposal (RFC 9420, section 5.2).
func (g *Group) proposalRef(encoded []byte) []byte {
	return g.suite.RefHash("MLS 1.0 Proposal Reference", encoded)
}

// proposal returns a proposal that a commit may refer to.
func (g *Group) proposal(ref []byte) (transition.Item, bool) {
	for _, p := range g.proposals {
		if bytes.Equal(p.ref, ref) {
			return p.item, true
		}
	}
	return transition.Item{}, false
}
