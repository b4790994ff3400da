package conversation

import (
	"fmt"
	"slices"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/mls"
	"github.com/quicproquo/qpq/mls/message"
	"github.com/quicproquo/qpq/wire"
)

// Change is what a commit is to do. The zero value gives this device fresh keys, and commits proposals that wait.
type Change struct {
	Add     []*mls.KeyPackage   // devices of members, or of accounts in Members
	Drop    []wire.MemberDevice // devices to remove
	Members []wire.MemberRole   // accounts to become members, and new roles
	Remove  []qpq.UserID        // accounts to remove with all their devices
	Title   *string
	Policy  *wire.ChannelPolicy
}

// Commit prepares a commit that takes a slot, and what its hub needs beside it. Nothing changes before Apply. Records of the
// pending commit have to be stored before it is sent.
func (g *Group) Commit(slot uint64, c Change) (*mls.PendingCommit, *wire.ChannelCommit, error) {
	proposals, err := g.proposals(c)
	if err != nil {
		return nil, nil, err
	}
	var claim wire.Claim
	var e *effect
	var refused error
	settle := func(change mls.Change, o *mls.CommitOptions) error {
		if e, refused = g.effectOf(change); refused == nil {
			refused = g.check(change, e)
		}
		if refused == nil {
			claim = g.claim(e, slot)
			refused = g.describe(claim, o)
		}
		return refused
	}
	p, err := g.mls.Commit(mls.CommitOptions{Proposals: proposals, Settle: settle})
	switch {
	case refused != nil:
		return nil, nil, refused
	case err != nil:
		return nil, nil, qpq.Wrap(qpq.Invalid, "cannot-commit", fmt.Sprintf("the change cannot be made: %v", err), err)
	}
	request, err := g.request(p, claim, e, g.mls.RatchetTree())
	if err != nil {
		p.Discard()
		return nil, nil, err
	}
	return p, request, nil
}

// describe puts the claim of a commit into it, and what those who join by it need.
func (g *Group) describe(claim wire.Claim, o *mls.CommitOptions) (err error) {
	if o.AuthenticatedData, err = wire.Marshal(claim); err != nil {
		return err
	}
	o.GroupInfo = mls.GroupInfoOptions{ExternalPub: true}
	if claim.Rekeys {
		return nil
	}
	grant, err := wire.Marshal(wire.AccessGrant{Slot: g.access.Slot, Key: [32]byte(g.access.Key)})
	o.GroupInfo.Extensions = mls.Extensions{{Type: ExtensionAccess, Data: grant}}
	return err
}

// request returns what the hub is told of a pending commit. It has the ratchet tree of the slot before; nil stands for none.
func (g *Group) request(p *mls.PendingCommit, claim wire.Claim, e *effect, before []byte) (*wire.ChannelCommit, error) {
	access := g.access
	granted := slices.DeleteFunc(slices.Clone(e.after.Members), func(m wire.MemberRole) bool {
		_, before := g.Role(m.User)
		return before && !claim.Rekeys // has it
	})
	if claim.Rekeys {
		var err error
		if access, err = exportAccess(p, g.founding.Channel, claim.Slot); err != nil {
			return nil, err
		}
		before = nil // all chunks are sealed anew
	}
	info, err := p.GroupInfo(mls.GroupInfoOptions{WithoutTree: true, ExternalPub: true})
	if err != nil {
		return nil, err
	}
	ratchetTree, err := p.RatchetTree()
	if err != nil {
		return nil, err
	}
	state, err := g.sealState(claim.Slot, access, info, ratchetTree, before)
	if err != nil {
		return nil, err
	}
	if state.AccessKeys, err = g.grant(granted, access); err != nil {
		return nil, err
	}
	return &wire.ChannelCommit{Channel: g.founding.Channel, Commit: p.Message, Welcome: p.Welcome, Group: *state}, nil
}

// Resend returns what the hub is told of a commit that is pending since before a restart, and all chunks with it.
func (g *Group) Resend(p *mls.PendingCommit) (*wire.ChannelCommit, error) {
	claim, err := ClaimOf(p.Message)
	if err != nil {
		return nil, err
	}
	e, err := g.effectOf(p.Change)
	if err != nil {
		return nil, err
	}
	return g.request(p, claim, e, nil)
}

// State returns the state of the group after the last slot that was accepted, with all chunks and access keys: for a hub that lost it.
func (g *Group) State() (*wire.GroupState, error) {
	info, err := g.mls.GroupInfo(mls.GroupInfoOptions{WithoutTree: true, ExternalPub: true})
	if err != nil {
		return nil, err
	}
	state, err := g.sealState(g.slot, g.access, info, g.mls.RatchetTree(), nil)
	if err != nil {
		return nil, err
	}
	state.AccessKeys, err = g.grant(g.conversation.Members, g.access)
	return state, err
}

// Pending returns the commit of this device that was neither applied nor discarded, nil if there is none.
func (g *Group) Pending() *mls.PendingCommit { return g.mls.Pending() }

// proposals puts a change into MLS's words.
func (g *Group) proposals(c Change) ([]mls.Proposal, error) {
	var list []mls.Proposal
	for _, k := range c.Add {
		list = append(list, &message.Add{KeyPackage: k})
	}
	next := g.conversation
	next.Members = slices.Clone(next.Members)
	for _, m := range c.Members {
		next.Members = slices.DeleteFunc(next.Members, func(o wire.MemberRole) bool { return o.User == m.User })
		next.Members = append(next.Members, m)
	}
	selfRemoved, err := g.selfRemoved(mls.Change{Proposals: g.mls.Proposals()})
	if err != nil {
		return nil, err
	}
	next.Members = slices.DeleteFunc(next.Members, func(o wire.MemberRole) bool {
		return slices.Contains(c.Remove, o.User) || selfRemoved[o.User] && !g.founding.Direct
	})
	slices.SortFunc(next.Members, compareRoles)
	for m := range g.mls.Members() {
		d, err := deviceOf(m.Leaf)
		if err != nil {
			return nil, err
		}
		if slices.Contains(c.Drop, d) || slices.Contains(c.Remove, d.User) {
			list = append(list, &message.Remove{Removed: m.Index})
		}
	}
	if c.Title != nil {
		next.Title = *c.Title
	}
	if c.Policy != nil {
		next.Policy = *c.Policy
	}
	if !slices.Equal(next.Members, g.conversation.Members) || next.Title != g.conversation.Title || next.Policy != g.conversation.Policy {
		x, err := g.extensions(next)
		if err != nil {
			return nil, err
		}
		list = append(list, &message.GroupContextExtensions{Extensions: x})
	}
	return list, nil
}

// extensions returns the group context's extensions with another conversation.
func (g *Group) extensions(next wire.Conversation) (mls.Extensions, error) {
	data, err := wire.Marshal(next)
	if err != nil {
		return nil, err
	}
	x := slices.Clone(g.mls.Extensions())
	for i := range x {
		if x[i].Type == ExtensionConversation {
			x[i].Data = data
		}
	}
	return x, nil
}
