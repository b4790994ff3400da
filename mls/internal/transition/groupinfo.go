package transition

import (
	"bytes"
	"fmt"

	"github.com/quicproquo/qpq/mls/internal/tree"
	"github.com/quicproquo/qpq/mls/message"
)

// OpenGroupInfo verifies a group info as a new member must (RFC 9420, section 12.4.3.1), and returns the tree of the group: the given
// one, or if that is nil the one in the group info. The group context refers to none of the bytes that the group info came in any more:
// they may be the caller's, and have a tree in them.
func (r *Rules) OpenGroupInfo(info *message.GroupInfo, ratchetTree []byte) (t *tree.Tree, err error) {
	if ratchetTree == nil {
		ratchetTree, _ = info.Extensions.Find(message.ExtensionRatchetTree)
	}
	if ratchetTree == nil {
		return nil, ErrNoTree
	}
	if info.Context, err = message.UnmarshalGroupContext(info.Context.Append(nil)); err != nil {
		return nil, err
	}
	if t, err = tree.Unmarshal(r.Suite, ratchetTree, r.MaxMembers); err != nil {
		return nil, err
	}
	signer := t.Leaf(info.Signer)
	if signer == nil {
		return nil, fmt.Errorf("%w: signed by leaf %d: %w", ErrGroupInfo, info.Signer, ErrUnknownSender)
	}
	if err := r.Suite.VerifyWithLabel(signer.SignatureKey, "GroupInfoTBS", info.AppendTBS(nil), info.Signature); err != nil {
		return nil, fmt.Errorf("%w: %w: %w", ErrGroupInfo, ErrSignature, err)
	}
	if err := r.CheckExternalSenders(info.Context.Extensions); err != nil {
		return nil, err
	}
	return t, r.checkTree(t, &info.Context)
}

// checkTree verifies a tree that came with a group context.
func (r *Rules) checkTree(t *tree.Tree, context *message.GroupContext) error {
	if !bytes.Equal(t.Hash(), context.TreeHash) {
		return fmt.Errorf("%w: its hash is not the one of the group", tree.ErrInvalid)
	}
	if err := t.CheckUnmerged(); err != nil {
		return err
	}
	if err := t.CheckParentHashes(); err != nil {
		return err
	}
	if err := r.checkLeaves(t, context.GroupID); err != nil {
		return err
	}
	return r.CheckCompatible(t.Diff(), context.Extensions)
}

// checkLeaves verifies all leaves, the signatures on all processors.
func (r *Rules) checkLeaves(t *tree.Tree, groupID []byte) error {
	errs := make([]error, t.Size())
	tree.Parallel(len(errs), func(i int) {
		l := tree.Leaf(i)
		n := t.Leaf(l)
		if n == nil {
			return
		}
		if errs[i] = r.CheckLeafForm(n); errs[i] == nil {
			errs[i] = r.CheckLeafSignature(n, groupID, l)
		}
	})
	for i, err := range errs {
		n := t.Leaf(tree.Leaf(i))
		if err == nil && n != nil {
			err = r.CheckCredential(n)
		}
		if err != nil {
			return fmt.Errorf("leaf %d: %w", i, err)
		}
	}
	return t.EachParent(func(x tree.Node, p *message.ParentNode) error {
		if err := r.Suite.CheckPublicKey(p.EncryptionKey); err != nil {
			return fmt.Errorf("%w: node %d: %w", tree.ErrInvalid, x, err)
		}
		return nil
	})
}
