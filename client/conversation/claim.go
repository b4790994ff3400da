package conversation

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/mls"
	"github.com/quicproquo/qpq/mls/frame"
	"github.com/quicproquo/qpq/mls/message"
	"github.com/quicproquo/qpq/wire"
)

// ClaimOf reads the claim of a commit. It verifies nothing: whoever handed the commit in may have made it up.
func ClaimOf(commit []byte) (wire.Claim, error) {
	h, err := frame.Parse(commit)
	if err != nil {
		return wire.Claim{}, qpq.Wrap(qpq.Invalid, wire.CodeBadClaim, "a commit cannot be read", err)
	}
	return wire.Unmarshal[wire.Claim](h.AuthenticatedData)
}

// effect is what a commit does, in the words of a claim and of the rules.
type effect struct {
	committer wire.MemberDevice
	external  bool // the committer joins by the commit
	joined    []wire.MemberDevice
	left      []wire.MemberDevice
	after     wire.Conversation // what members agree on after it
	extended  bool              // it replaces the extensions of the group context
}

// effectOf returns what a valid commit does.
func (g *Group) effectOf(c mls.Change) (*effect, error) {
	e := &effect{after: g.conversation, external: c.Committer.Type == message.SenderNewMemberCommit}
	var err error
	for _, m := range c.Added {
		if e.joined, err = appendDevice(e.joined, m.Leaf, err); err != nil {
			return nil, err
		}
	}
	for _, m := range c.Removed {
		if e.left, err = appendDevice(e.left, m.Leaf, err); err != nil {
			return nil, err
		}
	}
	if e.external {
		e.committer = e.joined[len(e.joined)-1] // the committer is the last one
	} else if e.committer, err = g.deviceAt(mls.LeafIndex(c.Committer.Index)); err != nil {
		return nil, err
	}
	for _, p := range c.Proposals {
		if x, ok := p.Proposal.(*message.GroupContextExtensions); ok {
			e.extended = true
			if e.after, err = conversationOf(x.Extensions); err != nil {
				return nil, err
			}
		}
	}
	return e, nil
}

func appendDevice(list []wire.MemberDevice, l *mls.LeafNode, err error) ([]wire.MemberDevice, error) {
	if err != nil {
		return nil, err
	}
	d, err := deviceOf(l)
	return append(list, d), err
}

func (g *Group) deviceAt(l mls.LeafIndex) (wire.MemberDevice, error) {
	m, ok := g.mls.Member(l)
	if !ok {
		return wire.MemberDevice{}, qpq.E(qpq.Invalid, "no-member", "a commit is of nobody")
	}
	return deviceOf(m.Leaf)
}

// claim returns what the committer has to claim.
func (g *Group) claim(e *effect, slot uint64) wire.Claim {
	c := wire.Claim{Slot: slot, Parent: g.slot, Joined: slices.Clone(e.joined)}
	c.Left = slices.DeleteFunc(slices.Clone(e.left), func(d wire.MemberDevice) bool { return slices.Contains(e.joined, d) }) // those that join anew stay
	slices.SortFunc(c.Joined, compareDevices)
	slices.SortFunc(c.Left, compareDevices)
	for _, m := range e.after.Members {
		if r, ok := g.Role(m.User); !ok || r != m.Role {
			c.Roles = append(c.Roles, m)
		}
	}
	for _, m := range g.conversation.Members {
		if _, ok := roleIn(e.after.Members, m.User); !ok {
			c.Removed = append(c.Removed, m.User)
		}
	}
	c.Rekeys = len(c.Left)+len(c.Removed) > 0 // whoever leaves must not know the access key any more
	if e.after.Policy != g.conversation.Policy {
		c.Policy = &e.after.Policy
	}
	return c
}

func compareDevices(a, b wire.MemberDevice) int {
	return cmp.Or(compareUsers(a.User, b.User), bytes.Compare(a.Device[:], b.Device[:]))
}

// sameClaim reports whether a commit was claimed to be what it is.
func sameClaim(a, b wire.Claim) bool {
	x, err := wire.Marshal(a)
	if err != nil {
		return false
	}
	y, err := wire.Marshal(b)
	return err == nil && bytes.Equal(x, y)
}
