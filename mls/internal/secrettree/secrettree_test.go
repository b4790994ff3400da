package secrettree

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/quicproquo/qpq/mls/internal/suite"
	"github.com/quicproquo/qpq/mls/internal/treemath"
)

func newTree() *Tree {
	s := suite.Lookup(1, 0)
	return New(s, 8, bytes.Repeat([]byte{1}, s.HashSize()))
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

func gone(t *testing.T, what string, secrets ...[]byte) {
	t.Helper()
	for _, s := range secrets {
		if len(s) == 0 || !bytes.Equal(s, make([]byte, len(s))) {
			t.Errorf("%s: %x is still there", what, s)
		}
	}
}

func kept(t *testing.T, what string, secrets ...[]byte) {
	t.Helper()
	for _, s := range secrets {
		if len(s) == 0 || bytes.Equal(s, make([]byte, len(s))) {
			t.Errorf("%s is gone", what)
		}
	}
}

// TestWhatIsUsedIsWiped holds on to the memory of secrets while they are used (RFC 9420, section 9.2).
func TestWhatIsUsedIsWiped(t *testing.T) {
	tr := newTree()
	root := tr.nodes[treemath.Root(8)]
	if _, err := tr.member(2); err != nil {
		t.Fatal(err)
	}
	gone(t, "the root, once a member's keys are wanted", root)
	if len(tr.nodes) != 3 {
		t.Fatalf("%d secrets are left of the tree, its copath has 3", len(tr.nodes))
	}
	sibling := tr.nodes[treemath.Leaf(3).Node()]
	kept(t, "the secret of the leaf beside", sibling)
	must(tr.Next(3, Application))(t)
	gone(t, "the secret of a leaf whose ratchets have started", sibling)

	r := &tr.ratchets[2][Application]
	before := r.secret
	key := must(tr.Next(2, Application))(t)
	gone(t, "the secret of a ratchet, after a step", before)
	kept(t, "the other ratchet", tr.ratchets[2][Handshake].secret)
	key.Wipe()
	gone(t, "a key that was used", key.Key, key.Nonce)

	before = r.secret
	forged := must(tr.Open(2, Application, 4, 10))(t)
	passed, after := forged.passed[0], forged.after.secret
	forged.Drop()
	gone(t, "what a message that was not authentic led to", after, forged.Key.Key, forged.Key.Nonce, passed.Key, passed.Nonce)
	kept(t, "the ratchet that a message left alone", before)

	o := must(tr.Open(2, Application, 4, 10))(t)
	o.Commit(2) // generations 1, 2 and 3 were passed over
	gone(t, "the ratchet before a message that was opened", before, o.Key.Key, o.Key.Nonce, o.passed[0].Key, o.passed[0].Nonce)
	kept(t, "the key of a late message", r.skipped[2].Key, r.skipped[3].Key)
	if len(r.skipped) != 2 {
		t.Errorf("%d keys are kept for late messages", len(r.skipped))
	}
	o = must(tr.Open(2, Application, 3, 10))(t)
	o.Drop()
	kept(t, "the key of a late message that was forged", r.skipped[3].Key)
	late := r.skipped[3]
	o = must(tr.Open(2, Application, 3, 10))(t)
	o.Commit(2)
	gone(t, "the key of a late message that was opened", late.Key, late.Nonce)
	for _, generation := range []uint32{0, 1, 3, 4} {
		if _, err := tr.Open(2, Application, generation, 10); !errors.Is(err, ErrConsumed) {
			t.Errorf("generation %d: %v", generation, err)
		}
	}

	all := [][]byte{r.secret, r.skipped[2].Key, tr.ratchets[3][Handshake].secret}
	for _, s := range tr.nodes {
		all = append(all, s)
	}
	tr.Wipe()
	gone(t, "of a tree that was wiped", all...)
	if len(tr.Members()) > 0 || tr.Complete() {
		t.Error("a tree that was wiped still has keys")
	}
}

func TestTheLastGeneration(t *testing.T) {
	tr := newTree()
	must(tr.member(0))(t)
	tr.ratchets[0][Application].next = 1<<32 - 2
	for want := uint32(1<<32 - 2); want != 0; want++ {
		if k := must(tr.Next(0, Application))(t); k.Generation != want {
			t.Fatalf("generation %d, %d was next", k.Generation, want)
		}
	}
	if _, err := tr.Next(0, Application); !errors.Is(err, ErrConsumed) {
		t.Errorf("after the last generation: %v", err)
	}
	if _, err := tr.Open(0, Application, 0, 10); !errors.Is(err, ErrConsumed) {
		t.Errorf("generation 0 after the last: %v", err)
	}
}

// stored returns what a tree is stored as, and the tree that it decodes to.
func stored(t testing.TB, tr *Tree) (nodes []byte, members map[treemath.Leaf][]byte, again *Tree) {
	t.Helper()
	nodes, members = tr.AppendNodes(nil), map[treemath.Leaf][]byte{}
	again = must(Decode(tr.suite, nodes))(t)
	for _, l := range tr.Members() {
		members[l] = tr.AppendMember(nil, l)
		if err := again.DecodeMember(l, members[l]); err != nil {
			t.Fatal(err)
		}
	}
	return nodes, members, again
}

func TestStoredKeysGoOn(t *testing.T) {
	tr := newTree()
	must(tr.Next(5, Handshake))(t)
	must(tr.Open(1, Application, 3, 10))(t).Commit(10)
	_, _, again := stored(t, tr)
	for l := range treemath.Leaf(8) {
		for k := range kinds {
			a, b := must(tr.Next(l, k))(t), must(again.Next(l, k))(t)
			if a.Generation != b.Generation || !bytes.Equal(a.Key, b.Key) || !bytes.Equal(a.Nonce, b.Nonce) {
				t.Errorf("leaf %d goes on with generation %d, it should be %d", l, b.Generation, a.Generation)
			}
		}
	}
	late := must(again.Open(1, Application, 2, 10))(t)
	if want := must(tr.Open(1, Application, 2, 10))(t); !bytes.Equal(late.Key.Key, want.Key.Key) {
		t.Error("the key of a late message is another")
	}
}

// FuzzDecode reads what was stored, and uses all of it.
func FuzzDecode(f *testing.F) {
	tr := newTree()
	nodes := tr.AppendNodes(nil)
	must(tr.Open(1, Application, 3, 10))(f).Commit(10)
	after, members, _ := stored(f, tr)
	f.Add(nodes, members[1])
	f.Add(after, members[1])
	f.Fuzz(func(t *testing.T, nodes, member []byte) {
		s := suite.Lookup(1, 0)
		tr, err := Decode(s, nodes)
		if err != nil {
			return
		}
		if tr.Size() <= 1<<12 {
			tr.Complete()
		}
		for l := range treemath.Leaf(3) {
			_ = tr.DecodeMember(l, member)
			for k := range kinds {
				_, _ = tr.Next(l, k)
				if o, err := tr.Open(l, k, 5, 10); err == nil {
					o.Commit(3)
				}
			}
		}
		tr.Unsaved()
		_, _, again := stored(t, tr)
		if fmt.Sprint(again.Members()) != fmt.Sprint(tr.Members()) {
			t.Error("stored again, it is another")
		}
	})
}
