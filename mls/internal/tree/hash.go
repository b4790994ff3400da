package tree

import (
	"bytes"
	"cmp"
	"crypto/sha512"
	"fmt"
	"maps"
	"slices"

	"github.com/quicproquo/qpq/mls/internal/codec"
	"github.com/quicproquo/qpq/mls/internal/suite"
	"github.com/quicproquo/qpq/mls/internal/treemath"
	"github.com/quicproquo/qpq/mls/message"
)

// hashInput is room on the stack for what is hashed of a node, also in the hybrid suite.
const hashInput = 2048

// appendLeafHash appends the tree hash of leaf l (RFC 9420, section 7.8) to dst.
func appendLeafHash(dst []byte, s *suite.Suite, l Leaf, n *message.LeafNode) []byte {
	var scratch [hashInput]byte
	b := codec.AppendUint32(append(scratch[:0], 1), uint32(l))
	if n == nil {
		b = append(b, 0)
	} else {
		b = n.Append(append(b, 1))
	}
	return s.AppendHash(dst, b)
}

// appendParentHash appends the tree hash of a parent node with children of the given hashes to dst.
func appendParentHash(dst []byte, s *suite.Suite, n *message.ParentNode, left, right []byte) []byte {
	var scratch [hashInput]byte
	b := append(scratch[:0], 2)
	if n == nil {
		b = append(b, 0)
	} else {
		b = n.Append(append(b, 1))
	}
	b = codec.AppendVec(b, left)
	return s.AppendHash(dst, codec.AppendVec(b, right))
}

// rehash computes all tree hashes, a level at a time.
func (t *Tree) rehash() {
	inBatches(len(t.leaves), func(i int) {
		appendLeafHash(t.nodeHash(Leaf(i).Node())[:0], t.suite, Leaf(i), t.leaves[i])
	})
	for level := uint(1); 1<<level <= len(t.leaves); level++ {
		inBatches(len(t.leaves)>>level, func(i int) {
			x := Node(i<<(level+1) | (1<<level - 1))
			appendParentHash(t.nodeHash(x)[:0], t.suite, t.Parent(x), t.nodeHash(x.Left()), t.nodeHash(x.Right()))
		})
	}
}

// inBatches calls one for each i below n, on all processors, many at a time because each takes little.
func inBatches(n int, one func(i int)) {
	const batch = 256
	Parallel((n+batch-1)/batch, func(k int) {
		for i := k * batch; i < min(n, (k+1)*batch); i++ {
			one(i)
		}
	})
}

// EachParent calls f with every parent node that holds a key, on all processors, and returns the first error.
func (t *Tree) EachParent(f func(x Node, p *message.ParentNode) error) error {
	errs := make([]error, len(t.parents))
	inBatches(len(t.parents), func(i int) {
		if p := t.parents[i]; p != nil {
			errs[i] = f(Node(2*i+1), p)
		}
	})
	return cmp.Or(errs...)
}

// appendParentHashOf appends to dst the parent hash of a node with the given copath child's tree hash (RFC
// 9420, section 7.9).
func appendParentHashOf(dst []byte, s *suite.Suite, p *message.ParentNode, siblingHash []byte) []byte {
	var scratch [hashInput]byte
	b := codec.AppendVec(scratch[:0], p.EncryptionKey)
	b = codec.AppendVec(b, p.ParentHash)
	return s.AppendHash(dst, codec.AppendVec(b, siblingHash))
}

// originals computes tree hashes as they were before some leaves were added, each subtree once.
type originals struct {
	t          *Tree
	memo       map[Node]original
	resolution []Node // reused
}

type original struct {
	without []Leaf
	hash    []byte
}

// hash returns the tree hash of x with the given leaves, in increasing order, blanked and removed from
// all lists of unmerged leaves.
func (o *originals) hash(x Node, without []Leaf) []byte {
	from, _ := slices.BinarySearch(without, x.First())
	to, found := slices.BinarySearch(without, x.Last())
	if found {
		to++
	}
	without = without[from:to]
	if len(without) == 0 {
		return o.t.nodeHash(x)
	}
	if x.IsLeaf() {
		return appendLeafHash(nil, o.t.suite, x.Leaf(), nil)
	}
	if m, ok := o.memo[x]; ok && slices.Equal(m.without, without) {
		return m.hash
	}
	p := o.t.Parent(x)
	if p != nil {
		kept := *p
		kept.UnmergedLeaves = slices.DeleteFunc(slices.Clone(p.UnmergedLeaves), func(l Leaf) bool {
			_, ok := slices.BinarySearch(without, l)
			return ok
		})
		p = &kept
	}
	h := appendParentHash(nil, o.t.suite, p, o.hash(x.Left(), without), o.hash(x.Right(), without))
	o.memo[x] = original{without, h}
	return h
}

// CheckParentHashes verifies that every parent node was set by a member below it: that exactly one of
// its descendants carries its parent hash (RFC 9420, section 7.9.2). Subtrees are verified on all
// processors, then the levels above them.
func (t *Tree) CheckParentHashes() error {
	const levels = 9 // of a subtree
	trees := len(t.leaves) >> levels
	parts := make([]originals, trees)
	errs := make([]error, trees)
	Parallel(trees, func(i int) {
		parts[i] = originals{t: t, memo: map[Node]original{}}
		errs[i] = t.checkParentHashes(&parts[i], Node(i<<(levels+1)), 1<<(levels+1)-1, 1)
	})
	if err := cmp.Or(errs...); err != nil {
		return err
	}
	above := &originals{t: t, memo: map[Node]original{}}
	lowest := uint(1)
	for i := range parts {
		maps.Copy(above.memo, parts[i].memo)
		lowest = levels + 1
	}
	return t.checkParentHashes(above, 0, treemath.Width(t.Size()), lowest)
}

// checkParentHashes verifies width nodes from first on, those of the given level and above. They go bottom
// up, so that the subtree hashes of a level serve the next.
func (t *Tree) checkParentHashes(o *originals, first Node, width uint32, lowest uint) error {
	for level := lowest; 1<<level <= width; level++ {
		for k := uint32(1)<<level - 1; k < width; k += 1 << (level + 1) {
			x := first + Node(k)
			p := t.Parent(x)
			if p == nil {
				continue
			}
			n := 0
			if t.vouches(o, p, x.Left(), x.Right()) {
				n++
			}
			if t.vouches(o, p, x.Right(), x.Left()) {
				n++
			}
			if n != 1 {
				return fmt.Errorf("%w: %d chains of parent hashes lead to node %d", ErrInvalid, n, x)
			}
		}
	}
	return nil
}

// vouches reports whether a node in the resolution of child carries the parent hash of p with the
// given sibling, and all others of that resolution are unmerged leaves of p.
func (t *Tree) vouches(o *originals, p *message.ParentNode, child, sibling Node) bool {
	var candidate Node
	candidates, unmerged := 0, 0
	o.resolution = resolution(t, child, o.resolution[:0])
	for _, x := range o.resolution {
		if x.IsLeaf() {
			if _, ok := slices.BinarySearch(p.UnmergedLeaves, x.Leaf()); ok {
				unmerged++
				continue
			}
		}
		candidate = x
		if candidates++; candidates > 1 {
			return false
		}
	}
	below := 0
	for _, l := range p.UnmergedLeaves {
		if child.Covers(l) {
			below++
		}
	}
	if candidates != 1 || below != unmerged {
		return false
	}
	var carried []byte
	if candidate.IsLeaf() {
		leaf := t.Leaf(candidate.Leaf())
		if leaf.Source != message.SourceCommit {
			return false
		}
		carried = leaf.ParentHash
	} else {
		carried = t.Parent(candidate).ParentHash
	}
	var want [sha512.Size]byte
	return len(carried) > 0 && bytes.Equal(carried, appendParentHashOf(want[:0], t.suite, p, o.hash(sibling, p.UnmergedLeaves)))
}

// CheckUnmerged verifies every list of unmerged leaves (RFC 9420, section 12.4.3.1): its leaves exist
// below the node, and every node between that holds a key lists them too.
func (t *Tree) CheckUnmerged() error {
	for i, p := range t.parents {
		if p == nil {
			continue
		}
		x := Node(2*i + 1)
		for _, l := range p.UnmergedLeaves {
			if !x.Covers(l) || t.Leaf(l) == nil {
				return fmt.Errorf("%w: node %d lists leaf %d as unmerged", ErrInvalid, x, l)
			}
			for y := l.Node().Parent(); y != x; y = y.Parent() {
				q := t.Parent(y)
				if q == nil {
					continue
				}
				if _, ok := slices.BinarySearch(q.UnmergedLeaves, l); !ok {
					return fmt.Errorf("%w: leaf %d is unmerged at node %d but not at node %d", ErrInvalid, l, x, y)
				}
			}
		}
	}
	return nil
}

// nodes gives access to the nodes of a Tree or a Diff.
type nodes interface {
	Leaf(Leaf) *message.LeafNode
	Parent(Node) *message.ParentNode
	count(Node) int // members below, or at, a node
}

// resolution appends the resolution of x to list (RFC 9420, section 4.1.1).
func resolution(t nodes, x Node, list []Node) []Node {
	if x.IsLeaf() {
		if t.Leaf(x.Leaf()) != nil {
			list = append(list, x)
		}
		return list
	}
	if p := t.Parent(x); p != nil {
		list = append(list, x)
		for _, l := range p.UnmergedLeaves {
			list = append(list, l.Node())
		}
		return list
	}
	if t.count(x) == 0 { // no parent has a key with nobody below it
		return list
	}
	return resolution(t, x.Right(), resolution(t, x.Left(), list))
}

// Resolution returns the resolution of x (RFC 9420, section 4.1.1).
func (t *Tree) Resolution(x Node) []Node { return resolution(t, x, nil) }

// NodeHash returns the tree hash of the subtree at x.
func (t *Tree) NodeHash(x Node) []byte { return t.nodeHash(x) }
