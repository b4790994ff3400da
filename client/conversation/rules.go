package conversation

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/mls"
	"github.com/quicproquo/qpq/mls/message"
	"github.com/quicproquo/qpq/wire"
)

// The rules that members hold each other to (docs/protocol.md, section 12.1). They depend on the commit, on the group, and on
// which devices accounts revoked.

// breach is the error of a commit that breaks a rule.
func breach(format string, args ...any) error {
	return qpq.E(qpq.Denied, "rule", fmt.Sprintf(format, args...))
}

// check fails unless a commit keeps all rules.
func (g *Group) check(c mls.Change, e *effect) error {
	if e.external {
		return g.checkExternal(c, e)
	}
	for _, p := range c.Proposals {
		if err := g.checkProposal(p, e); err != nil {
			return err
		}
	}
	if err := g.checkDevices(e); err != nil {
		return err
	}
	if !e.extended {
		return nil
	}
	if !bytes.Equal(e.after.Founding, g.conversation.Founding) {
		return breach("%s changed how the conversation began", e.committer.User)
	}
	if g.founding.Direct {
		return g.checkDirect(e)
	}
	return g.checkMembers(c, e)
}

// checkExternal fails unless a device only joins: one of a member account, perhaps in place of its own old leaf.
func (g *Group) checkExternal(c mls.Change, e *effect) error {
	if _, ok := g.Role(e.committer.User); !ok {
		return breach("a device of %s, who is no member, wanted to join", e.committer.User)
	}
	if len(e.joined) != 1 || slices.ContainsFunc(e.left, func(d wire.MemberDevice) bool { return d != e.committer }) {
		return breach("a device of %s joined and changed others", e.committer.User)
	}
	for _, p := range c.Proposals {
		switch p.Proposal.(type) {
		case *message.ExternalInit, *message.Remove:
		default:
			return breach("a device of %s joined and proposed more than that", e.committer.User)
		}
	}
	return g.checkDevices(e)
}

// checkDevices fails unless every device is of a member account and has one leaf.
func (g *Group) checkDevices(e *effect) error {
	seen := map[wire.MemberDevice]bool{}
	keep := func(d wire.MemberDevice) error {
		if _, ok := roleIn(e.after.Members, d.User); !ok {
			return breach("a device of %s is in the group, who is no member", d.User)
		}
		if seen[d] {
			return breach("a device of %s is in the group twice", d.User)
		}
		seen[d] = true
		return nil
	}
	gone := map[wire.MemberDevice]bool{}
	for _, d := range e.left {
		gone[d] = true
	}
	for m := range g.mls.Members() {
		d, err := deviceOf(m.Leaf)
		if err != nil {
			return err
		}
		if !gone[d] {
			if err := keep(d); err != nil {
				return err
			}
		}
	}
	for _, d := range e.joined {
		if err := keep(d); err != nil {
			return err
		}
	}
	return nil
}

// checkProposal fails unless a proposal is of a kind that is used, and a removal has its reason.
func (g *Group) checkProposal(p mls.AttributedProposal, e *effect) error {
	switch x := p.Proposal.(type) {
	case *message.Add, *message.SelfRemove:
		return nil
	case *message.GroupContextExtensions:
		return g.checkExtensions(x.Extensions)
	case *message.Remove:
		d, err := g.deviceAt(x.Removed)
		if err != nil {
			return err
		}
		return g.checkRemoval(d, e)
	}
	return breach("a commit of %s has a proposal of type %d, which is not used", e.committer.User, p.Proposal.Type())
}

// checkRemoval fails unless a device may be removed: by its own account, with its account, or once it is revoked or its account deleted.
func (g *Group) checkRemoval(d wire.MemberDevice, e *effect) error {
	if d.User == e.committer.User {
		return nil
	}
	if _, stays := roleIn(e.after.Members, d.User); !stays {
		return nil // whether the account may be removed is asked elsewhere
	}
	state, err := g.config.Account(d.User)
	if err != nil || g.config.gone(d.User) {
		return err
	}
	if state == nil || !state.Revoked(d.Device) {
		return &UnknownDevices{Devices: []wire.MemberDevice{d}}
	}
	return nil
}

// checkExtensions fails if anything but the conversation changes.
func (g *Group) checkExtensions(next mls.Extensions) error {
	before := g.mls.Extensions()
	if len(next) != len(before) {
		return breach("extensions of the group were added or left out")
	}
	for i, x := range next {
		if x.Type != before[i].Type || x.Type != ExtensionConversation && !bytes.Equal(x.Data, before[i].Data) {
			return breach("an extension of the group was changed")
		}
	}
	return nil
}

// checkDirect fails if the accounts of a direct conversation change.
func (g *Group) checkDirect(e *effect) error {
	policy := g.conversation.Policy
	policy.TimerSeconds = e.after.Policy.TimerSeconds // either may change it
	if !slices.Equal(g.conversation.Members, e.after.Members) || e.after.Title != "" || e.after.Policy != policy {
		return qpq.E(qpq.Denied, wire.CodeDirect, fmt.Sprintf("%s wanted to change what a direct conversation is", e.committer.User))
	}
	return nil
}

// checkMembers fails unless the committer may change accounts, roles, title and policy as it does.
func (g *Group) checkMembers(c mls.Change, e *effect) error {
	own, ok := g.Role(e.committer.User)
	if !ok {
		return breach("%s is no member", e.committer.User)
	}
	if own < wire.RoleAdmin && (e.after.Title != g.conversation.Title || e.after.Policy != g.conversation.Policy) {
		return breach("%s, %s, may not change the title or the settings of a conversation: admins may", e.committer.User, WithArticle(own))
	}
	for _, m := range e.after.Members {
		if err := g.checkRole(m, own, e); err != nil {
			return err
		}
	}
	selfRemoved, err := g.selfRemoved(c)
	if err != nil {
		return err
	}
	for _, m := range g.conversation.Members {
		if _, stays := roleIn(e.after.Members, m.User); stays || selfRemoved[m.User] {
			continue
		}
		if g.config.gone(m.User) {
			continue
		}
		if own < wire.RoleModerator || own <= m.Role {
			why := breach("%s, %s, may not remove %s, %s", e.committer.User, WithArticle(own), m.User, WithArticle(m.Role))
			return &UnknownDevices{[]wire.MemberDevice{{User: m.User}}, why}
		}
	}
	if hasOwner(g.conversation.Members) && !hasOwner(e.after.Members) && !g.ownersLeft(selfRemoved) {
		return breach("%s left the conversation without an owner", e.committer.User)
	}
	return nil
}

// checkRole fails unless the committer, of the role own, may give an account the role that it has afterwards.
func (g *Group) checkRole(m wire.MemberRole, own wire.Role, e *effect) error {
	before, was := g.Role(m.User)
	switch {
	case was && before == m.Role, !was && m.Role == wire.RoleMember:
		return nil
	case own < wire.RoleAdmin || m.Role > own || was && before > own:
		return breach("%s, %s, may not make %s %s", e.committer.User, WithArticle(own), m.User, WithArticle(m.Role))
	}
	return nil
}

// selfRemoved returns the accounts whose devices all left by themselves in a commit.
func (g *Group) selfRemoved(c mls.Change) (map[qpq.UserID]bool, error) {
	leaves := map[mls.LeafIndex]bool{}
	for _, p := range c.Proposals {
		if _, ok := p.Proposal.(*message.SelfRemove); ok {
			leaves[mls.LeafIndex(p.Sender.Index)] = true
		}
	}
	out := map[qpq.UserID]bool{}
	if len(leaves) == 0 {
		return out, nil
	}
	remains := map[qpq.UserID]bool{}
	for m := range g.mls.Members() {
		d, err := deviceOf(m.Leaf)
		if err != nil {
			return nil, err
		}
		if leaves[m.Index] {
			out[d.User] = true
		} else {
			remains[d.User] = true
		}
	}
	for u := range remains {
		delete(out, u)
	}
	return out, nil
}

func hasOwner(members []wire.MemberRole) bool {
	return slices.ContainsFunc(members, func(m wire.MemberRole) bool { return m.Role == wire.RoleOwner })
}

// ownersLeft reports whether all owners left by themselves.
func (g *Group) ownersLeft(selfRemoved map[qpq.UserID]bool) bool {
	for _, m := range g.conversation.Members {
		if m.Role == wire.RoleOwner && !selfRemoved[m.User] && !g.config.gone(m.User) {
			return false
		}
	}
	return true
}
