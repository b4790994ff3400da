package mls

import (
	"github.com/quicproquo/qpq/mls/internal/transition"
	"github.com/quicproquo/qpq/mls/internal/tree"
	"github.com/quicproquo/qpq/mls/message"
)

// Change is what a commit does to the members of a group.
type Change struct {
	Committer Sender               // who made the commit
	Epoch     uint64               // the epoch that it starts
	Added     []Member             // who is new, the committer last if it joined by the commit
	Removed   []Member             // who is removed, as they were
	Updated   []UpdatedMember      // whose leaf is replaced, the committer last if the commit has a path
	Proposals []AttributedProposal // all proposals, and who made them
	ReInit    *message.ReInit      // what the commit ends the group for (Group.ReInit); nil if it goes on
}

// UpdatedMember is a member whose leaf node is replaced by an update or a path.
type UpdatedMember struct {
	Index    LeafIndex
	Old, New *LeafNode
}

// AttributedProposal is a proposal with who made it.
type AttributedProposal struct {
	Proposal Proposal
	Sender   Sender
}

// newChange sums up for the application what a commit does to a group whose tree was before.
func newChange(committer Sender, n *next, before *tree.Tree, items []transition.Item, hasPath bool) Change {
	r := n.result
	c := Change{Committer: committer, Epoch: n.context.Epoch, ReInit: r.ReInit}
	added, updated := r.Leaves(committer, hasPath)
	for _, l := range added {
		c.Added = append(c.Added, Member{l, r.Diff.Leaf(l)})
	}
	for _, l := range r.Removed {
		c.Removed = append(c.Removed, Member{l, before.Leaf(l)})
	}
	for _, l := range updated {
		c.Updated = append(c.Updated, UpdatedMember{l, before.Leaf(l), r.Diff.Leaf(l)})
	}
	for _, i := range items {
		c.Proposals = append(c.Proposals, AttributedProposal{i.Proposal, i.Sender})
	}
	return c
}
