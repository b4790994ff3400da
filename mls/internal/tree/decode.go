package tree

import (
	"cmp"
	"fmt"

	"github.com/quicproquo/qpq/mls/internal/codec"
	"github.com/quicproquo/qpq/mls/internal/suite"
	"github.com/quicproquo/qpq/mls/internal/treemath"
	"github.com/quicproquo/qpq/mls/message"
)

// Unmarshal decodes the content of a ratchet_tree extension and computes the tree hashes. The tree
// is well-formed then, not yet trusted: see CheckParentHashes and CheckUnmerged. A tree of more than
// limit members is refused.
func Unmarshal(s *suite.Suite, data []byte, limit int) (*Tree, error) {
	t := New(s)
	encoded, err := t.split(data, limit)
	if err != nil {
		return nil, fmt.Errorf("decode ratchet tree: %w", err)
	}
	if len(encoded) == 0 || encoded[len(encoded)-1] == nil {
		return nil, fmt.Errorf("%w: it is empty or ends with a blank node", ErrInvalid)
	}
	t.resize(treemath.Size(uint32(len(encoded)/2 + 1)))
	errs := make([]error, len(encoded))
	inBatches(len(encoded), func(i int) {
		if encoded[i] != nil {
			errs[i] = t.decodeNode(codec.NewDecoder(encoded[i]), Node(i))
		}
	})
	if err := cmp.Or(errs...); err != nil {
		return nil, fmt.Errorf("decode ratchet tree: %w", err)
	}
	return t, t.index()
}

// split returns the encoding of each node, nil for those that are blank, so that they can be decoded on all
// processors.
func (t *Tree) split(data []byte, limit int) (nodes [][]byte, err error) {
	d := codec.NewDecoder(data)
	sub := d.Sub()
	// A tree only grows when it is full, so one much larger than its members need is there to take memory: a blank node is
	// one byte here. Groups that once had up to twice as many members are fine.
	room := 4 * int64(treemath.Size(uint32(min(max(limit, 1), treemath.MaxLeaves))))
	for x := Node(0); !sub.Empty(); x++ {
		if int64(x) >= room {
			return nil, fmt.Errorf("%w: there is room for more than %d", ErrMembers, limit)
		}
		before := sub.Rest()
		if !sub.Bool() {
			nodes = append(nodes, nil)
			continue
		}
		switch kind := sub.Uint8(); {
		case kind == 1 && x.IsLeaf():
			message.SkipLeafNode(&sub)
			if t.members++; t.members > limit {
				return nil, fmt.Errorf("%w: at most %d are allowed", ErrMembers, limit)
			}
		case kind == 2 && !x.IsLeaf():
			message.SkipParentNode(&sub)
		default:
			sub.Fail("node %d is of type %d", x, kind)
		}
		if sub.Err() != nil {
			break
		}
		nodes = append(nodes, before[2:len(before)-len(sub.Rest())])
	}
	d.FailWith(sub.Err())
	return nodes, d.Done()
}

// decodeNode reads node x, which is not blank.
func (t *Tree) decodeNode(d *codec.Decoder, x Node) error {
	if x.IsLeaf() {
		t.leaves[x.Leaf()] = message.DecodeLeafNode(d).Detach()
	} else {
		t.parents[x>>1] = message.DecodeParentNode(d).Detach()
	}
	return d.Done()
}

// index computes everything that is derived from the nodes: keys in use, counts and hashes.
func (t *Tree) index() error {
	var unique error
	Parallel(2, func(i int) {
		if i == 0 {
			unique = t.indexKeys()
		} else {
			t.takeCensus()
		}
	})
	if unique != nil {
		return unique
	}
	t.rehash()
	return nil
}

func (t *Tree) indexKeys() error {
	t.keys = newKeyIndex(t.members)
	for i, leaf := range t.leaves {
		if leaf != nil && !t.keys.claimLeaf(Leaf(i), leaf) {
			return fmt.Errorf("%w: %w: leaf %d", ErrInvalid, ErrDuplicateKey, i)
		}
	}
	for i, p := range t.parents {
		if p != nil && !claim(t.keys.encryption, p.EncryptionKey, Node(2*i+1)) {
			return fmt.Errorf("%w: %w: node %d", ErrInvalid, ErrDuplicateKey, 2*i+1)
		}
	}
	return nil
}

// takeCensus counts the members below each node and what they support. Equal capabilities become one value.
func (t *Tree) takeCensus() {
	t.blank = Leaf(t.Size())
	known := map[string]*message.Capabilities{}
	for i, leaf := range t.leaves {
		if leaf == nil {
			t.blank = min(t.blank, Leaf(i))
			continue
		}
		var scratch [256]byte
		b := leaf.Capabilities.Append(scratch[:0])
		if same, ok := known[string(b)]; ok {
			leaf.Capabilities = same
		} else {
			known[string(b)] = leaf.Capabilities
		}
		t.census.count(leaf, 1)
	}
	for level := uint(1); 1<<level <= len(t.leaves); level++ {
		for i := range len(t.leaves) >> level {
			x := Node(i<<(level+1) | (1<<level - 1))
			t.counts[x>>1] = uint32(t.count(x.Left()) + t.count(x.Right()))
		}
	}
}
