package transition

import (
	"bytes"
	"fmt"

	"github.com/quicproquo/qpq/mls/internal/tree"
	"github.com/quicproquo/qpq/mls/message"
)

// ErrParentHash says that a committer's leaf does not carry the hash of the path above it.
var ErrParentHash = fmt.Errorf("%w: parent hash", tree.ErrPath)

// MergePath validates the path of a commit by the member at leaf, and applies its public part to the
// result's tree (RFC 9420, section 12.4.2). It returns the steps of the path. replaced is the leaf node that
// this one takes the place of.
func (r *Rules) MergePath(result *Result, groupID []byte, leaf tree.Leaf, replaced *message.LeafNode, path *message.UpdatePath) ([]tree.Step, error) {
	if err := r.CheckReplacement(replaced, path.LeafNode, message.SourceCommit, groupID, leaf); err != nil {
		return nil, err
	}
	return mergePath(result, leaf, replaced, path)
}

// mergePath is MergePath of a leaf node that was verified. replaced is nil for somebody new.
func mergePath(result *Result, leaf tree.Leaf, replaced *message.LeafNode, path *message.UpdatePath) ([]tree.Step, error) {
	d, n := result.Diff, path.LeafNode
	keys := make([][]byte, 0, len(path.Nodes)+1)
	for _, node := range path.Nodes {
		keys = append(keys, node.EncryptionKey)
	}
	if err := d.CheckFresh(append(keys, n.EncryptionKey)); err != nil {
		return nil, err
	}
	steps := d.FilteredPath(leaf)
	if err := d.CheckPath(steps, path.Nodes, result.Added); err != nil {
		return nil, err
	}
	parentHash := d.SetPath(leaf, steps, keys)
	if !bytes.Equal(parentHash, n.ParentHash) {
		return nil, fmt.Errorf("%w: leaf %d", ErrParentHash, leaf)
	}
	n = n.Detach()
	if replaced != nil && replaced.Capabilities.Equal(n.Capabilities) {
		n.Capabilities = replaced.Capabilities // one value, also to the census of the tree
	}
	d.SetLeaf(leaf, n)
	return steps, nil
}

// Finish verifies the tree that the commit leads to, in what depends on all members together.
func (r *Rules) Finish(result *Result) error {
	if err := result.Diff.CheckUnique(); err != nil {
		return err
	}
	if r.MaxMembers > 0 && result.Diff.Members() > r.MaxMembers {
		return fmt.Errorf("%w: at most %d are allowed", ErrMembers, r.MaxMembers)
	}
	return r.CheckCompatible(result.Diff, result.Extensions)
}
