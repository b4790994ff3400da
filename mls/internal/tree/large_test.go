package tree_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/quicproquo/qpq/mls"
	"github.com/quicproquo/qpq/mls/internal/suite"
	"github.com/quicproquo/qpq/mls/internal/tree"
	"github.com/quicproquo/qpq/mls/mlstest"
)

var config = mls.Config{Credentials: mlstest.Anyone{}}

// TestCheckParentHashesOfLargeTrees: large enough for several subtrees to be verified beside each other. A parent hash
// that is wrong anywhere is found, and so is one that nobody carries.
func TestCheckParentHashesOfLargeTrees(t *testing.T) {
	s := suite.Lookup(1, 0)
	for name, make := range map[string]func(mls.Config, mls.CipherSuite, int) (*mlstest.Cast, error){
		"full": mlstest.FullCrowd, "sparse": mlstest.SparseCrowd} {
		cast, err := make(config, mls.X25519_AES128GCM_SHA256_Ed25519, 1500)
		if err != nil {
			t.Fatal(err)
		}
		data := cast.A.RatchetTree()
		good, err := tree.Unmarshal(s, data, 1500)
		if err != nil {
			t.Fatal(err)
		}
		if err := good.CheckParentHashes(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for level := uint(1); 1<<level <= good.Size(); level++ {
			x := highest(good, level)
			if good.Parent(x) == nil {
				continue
			}
			t.Run(fmt.Sprintf("%s, key of a node of level %d replaced", name, level), func(t *testing.T) {
				spoilt, err := tree.Unmarshal(s, data, 1500)
				if err != nil {
					t.Fatal(err)
				}
				spoilt.Parent(x).EncryptionKey[0] ^= 1
				if err := spoilt.CheckParentHashes(); !errors.Is(err, tree.ErrInvalid) {
					t.Errorf("node %d: %v", x, err)
				}
			})
		}
	}
}

// highest returns the rightmost node of a level that holds a key, or just the leftmost node.
func highest(t *tree.Tree, level uint) tree.Node {
	found := tree.Node(1<<level - 1)
	for x := found; uint32(x) < 2*t.Size()-1; x += 1 << (level + 1) {
		if t.Parent(x) != nil {
			found = x
		}
	}
	return found
}

// TestCommitRehashesItsPathOnly counts the nodes that change with a commit, in trees of 100 and 1,500 members.
func TestCommitRehashesItsPathOnly(t *testing.T) {
	for _, n := range []int{100, 1500} {
		cast, err := mlstest.FullCrowd(config, mls.X25519_AES128GCM_SHA256_Ed25519, n)
		if err != nil {
			t.Fatal(err)
		}
		r := must(tree.Unmarshal(suite.Lookup(1, 0), cast.A.RatchetTree(), n))(t)
		own := cast.A.OwnIndex()
		d := r.Diff()
		steps := d.FilteredPath(own)
		keys := make([][]byte, len(steps))
		for i := range keys {
			keys[i] = fmt.Appendf(nil, "key %d", i)
		}
		leaf := *r.Leaf(own)
		leaf.ParentHash = d.SetPath(own, steps, keys)
		d.SetLeaf(own, &leaf)
		d.Hash()
		if hashed, changed := d.Hashed(), len(steps)+1; hashed != changed || len(d.Changed()) != changed {
			t.Errorf("%d members: %d nodes changed, %d of them on the path; %d hashed", n, len(d.Changed()), changed, hashed)
		}
	}
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
