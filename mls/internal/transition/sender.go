package transition

import (
	"errors"
	"fmt"

	"github.com/quicproquo/qpq/mls/internal/tree"
	"github.com/quicproquo/qpq/mls/message"
)

// The errors of this file; the public packages name them too.
var (
	ErrUnknownSender   = errors.New("sender is not in the group")
	ErrUnknownProposal = errors.New("commit refers to a proposal that is not known")
	ErrPathRequired    = errors.New("commit lacks the path that its proposals require")
)

// SenderKey returns the key that the signature of a public message is to be verified with (RFC 9420,
// section 6.1). extensions are those of the group context.
func SenderKey(c *message.FramedContent, extensions message.Extensions, leafAt func(message.LeafIndex) *message.LeafNode) ([]byte, error) {
	switch c.Sender.Type {
	case message.SenderMember:
		if n := leafAt(message.LeafIndex(c.Sender.Index)); n != nil {
			return n.SignatureKey, nil
		}
		return nil, fmt.Errorf("%w: leaf %d", ErrUnknownSender, c.Sender.Index)
	case message.SenderExternal:
		data, _ := extensions.Find(message.ExtensionExternalSenders)
		senders, err := message.UnmarshalExternalSenders(data)
		if data == nil || err != nil || int64(c.Sender.Index) >= int64(len(senders)) || c.Type != message.ContentProposal {
			return nil, fmt.Errorf("%w: external sender %d", ErrUnknownSender, c.Sender.Index)
		}
		return senders[c.Sender.Index].SignatureKey, nil
	case message.SenderNewMemberProposal:
		if add, ok := c.Proposal.(*message.Add); ok {
			return add.KeyPackage.LeafNode.SignatureKey, nil
		}
	case message.SenderNewMemberCommit:
		if c.Commit != nil && c.Commit.Path != nil {
			return c.Commit.Path.LeafNode.SignatureKey, nil
		}
	}
	return nil, fmt.Errorf("%w: content of type %d from a sender of type %d", message.ErrMalformed, c.Type, c.Sender.Type)
}

// Resolve returns the proposals of a commit, of which known finds those that it refers to.
func Resolve(c *message.Commit, committer message.Sender, known func(ref []byte) (Item, bool)) ([]Item, error) {
	items := make([]Item, len(c.Proposals))
	for i, p := range c.Proposals {
		if p.Proposal != nil {
			items[i] = Item{Proposal: p.Proposal, Sender: committer}
			continue
		}
		item, ok := known(p.Reference)
		if !ok {
			return nil, fmt.Errorf("%w: %x", ErrUnknownProposal, p.Reference)
		}
		items[i] = item
	}
	return items, nil
}

// ApplyPath validates the path of a commit, or that it needs none, and applies its public part to the
// result's tree. t is the tree before the commit. It returns the committer's leaf in the new tree
// and the steps of the path.
func (r *Rules) ApplyPath(result *Result, t *tree.Tree, groupID []byte, committer message.Sender, items []Item, path *message.UpdatePath) (tree.Leaf, []tree.Step, error) {
	if path == nil {
		if result.PathRequired {
			return 0, nil, ErrPathRequired
		}
		return tree.Leaf(committer.Index), nil, nil
	}
	leaf, member := committer.Leaf()
	if !member {
		var err error
		if leaf, err = result.Diff.NextBlank(); err != nil {
			return 0, nil, err
		}
	}
	steps, err := r.MergePath(result, groupID, leaf, Replaced(committer, items, t.Leaf), path)
	return leaf, steps, err
}

// Replaced returns the leaf node that the committer's new one takes the place of: its own, or the one that its
// external commit removes. It is nil for somebody new. leafAt is of the tree before the commit.
func Replaced(committer message.Sender, items []Item, leafAt func(message.LeafIndex) *message.LeafNode) *message.LeafNode {
	if l, ok := committer.Leaf(); ok {
		return leafAt(l)
	}
	for _, i := range items {
		if remove, ok := i.Proposal.(*message.Remove); ok {
			return leafAt(remove.Removed)
		}
	}
	return nil
}
