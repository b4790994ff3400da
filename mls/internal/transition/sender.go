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

// Stage validates a commit of somebody else in all that does not take the group's secrets, and returns what it makes of the group
// that t and context are.
func (r *Rules) Stage(t *tree.Tree, context *message.GroupContext, committer message.Sender, items []Item, path *message.UpdatePath) (*Result, error) {
	replaced := Replaced(committer, items, t.Leaf)
	if committer.Type == message.SenderNewMemberCommit {
		if err := r.checkJoiner(replaced, path); err != nil {
			return nil, err
		}
	}
	result, err := r.Apply(t, context, committer, items)
	if err != nil {
		return nil, err
	}
	if err := r.applyPath(result, context.GroupID, committer, replaced, path); err != nil {
		return nil, err
	}
	return result, r.Finish(result)
}

// checkJoiner verifies what somebody who joins by an external commit says of itself, and asks the application about its credential:
// before its proposals are applied, which may cost much more. Its signature, which covers its place in the tree, comes with the path.
func (r *Rules) checkJoiner(replaced *message.LeafNode, path *message.UpdatePath) error {
	if path == nil {
		return ErrPathRequired
	}
	if err := r.CheckLeafForm(path.LeafNode); err != nil {
		return err
	}
	if replaced == nil {
		return r.CheckCredential(path.LeafNode)
	}
	return r.CheckNewCredential(replaced, path.LeafNode)
}

// applyPath validates the path of a commit, or that it needs none, and applies its public part to the result's tree.
func (r *Rules) applyPath(result *Result, groupID []byte, committer message.Sender, replaced *message.LeafNode, path *message.UpdatePath) (err error) {
	leaf, member := committer.Leaf()
	if !member {
		if leaf, err = result.Diff.NextBlank(); err != nil {
			return err
		}
	}
	result.Committer = leaf
	switch {
	case path == nil && result.PathRequired:
		return ErrPathRequired
	case path == nil:
		return nil
	case member:
		result.Steps, err = r.MergePath(result, groupID, leaf, replaced, path)
		return err
	}
	if err := r.checkSigned(path.LeafNode, message.SourceCommit, groupID, leaf, replaced); err != nil {
		return err
	}
	result.Steps, err = mergePath(result, leaf, replaced, path)
	return err
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
