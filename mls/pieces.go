package mls

import (
	"fmt"

	"github.com/quicproquo/qpq/mls/internal/tree"
)

// CutRatchetTree cuts what RatchetTree returned behind every n leaves, n at least 1, so that a store of it has to take only the pieces that
// a commit changed. The pieces alias ratchetTree.
func (g *Group) CutRatchetTree(ratchetTree []byte, n int) ([][]byte, error) {
	if n < 1 {
		return nil, fmt.Errorf("%w: pieces of %d leaves", ErrConfig, n)
	}
	return tree.Cut(g.suite, ratchetTree, 2*n, g.config.MaxMembers)
}

// JoinRatchetTree puts together what CutRatchetTree cut. Whether the result is a tree shows when it is used.
func JoinRatchetTree(pieces [][]byte) []byte { return tree.Join(pieces) }
