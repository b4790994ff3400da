package tree

import (
	"fmt"

	"github.com/quicproquo/qpq/mls/internal/codec"
	"github.com/quicproquo/qpq/mls/internal/suite"
	"github.com/quicproquo/qpq/mls/internal/treemath"
)

// chunkNodes is how many neighbouring nodes are stored together. A commit changes one chunk at the
// bottom and about one for each level above.
const chunkNodes = 32

// ChunkOf returns the chunk that node x is stored in.
func ChunkOf(x Node) int { return int(x / chunkNodes) }

// Chunks returns how many chunks a tree of the given size is stored in.
func Chunks(size uint32) int { return int((treemath.Width(size) + chunkNodes - 1) / chunkNodes) }

// Chunk returns the encoding of a chunk of the tree as it will be once d is merged. A nil d means the
// tree as it is.
func (t *Tree) Chunk(d *Diff, chunk int) []byte {
	var view nodes = t
	size := t.Size()
	if d != nil {
		view, size = d, d.size
	}
	var b []byte
	first := Node(chunk * chunkNodes)
	for x := first; x < first+chunkNodes && uint32(x) < treemath.Width(size); x++ {
		b = appendNodeAt(b, view, x)
	}
	return b
}

// FromChunks puts a tree of the given size together from its chunks. They come from one's own storage:
// nothing but their form is checked.
func FromChunks(s *suite.Suite, size uint32, chunk func(int) []byte) (*Tree, error) {
	t := New(s)
	share := t.sharer()
	if size == 0 || size&(size-1) != 0 || size > treemath.MaxLeaves {
		return nil, fmt.Errorf("%w: stored with %d leaves", ErrInvalid, size)
	}
	for i := range Chunks(size) {
		d := codec.NewDecoder(chunk(i))
		first := Node(i * chunkNodes)
		for x := first; x < first+chunkNodes && uint32(x) < treemath.Width(size); x++ {
			leaf, parent := decodeNode(d, x)
			if err := d.Err(); err != nil {
				return nil, fmt.Errorf("decode stored ratchet tree, chunk %d: %w", i, err)
			}
			if !x.IsLeaf() {
				if parent != nil {
					parent = parent.Detach()
				}
				t.parents = append(t.parents, parent)
				continue
			}
			if leaf != nil {
				leaf = leaf.Detach(share)
				t.members++
			}
			t.leaves = append(t.leaves, leaf)
		}
		if err := d.Done(); err != nil {
			return nil, fmt.Errorf("decode stored ratchet tree, chunk %d: %w", i, err)
		}
	}
	t.resize(size)
	return t, t.index()
}
