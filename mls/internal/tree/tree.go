// Package tree is the ratchet tree (RFC 9420, sections 4 and 7): who is where, the keys of the nodes,
// their hashes, and what a commit changes of them.
//
// A Tree is only ever changed by merging a Diff, an overlay that holds the nodes that differ. So a
// commit that is prepared or examined and then dropped costs nothing but its own nodes, and nothing
// ever copies the tree.
package tree

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/quicproquo/qpq/mls/internal/codec"
	"github.com/quicproquo/qpq/mls/internal/suite"
	"github.com/quicproquo/qpq/mls/internal/treemath"
	"github.com/quicproquo/qpq/mls/message"
)

// ErrInvalid is what every error about the tree's content wraps.
var ErrInvalid = errors.New("invalid ratchet tree")

// ErrMembers says that a group has more members than are allowed.
var ErrMembers = errors.New("too many members")

// Leaf and Node are the indices of package treemath.
type (
	Leaf = treemath.Leaf
	Node = treemath.Node
)

// Tree is the ratchet tree of one epoch.
type Tree struct {
	suite   *suite.Suite
	leaves  []*message.LeafNode   // as many as the tree has room for: a power of two, or none
	parents []*message.ParentNode // one fewer; parent x is at x>>1
	hashes  []byte                // tree hash of each node
	counts  []uint32              // members below each parent, as parents
	members int
	blank   Leaf // no leaf left of it is blank
	keys    keyIndex
	census  census
}

// New returns an empty tree.
func New(s *suite.Suite) *Tree {
	return &Tree{suite: s, keys: newKeyIndex(0), census: newCensus()}
}

// Size returns how many leaves there is room for: a power of two, or zero.
func (t *Tree) Size() uint32 { return uint32(len(t.leaves)) }

// Members returns how many leaves are not blank.
func (t *Tree) Members() int { return t.members }

// Leaf returns a leaf, nil if it is blank or outside the tree.
func (t *Tree) Leaf(l Leaf) *message.LeafNode {
	if int64(l) >= int64(len(t.leaves)) {
		return nil
	}
	return t.leaves[l]
}

// Parent returns a parent node, nil if it is blank or outside the tree.
func (t *Tree) Parent(x Node) *message.ParentNode {
	if i := x >> 1; int64(i) < int64(len(t.parents)) {
		return t.parents[i]
	}
	return nil
}

// count returns how many members there are below x, zero if it is outside the tree.
func (t *Tree) count(x Node) int {
	if x.IsLeaf() {
		if t.Leaf(x.Leaf()) == nil {
			return 0
		}
		return 1
	}
	if i := x >> 1; int64(i) < int64(len(t.counts)) {
		return int(t.counts[i])
	}
	return 0
}

// Hash returns the tree hash of the whole tree.
func (t *Tree) Hash() []byte {
	return t.nodeHash(treemath.Root(t.Size()))
}

func (t *Tree) nodeHash(x Node) []byte {
	n := t.suite.HashSize()
	return t.hashes[int(x)*n : (int(x)+1)*n : (int(x)+1)*n]
}

// decodeNode reads an optional<Node> for position x.
func decodeNode(d *codec.Decoder, x Node) (*message.LeafNode, *message.ParentNode) {
	if !d.Bool() {
		return nil, nil
	}
	switch kind := d.Uint8(); {
	case kind == 1 && x.IsLeaf():
		return message.DecodeLeafNode(d), nil
	case kind == 2 && !x.IsLeaf():
		return nil, message.DecodeParentNode(d)
	default:
		d.Fail("node %d is of type %d", x, kind)
		return nil, nil
	}
}

func appendNode(b []byte, leaf *message.LeafNode, parent *message.ParentNode) []byte {
	switch {
	case leaf != nil:
		return leaf.Append(append(b, 1, 1))
	case parent != nil:
		return parent.Append(append(b, 1, 2))
	default:
		return append(b, 0)
	}
}

// Marshal returns the content of a ratchet_tree extension (RFC 9420, section 12.4.3.3).
func (t *Tree) Marshal() []byte { return marshal(t, t.Size()) }

func marshal(t nodes, size uint32) []byte {
	return codec.AppendVecFunc(nil, func(b []byte) []byte {
		end := len(b) // of the last node that is not blank
		for x := Node(0); uint32(x) < treemath.Width(size); x++ {
			before := len(b)
			b = appendNodeAt(b, t, x)
			if len(b) > before+1 {
				end = len(b)
			}
		}
		return b[:end]
	})
}

func appendNodeAt(b []byte, t nodes, x Node) []byte {
	if x.IsLeaf() {
		return appendNode(b, t.Leaf(x.Leaf()), nil)
	}
	return appendNode(b, nil, t.Parent(x))
}

func (t *Tree) resize(size uint32) {
	n := t.suite.HashSize()
	t.leaves = grow(t.leaves, int(size))
	t.parents = grow(t.parents, max(int(size), 1)-1)
	t.counts = grow(t.counts, max(int(size), 1)-1)
	t.hashes = grow(t.hashes, int(treemath.Width(size))*n)
}

// grow returns list with length n: cut, or extended with zero values.
func grow[T any](list []T, n int) []T {
	if n <= len(list) {
		clear(list[n:])
		return list[:n]
	}
	return append(list, make([]T, n-len(list))...)
}

// Parallel calls f for each i below n, on all processors.
func Parallel(n int, f func(i int)) {
	workers := min(n, runtime.GOMAXPROCS(0))
	if workers <= 1 {
		for i := range n {
			f(i)
		}
		return
	}
	var next atomic.Int64
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	group.Wait()
}
