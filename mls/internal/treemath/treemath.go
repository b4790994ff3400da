// Package treemath computes with the indices of a left-balanced full binary tree in its array form
// (RFC 9420, appendix C): leaf i is node 2i, parents lie between the nodes of their subtrees.
package treemath

import "math/bits"

// Leaf is the index of a leaf among the leaves, counted from the left.
type Leaf uint32

// Node is the index of a node in the array form.
type Node uint32

// MaxLeaves bounds the leaves of a tree, so that every node index fits.
const MaxLeaves = 1 << 30

// Node returns the node of leaf l.
func (l Leaf) Node() Node { return Node(l) << 1 }

// IsLeaf reports whether x is a leaf.
func (x Node) IsLeaf() bool { return x&1 == 0 }

// Leaf returns the leaf index of x, which must be a leaf.
func (x Node) Leaf() Leaf { return Leaf(x >> 1) }

// Level returns the height of x above the leaves.
func (x Node) Level() uint { return uint(bits.TrailingZeros32(^uint32(x))) }

// Width returns the number of nodes of a tree with n leaves, n a power of two; zero for an empty tree.
func Width(n uint32) uint32 {
	if n == 0 {
		return 0
	}
	return 2*n - 1
}

// Root returns the root of a tree with n leaves, n a power of two.
func Root(n uint32) Node { return Node(n - 1) }

// Left returns the left child of the parent x.
func (x Node) Left() Node { return x ^ 1<<(x.Level()-1) }

// Right returns the right child of the parent x.
func (x Node) Right() Node { return x ^ 3<<(x.Level()-1) }

// Parent returns the node above x. The caller stops at the root.
func (x Node) Parent() Node {
	k := x.Level()
	return (x | 1<<k) &^ (1 << (k + 1))
}

// Sibling returns the other child of x's parent.
func (x Node) Sibling() Node {
	p := x.Parent()
	if x < p {
		return p.Right()
	}
	return p.Left()
}

// First returns the leftmost leaf below x.
func (x Node) First() Leaf { return Leaf((x &^ (1<<x.Level() - 1)) >> 1) }

// Last returns the rightmost leaf below x.
func (x Node) Last() Leaf { return x.First() + 1<<x.Level() - 1 }

// Covers reports whether leaf l lies below x, or is x.
func (x Node) Covers(l Leaf) bool { return x.First() <= l && l <= x.Last() }

// Size returns the smallest power of two that holds n leaves; zero for none.
func Size(n uint32) uint32 {
	if n <= 1 {
		return n
	}
	return 1 << bits.Len32(n-1)
}
