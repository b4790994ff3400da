package mls

import (
	"fmt"
	"slices"
	"testing"

	"github.com/quicproquo/qpq/mls/internal/tree"
	"github.com/quicproquo/qpq/mls/message"
)

// sparse returns a group of the leaves 0 to 7 in which nodes are blank, others keep keys above blank ones, and leaves
// are unmerged at some nodes and not at others.
func sparse(t *testing.T) *rig {
	t.Helper()
	r := newRig(t, 8, Config{})
	for _, g := range slices.Backward(r.members) {
		r.commit(g, CommitOptions{})
	}
	m := slices.Clone(r.members)
	r.commit(m[0], CommitOptions{Proposals: []Proposal{&message.Remove{Removed: 1}, &message.Remove{Removed: 3}}})
	r.commit(m[2], CommitOptions{})
	r.commit(m[0], CommitOptions{})                                // its leaf, node 3 and the root: node 1 is skipped
	r.addWith(m[6], CommitOptions{WithoutPath: true}, "at leaf 1") // unmerged at nodes 3 and 7
	r.commit(m[4], CommitOptions{})                                // the root again, where leaf 1 is merged now
	r.addWith(m[6], CommitOptions{WithoutPath: true}, "at leaf 3") // unmerged at nodes 3, 5 if it has a key, and 7
	return r
}

func TestTreesWithGapsCanBeJoined(t *testing.T) {
	r := sparse(t)
	list := r.nodes(r.members[0])
	lists := map[int][]LeafIndex{}
	for x, n := range list {
		if n.parent != nil {
			lists[x] = n.parent.UnmergedLeaves
		}
	}
	if fmt.Sprint(lists[3]) != "[1 3]" || fmt.Sprint(lists[7]) != "[3]" || list[1].parent != nil {
		t.Fatalf("the tree is not the one that is meant: %v", lists)
	}
	if err := r.joinable(r.members[0], list); err != nil {
		t.Fatal(err)
	}
	r.joinExternally(r.members[2], "outsider", ExternalOptions{})
	for _, g := range slices.Clone(r.members) {
		r.commit(g, CommitOptions{})
		if err := r.joinable(g, r.nodes(g)); err != nil {
			t.Error(err)
		}
	}
}

// A check that stops at the first node that holds, or at the first chain, passes over the others.
func TestEveryParentHashIsChecked(t *testing.T) {
	r := sparse(t)
	alice := r.members[0]
	checked := 0
	for x, n := range r.nodes(alice) {
		if n.parent == nil {
			continue
		}
		checked++
		r.Run(fmt.Sprintf("node %d with another key", x), func(t *testing.T) {
			list := r.nodes(alice)
			list[x].parent.EncryptionKey = good(alice.suite.GenerateKeyPair(nil))(t).Public()
			fails(t, r.joinable(alice, list), ErrTree)
		})
		r.Run(fmt.Sprintf("node %d with another parent hash", x), func(t *testing.T) {
			list := r.nodes(alice)
			list[x].parent.ParentHash = alice.suite.Hash([]byte("another"))
			fails(t, r.joinable(alice, list), ErrTree)
		})
		if len(n.parent.ParentHash) == 0 {
			continue // the root
		}
		r.Run(fmt.Sprintf("node %d without a parent hash", x), func(t *testing.T) {
			list := r.nodes(alice)
			list[x].parent.ParentHash = nil
			fails(t, r.joinable(alice, list), ErrTree)
		})
	}
	if checked < 4 {
		t.Errorf("%d nodes checked", checked)
	}
}

func TestNullParentHash(t *testing.T) {
	r := newRig(t, 2, Config{PublicHandshake: true})
	alice, bob := r.members[0], r.members[1]
	r.Run("a leaf without one is below no key", func(t *testing.T) {
		list := r.nodes(alice)
		if list[1].parent == nil || len(list[0].leaf.ParentHash) == 0 {
			t.Fatal("the root is blank")
		}
		list[0].leaf.ParentHash = nil
		r.signLeaf(alice, list[0].leaf)
		fails(t, r.joinable(alice, list), ErrTree)
	})
	r.Run("a leaf of another source carries none", func(t *testing.T) {
		list := r.nodes(alice)
		list[0].leaf.Source, list[0].leaf.ParentHash = message.SourceUpdate, nil
		r.signLeaf(alice, list[0].leaf)
		fails(t, r.joinable(alice, list), ErrTree)
	})
	r.Run("a commit without one has no path", func(t *testing.T) {
		p := good(alice.Commit(CommitOptions{}))(t)
		r.refuses(bob, r.resignPath(alice, p.Message, func(path *message.UpdatePath) { path.LeafNode.ParentHash = nil }), ErrParentHash)
		p.Discard()
	})
	r.Run("a member alone has none", func(t *testing.T) {
		r.commit(alice, CommitOptions{Proposals: []Proposal{&message.Remove{Removed: 1}}})
		r.commit(alice, CommitOptions{})
		if n := r.nodes(alice)[0].leaf; n.Source != message.SourceCommit || len(n.ParentHash) != 0 {
			t.Fatalf("parent hash %x", n.ParentHash)
		}
		r.joinExternally(alice, "carol", ExternalOptions{})
	})
}

func TestParentHashOfACommitIsChecked(t *testing.T) {
	r := newRig(t, 4, Config{PublicHandshake: true})
	alice := r.members[0]
	p := good(alice.Commit(CommitOptions{}))(t)
	forged := r.resignPath(alice, p.Message, func(path *message.UpdatePath) { path.LeafNode.ParentHash[0] ^= 1 })
	for _, g := range r.members[1:] {
		r.refuses(g, forged, ErrParentHash, ErrPath)
	}
	r.merge(alice, p)
}

// Where a parent hash reaches past blank nodes, leaves that came later may stand in the gap, and must all be unmerged
// above it.
func TestBlankAncestorsWithUnmergedLeaves(t *testing.T) {
	r := newRig(t, 4, Config{})
	m := slices.Clone(r.members)
	r.commit(m[2], CommitOptions{Proposals: []Proposal{&message.Remove{Removed: 1}}})
	r.commit(m[0], CommitOptions{}) // node 1 has nobody else below it and stays blank; node 3 is next
	r.addWith(m[2], CommitOptions{WithoutPath: true}, "at leaf 1")
	list := r.nodes(m[0])
	if list[1].parent != nil || list[3].parent == nil || fmt.Sprint(list[3].parent.UnmergedLeaves) != "[1]" {
		t.Fatal("the tree is not the one that is meant")
	}
	if err := r.joinable(m[0], list); err != nil {
		t.Errorf("a leaf in the gap: %v", err)
	}
	list[3].parent.UnmergedLeaves = nil
	fails(t, r.joinable(m[0], list), ErrTree)

	list = r.nodes(m[0])
	list[3].parent.UnmergedLeaves = []LeafIndex{0, 1}
	fails(t, r.joinable(m[0], list), ErrTree)

	r.commit(m[3], CommitOptions{})
	r.joinExternally(m[3], "outsider", ExternalOptions{})
}

// The resolution of a left subtree may start with a leaf that is new, or be empty.
func TestEmptyLeftSubtree(t *testing.T) {
	r := newRig(t, 8, Config{})
	m := slices.Clone(r.members)
	r.commit(m[2], CommitOptions{Proposals: []Proposal{&message.Remove{Removed: 0}, &message.Remove{Removed: 1}}})
	list := r.nodes(m[2])
	if list[3].parent != nil || list[5].parent == nil || list[7].parent == nil {
		t.Fatal("the tree is not the one that is meant")
	}
	if err := r.joinable(m[2], list); err != nil {
		t.Fatal(err)
	}
	r.addWith(m[5], CommitOptions{WithoutPath: true}, "at leaf 0") // in front of node 5 in the resolution of node 3
	if err := r.joinable(m[2], r.nodes(m[2])); err != nil {
		t.Fatal(err)
	}
	r.commit(m[7], CommitOptions{})
	r.commit(r.members[len(r.members)-1], CommitOptions{})

	r.Run("the whole left half", func(t *testing.T) {
		r := newRig(t, 4, Config{})
		m := slices.Clone(r.members)
		r.commit(m[3], CommitOptions{Proposals: []Proposal{&message.Remove{Removed: 0}, &message.Remove{Removed: 1}}})
		r.commit(m[2], CommitOptions{})
		if err := r.joinable(m[2], r.nodes(m[2])); err != nil {
			t.Fatal(err)
		}
		if g := r.joinExternally(m[2], "back at leaf 0", ExternalOptions{}); g.OwnIndex() != 0 {
			t.Errorf("joined at leaf %d", g.OwnIndex())
		}
	})
}

func TestUnmergedLeaves(t *testing.T) {
	r := sparse(t)
	alice := r.members[0]
	with := func(x int, leaves ...LeafIndex) []treeNode {
		list := r.nodes(alice)
		list[x].parent.UnmergedLeaves = leaves
		return list
	}
	// Two checks see most of it, and each has to by itself.
	alone := func(t *testing.T, list []treeNode) {
		tr := good(tree.Unmarshal(alice.suite, marshalNodes(list), 100))(t)
		if tr.CheckUnmerged() == nil || tr.CheckParentHashes() == nil {
			t.Errorf("unmerged leaves: %v; parent hashes: %v", tr.CheckUnmerged(), tr.CheckParentHashes())
		}
	}
	for _, c := range []struct {
		name string
		tree []treeNode
		want error
	}{
		{"in order", with(3, 1, 3), nil},
		{"out of order", with(3, 3, 1), ErrMalformed},
		{"twice", with(3, 1, 1, 3), ErrMalformed},
		{"of another subtree", with(3, 1, 3, 5), ErrTree},
		{"missing below a node that has them", with(3, 1), ErrTree},
		{"missing at a node in whose gap they stand", with(3), ErrTree},
		{"of somebody who is merged", with(7, 1, 3), ErrTree},
	} {
		r.Run(c.name, func(t *testing.T) {
			err := r.joinable(alice, c.tree)
			if c.want == nil && err != nil {
				t.Fatal(err)
			}
			fails(t, err, c.want)
		})
	}
	r.Run("missing below, by either check", func(t *testing.T) {
		alone(t, with(3, 1))
		alone(t, with(7, 3, 5)) // leaf 5 is merged at node 11, below which the last committer is
	})
	r.Run("that are blank", func(t *testing.T) {
		r := newRig(t, 8, Config{})
		alice := r.members[0]
		r.commit(r.members[4], CommitOptions{Proposals: []Proposal{&message.Remove{Removed: 3}}})
		r.commit(alice, CommitOptions{})
		list := r.nodes(alice)
		list[3].parent.UnmergedLeaves = []LeafIndex{3}
		fails(t, r.joinable(alice, list), ErrTree)
		alone(t, list)
	})
}

func TestKeysInTheTreeAreUnique(t *testing.T) {
	r := newRig(t, 4, Config{})
	alice, bob := r.members[0], r.members[1]
	r.Run("a parent with the key of another node", func(t *testing.T) {
		list := r.nodes(alice)
		list[3].parent.EncryptionKey = list[2].leaf.EncryptionKey
		fails(t, r.joinable(alice, list), ErrTree, ErrDuplicateKey)
	})
	r.Run("two leaves with one encryption key", func(t *testing.T) {
		list := r.nodes(alice)
		list[2].leaf.EncryptionKey = list[4].leaf.EncryptionKey
		r.signLeaf(bob, list[2].leaf)
		fails(t, r.joinable(alice, list), ErrTree, ErrDuplicateKey)
	})
	r.Run("two leaves with one signature key", func(t *testing.T) {
		list := r.nodes(alice)
		list[4].leaf = list[2].leaf.Detach()
		list[4].leaf.EncryptionKey = good(alice.suite.GenerateKeyPair(nil))(t).Public()
		fails(t, r.joinable(alice, list), ErrTree, ErrDuplicateKey)
	})
}

// A node that only gains unmerged leaves keeps its key, and with it whoever knows the private half must keep that.
func TestUnmergedLeafCostsNoPrivateKey(t *testing.T) {
	r := newRig(t, 5, Config{})
	m := slices.Clone(r.members)
	r.commit(m[4], CommitOptions{Proposals: []Proposal{&message.Remove{Removed: 3}}})
	r.commit(m[0], CommitOptions{}) // gives node 3 a key that the members at leaves 0 to 2 know
	key := m[1].keys[3]
	if key == nil {
		t.Fatal("node 3 has no key")
	}
	r.addWith(m[4], CommitOptions{WithoutPath: true}, "at leaf 3")
	if list := r.nodes(m[1])[3].parent.UnmergedLeaves; fmt.Sprint(list) != "[3]" {
		t.Fatalf("unmerged leaves %v", list)
	}
	for _, g := range m[:3] {
		if g.keys[tree.Node(3)] == nil {
			t.Errorf("leaf %d lost the key of node 3", g.OwnIndex())
		}
	}
	m[1] = r.restored(m[1])
	r.members[1] = m[1]
	r.commit(m[4], CommitOptions{}) // one ciphertext for node 3, one for leaf 3
	r.says(m[1], m[4], "still here")
}
