package tree_test

import (
	"bytes"
	"errors"
	"fmt"
	"runtime/metrics"
	"testing"

	"github.com/quicproquo/qpq/mls/internal/codec"
	"github.com/quicproquo/qpq/mls/internal/suite"
	. "github.com/quicproquo/qpq/mls/internal/tree"
	"github.com/quicproquo/qpq/mls/message"
)

// fuzzTree returns a tree of n members without the leaf 1, in which one member committed before the last one came.
func fuzzTree(t testing.TB, n int) *Tree {
	t.Helper()
	s := suite.Lookup(1, 0)
	tr := New(s)
	d := tr.Diff()
	leaf := func(i int) *message.LeafNode {
		return &message.LeafNode{EncryptionKey: fmt.Appendf(nil, "encryption key %d", i), SignatureKey: fmt.Appendf(nil, "signature key %d", i),
			Credential: message.BasicCredential([]byte("somebody")), Capabilities: &message.Capabilities{}, Source: message.SourceUpdate}
	}
	for i := range n {
		if _, err := d.Add(leaf(i)); err != nil {
			t.Fatal(err)
		}
	}
	d.Remove(1)
	steps := d.FilteredPath(0)
	keys := make([][]byte, len(steps))
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "key of step %d", i)
	}
	d.SetPath(0, steps, keys)
	for i := n; i < n+2; i++ {
		if _, err := d.Add(leaf(i)); err != nil {
			t.Fatal(err)
		}
	}
	d.Merge()
	return tr
}

// TestTreeThatIsCutShort has a tree end anywhere: between two nodes it may.
func TestTreeThatIsCutShort(t *testing.T) {
	data := fuzzTree(t, 3).Marshal()
	body := codec.NewDecoder(data).Vec()
	for n := range body {
		short := codec.AppendVec(nil, body[:n])
		if tr, err := Unmarshal(suite.Lookup(1, 0), short, 100); err == nil && !bytes.Equal(tr.Marshal(), short) {
			t.Errorf("%d of %d bytes are taken", n, len(body))
		}
	}
}

// FuzzUnmarshal decodes ratchet trees. One that is taken has no other encoding and can be changed.
func FuzzUnmarshal(f *testing.F) {
	for _, n := range []int{2, 3, 9} {
		f.Add(fuzzTree(f, n).Marshal())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		tr, err := Unmarshal(suite.Lookup(1, 0), data, 100)
		if err != nil {
			return
		}
		if !bytes.Equal(tr.Marshal(), data) {
			t.Errorf("encoded again it is\n%x, it was\n%x", tr.Marshal(), data)
		}
		_, _ = tr.CheckUnmerged(), tr.CheckParentHashes()
		change(t, tr)
	})
}

// change removes each member of a tree and adds one, and compares the outcome with the tree that it decodes to.
func change(t *testing.T, tr *Tree) {
	for l := Leaf(0); uint32(l) < tr.Size(); l++ {
		d := tr.Diff()
		if d.Leaf(l) == nil || d.Members() == 1 {
			continue
		}
		d.Remove(l)
		if _, err := d.Add(tr.Leaf(l)); err != nil {
			t.Fatal(err)
		}
		d.FilteredPath(0)
		decoded, err := Unmarshal(suite.Lookup(1, 0), d.Marshal(), 100)
		if err != nil {
			return // a key twice, or room for too many
		}
		if !bytes.Equal(decoded.Hash(), d.Hash()) {
			t.Errorf("without leaf %d the tree has the hash %x, it should be %x", l, d.Hash(), decoded.Hash())
		}
	}
}

// FuzzDecodeDiff decodes changes of a tree that were stored.
func FuzzDecodeDiff(f *testing.F) {
	tr := fuzzTree(f, 9)
	d := tr.Diff()
	d.Remove(3)
	d.SetPath(0, d.FilteredPath(0), [][]byte{{1}, {2}, {3}, {4}}[:len(d.FilteredPath(0))])
	f.Add(d.Append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		dec := codec.NewDecoder(data)
		d := tr.DecodeDiff(dec)
		if dec.Done() != nil || d.Size() > 1<<10 {
			return
		}
		d.Hash()
		d.Members()
		d.Marshal()
		_, _ = d.NextBlank()
	})
}

// TestTreeOfBlanksIsRefused has a tree of nothing but blank nodes, which are one byte on the wire and many in memory.
func TestTreeOfBlanksIsRefused(t *testing.T) {
	data := codec.AppendVec(nil, append(make([]byte, 4<<20), fuzzTree(t, 2).Marshal()[1:]...))
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	before := sample[0].Value.Uint64()
	if _, err := Unmarshal(suite.Lookup(1, 0), data, 1000); !errors.Is(err, ErrMembers) {
		t.Errorf("it is taken with %v", err)
	}
	metrics.Read(sample)
	if n := sample[0].Value.Uint64() - before; n > 1<<20 {
		t.Errorf("to refuse it took %d bytes of memory", n)
	}
}
