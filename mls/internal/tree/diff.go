package tree

import (
	"fmt"
	"slices"

	"github.com/quicproquo/qpq/mls/internal/codec"
	"github.com/quicproquo/qpq/mls/internal/treemath"
	"github.com/quicproquo/qpq/mls/message"
)

// Diff is a set of changes to a Tree that can be examined as if they were made. It is valid until
// its tree changes.
type Diff struct {
	base    *Tree
	size    uint32
	members int
	blank   Leaf
	leaves  map[Leaf]*message.LeafNode   // nil for those that were blanked
	parents map[Node]*message.ParentNode // its own, so that they may be changed
	counts  map[Node]int                 // of members below a parent, less those in base
	census  census                       // of those in leaves, less those in base
	dirty   map[Node]struct{}            // nodes whose hash in base no longer holds
	hashes  map[Node][]byte              // of dirty nodes, once known; unknown implies that those above are
}

// Diff returns an empty set of changes.
func (t *Tree) Diff() *Diff {
	return &Diff{base: t, size: t.Size(), members: t.members, blank: t.blank,
		leaves: map[Leaf]*message.LeafNode{}, parents: map[Node]*message.ParentNode{},
		counts: map[Node]int{}, census: newCensus(), dirty: map[Node]struct{}{}, hashes: map[Node][]byte{}}
}

// Size returns how many leaves there is room for.
func (d *Diff) Size() uint32 { return d.size }

// Members returns how many leaves are not blank.
func (d *Diff) Members() int { return d.members }

// Leaf returns a leaf, nil if it is blank or outside the tree.
func (d *Diff) Leaf(l Leaf) *message.LeafNode {
	if uint32(l) >= d.size {
		return nil
	}
	if n, ok := d.leaves[l]; ok {
		return n
	}
	return d.base.Leaf(l)
}

// Parent returns a parent node, nil if it is blank or outside the tree.
func (d *Diff) Parent(x Node) *message.ParentNode {
	if uint32(x) >= treemath.Width(d.size) {
		return nil
	}
	if n, ok := d.parents[x]; ok {
		return n
	}
	return d.base.Parent(x)
}

// SetLeaf puts n at l, which must be inside the tree. A nil n blanks it.
func (d *Diff) SetLeaf(l Leaf, n *message.LeafNode) {
	before := d.Leaf(l)
	d.census.replace(before, n)
	switch {
	case n != nil && before == nil:
		d.countMember(l, 1)
	case n == nil && before != nil:
		d.countMember(l, -1)
		d.blank = min(d.blank, l)
	}
	d.leaves[l] = n
	d.touch(l.Node())
}

// countMember adds to the number of members at and above l.
func (d *Diff) countMember(l Leaf, by int) {
	d.members += by
	for x := l.Node(); x != d.top(); {
		x = x.Parent()
		d.counts[x] += by
	}
}

// count returns how many members there are below x, or at x.
func (d *Diff) count(x Node) int {
	if x.IsLeaf() {
		if d.Leaf(x.Leaf()) == nil {
			return 0
		}
		return 1
	}
	return d.base.count(x) + d.counts[x]
}

// top returns the root of what the tree was or will be, whichever is higher.
func (d *Diff) top() Node { return treemath.Root(max(d.size, d.base.Size())) }

// extend doubles the room.
func (d *Diff) extend() {
	d.size = max(1, d.size*2)
	root := treemath.Root(d.size)
	if !root.IsLeaf() {
		d.counts[root] = d.count(root.Left()) - d.base.count(root)
	}
	d.touch(root)
}

func (d *Diff) setParent(x Node, n *message.ParentNode) {
	if n == nil && d.Parent(x) == nil {
		return
	}
	d.parents[x] = n
	d.touch(x)
}

// touch forgets the hashes of x and everything above it.
func (d *Diff) touch(x Node) {
	top := d.top()
	for {
		_, dirty := d.dirty[x]
		if dirty && d.hashes[x] == nil {
			return
		}
		d.dirty[x] = struct{}{}
		delete(d.hashes, x)
		if x == top {
			return
		}
		x = x.Parent()
	}
}

// blankPath blanks the nodes above l.
func (d *Diff) blankPath(l Leaf) {
	for x := l.Node(); x != treemath.Root(d.size); {
		x = x.Parent()
		d.setParent(x, nil)
	}
}

// Add puts n at the leftmost blank leaf, extending the tree if there is none, and returns its place
// (RFC 9420, section 12.1.1).
func (d *Diff) Add(n *message.LeafNode) (Leaf, error) {
	l, err := d.NextBlank()
	if err != nil {
		return 0, err
	}
	d.SetLeaf(l, n)
	d.blank = l + 1
	for x := l.Node(); x != treemath.Root(d.size); {
		x = x.Parent()
		p := d.Parent(x)
		if p == nil {
			continue
		}
		if _, own := d.parents[x]; !own {
			p = &message.ParentNode{EncryptionKey: p.EncryptionKey, ParentHash: p.ParentHash,
				UnmergedLeaves: append(make([]Leaf, 0, len(p.UnmergedLeaves)+1), p.UnmergedLeaves...)}
		}
		at, _ := slices.BinarySearch(p.UnmergedLeaves, l)
		p.UnmergedLeaves = slices.Insert(p.UnmergedLeaves, at, l)
		d.parents[x] = p
		d.touch(x)
	}
	return l, nil
}

// NextBlank returns the leftmost blank leaf, extending the tree if there is none.
func (d *Diff) NextBlank() (Leaf, error) {
	for ; uint32(d.blank) < d.size; d.blank++ {
		if d.Leaf(d.blank) == nil {
			return d.blank, nil
		}
	}
	if d.size >= treemath.MaxLeaves {
		return 0, fmt.Errorf("%w: it is full", ErrInvalid)
	}
	d.extend()
	return d.blank, nil
}

// Update replaces the leaf l, which must not be blank, and blanks the nodes above it (RFC 9420,
// section 12.1.2).
func (d *Diff) Update(l Leaf, n *message.LeafNode) {
	d.SetLeaf(l, n)
	d.blankPath(l)
}

// Remove blanks the leaf l and the nodes above it, and cuts the tree while its right half is empty
// (RFC 9420, section 12.1.3).
func (d *Diff) Remove(l Leaf) {
	d.SetLeaf(l, nil)
	d.blankPath(l)
	for d.size > 1 && d.count(treemath.Root(d.size).Right()) == 0 {
		d.setParent(treemath.Root(d.size), nil)
		d.size /= 2
	}
	d.blank = min(d.blank, Leaf(d.size))
}

// Hash returns the tree hash of the whole tree.
func (d *Diff) Hash() []byte { return d.nodeHash(treemath.Root(d.size)) }

func (d *Diff) nodeHash(x Node) []byte {
	if h := d.hashes[x]; h != nil {
		return h
	}
	if _, dirty := d.dirty[x]; !dirty && uint32(x) < treemath.Width(d.base.Size()) {
		return d.base.nodeHash(x)
	}
	var h []byte
	if x.IsLeaf() {
		h = appendLeafHash(nil, d.base.suite, x.Leaf(), d.Leaf(x.Leaf()))
	} else {
		h = appendParentHash(nil, d.base.suite, d.Parent(x), d.nodeHash(x.Left()), d.nodeHash(x.Right()))
	}
	d.dirty[x] = struct{}{}
	d.hashes[x] = h
	return h
}

// replaced reports whether what base has at x no longer stands.
func (d *Diff) replaced(x Node) bool {
	if uint32(x) >= treemath.Width(d.size) {
		return true
	}
	var ok bool
	if x.IsLeaf() {
		_, ok = d.leaves[x.Leaf()]
	} else {
		_, ok = d.parents[x]
	}
	return ok
}

// Merge makes the changes in the tree and returns the leaves that were replaced, as they were. The
// Diff is used up.
func (d *Diff) Merge() map[Leaf]*message.LeafNode {
	t := d.base
	before := make(map[Leaf]*message.LeafNode, len(d.leaves))
	d.Hash() // and of all that is dirty below
	for l := range d.leaves {
		if old := t.Leaf(l); old != nil {
			before[l] = old
			t.keys.releaseLeaf(l, old)
		} else {
			before[l] = nil
		}
	}
	for x := range d.parents {
		if old := t.Parent(x); old != nil {
			release(t.keys.encryption, old.EncryptionKey, x)
		}
	}
	t.resize(d.size)
	for l, n := range d.leaves {
		if uint32(l) >= d.size {
			continue
		}
		if t.leaves[l] = n; n != nil {
			t.keys.claimLeaf(l, n)
		}
	}
	for x, n := range d.parents {
		if uint32(x) >= treemath.Width(d.size) {
			continue
		}
		if t.parents[x>>1] = n; n != nil {
			claim(t.keys.encryption, n.EncryptionKey, x)
		}
	}
	for x, by := range d.counts {
		if uint32(x) < treemath.Width(d.size) {
			t.counts[x>>1] += uint32(by)
		}
	}
	t.census.merge(d.census)
	for x, h := range d.hashes {
		if uint32(x) < treemath.Width(d.size) {
			copy(t.nodeHash(x), h)
		}
	}
	t.members, t.blank = d.members, d.blank
	return before
}

// Changed returns the nodes that differ, in no order. Those outside the new tree are left out.
func (d *Diff) Changed() []Node {
	var list []Node
	for l := range d.leaves {
		if uint32(l) < d.size {
			list = append(list, l.Node())
		}
	}
	for x := range d.parents {
		if uint32(x) < treemath.Width(d.size) {
			list = append(list, x)
		}
	}
	return list
}

// Append appends an encoding of the changes, for DecodeDiff.
func (d *Diff) Append(b []byte) []byte {
	b = codec.AppendUint32(b, d.size)
	changed := d.Changed()
	slices.Sort(changed)
	return codec.AppendList(b, changed, func(b []byte, x Node) []byte {
		b = codec.AppendUint32(b, uint32(x))
		if x.IsLeaf() {
			return appendNode(b, d.leaves[x.Leaf()], nil)
		}
		return appendNode(b, nil, d.parents[x])
	})
}

// DecodeDiff reads what Diff.Append wrote of a diff of t.
func (t *Tree) DecodeDiff(dec *codec.Decoder) *Diff {
	d := t.Diff()
	size := dec.Uint32()
	if size == 0 || size&(size-1) != 0 || size > treemath.MaxLeaves {
		dec.Fail("tree of %d leaves", size)
		return d
	}
	for l := Leaf(size); uint32(l) < d.size; l++ {
		if d.Leaf(l) != nil {
			d.SetLeaf(l, nil)
		}
	}
	for x := Node(1); uint32(x) < treemath.Width(d.size); x += 2 { // what is cut off leaves the index of keys too
		if uint32(x) >= treemath.Width(size) {
			d.setParent(x, nil)
		}
	}
	for d.size < size {
		d.extend()
	}
	d.size = size
	d.touch(treemath.Root(size))
	sub := dec.Sub()
	for !sub.Empty() {
		x := Node(sub.Uint32())
		leaf, parent := decodeNode(&sub, x)
		if sub.Err() != nil || uint32(x) >= treemath.Width(size) {
			sub.Fail("node %d outside the tree", x)
			break
		}
		if x.IsLeaf() {
			d.SetLeaf(x.Leaf(), leaf)
		} else {
			d.parents[x] = parent
			d.touch(x)
		}
	}
	dec.FailWith(sub.Err())
	d.blank = 0
	return d
}

// Marshal returns the content of a ratchet_tree extension (RFC 9420, section 12.4.3.3) of the tree as
// it will be.
func (d *Diff) Marshal() []byte { return marshal(d, d.size) }
