package tree

import (
	"fmt"

	"github.com/quicproquo/qpq/mls/internal/codec"
	"github.com/quicproquo/qpq/mls/internal/suite"
	"github.com/quicproquo/qpq/mls/internal/treemath"
)

// chunkLevels is how many levels of the tree a chunk spans.
const chunkLevels = 4

// ChunkLeaves is how many leaves a chunk of the lowest band holds.
const ChunkLeaves = 1 << (chunkLevels - 1)

// Chunk names a part of the tree that is stored together: a subtree of chunkLevels levels, of which a path
// from a leaf to the root crosses one in each band of so many levels. So a commit rewrites 15 nodes for
// each four levels, and few leaves, which are the larger nodes.
type Chunk struct{ Band, Place uint32 }

// String returns the name in letters, digits and slashes.
func (c Chunk) String() string { return fmt.Sprintf("%d/%d", c.Band, c.Place) }

// ChunkOf returns the chunk that node x is stored in.
func ChunkOf(x Node) Chunk {
	band := uint32(x.Level()) / chunkLevels
	return Chunk{band, uint32(x) >> (chunkLevels * (band + 1))}
}

// node returns the node at position j of the chunk, from the left: 15 of them.
func (c Chunk) node(j uint32) Node {
	shift := chunkLevels * c.Band
	return Node(c.Place<<(shift+chunkLevels) | j<<shift | (1<<shift - 1))
}

// Len returns how many nodes of a tree of the given size are in the chunk. They are its leftmost.
func (c Chunk) Len(size uint32) (n uint32) {
	for n < 1<<chunkLevels-1 && uint32(c.node(n)) < treemath.Width(size) {
		n++
	}
	return n
}

// Chunks returns the chunks that a tree of the given size is stored in.
func Chunks(size uint32) (list []Chunk) {
	for c := (Chunk{}); c.Len(size) > 0; c = (Chunk{Band: c.Band + 1}) {
		for ; c.Len(size) > 0; c.Place++ {
			list = append(list, c)
		}
	}
	return list
}

// Chunk returns the encoding of a chunk of the tree.
func (t *Tree) Chunk(c Chunk) []byte {
	size := t.suite.PublicKeySize() + 64 // about that of a parent
	if c.Band == 0 {
		size += 192 // every other node is a leaf
	}
	b := make([]byte, 0, int(c.Len(t.Size()))*size)
	for j := range c.Len(t.Size()) {
		b = appendNodeAt(b, t, c.node(j))
	}
	return b
}

// FromChunks puts a tree of the given size together from its chunks. They come from one's own storage:
// nothing but their form is checked.
func FromChunks(s *suite.Suite, size uint32, chunk func(Chunk) []byte) (*Tree, error) {
	t := New(s)
	if size == 0 || size&(size-1) != 0 || size > treemath.MaxLeaves {
		return nil, fmt.Errorf("%w: stored with %d leaves", ErrInvalid, size)
	}
	t.resize(size)
	for _, c := range Chunks(size) {
		d := codec.NewDecoder(chunk(c))
		for j := range c.Len(size) {
			x := c.node(j)
			leaf, parent := decodeNode(d, x)
			if d.Err() != nil {
				break
			}
			if leaf != nil {
				t.leaves[x.Leaf()] = leaf.Detach()
				t.members++
			}
			if parent != nil {
				t.parents[x>>1] = parent.Detach()
			}
		}
		if err := d.Done(); err != nil {
			return nil, fmt.Errorf("decode stored ratchet tree, chunk %s: %w", c, err)
		}
	}
	return t, t.index()
}
