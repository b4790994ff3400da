package mls

import (
	"bytes"
	"slices"
	"testing"
)

func TestRatchetTreePieces(t *testing.T) {
	r := newRig(t, 9, Config{})
	g := r.members[0]
	whole := g.RatchetTree()
	cut := func(ratchetTree []byte) [][]byte {
		t.Helper()
		pieces, err := g.CutRatchetTree(ratchetTree, 2)
		if err != nil {
			t.Fatal(err)
		}
		return pieces
	}
	before := cut(whole)
	if len(before) != 5 {
		t.Fatalf("9 leaves make %d pieces of 2, not 5", len(before))
	}
	if !bytes.Equal(JoinRatchetTree(before), whole) {
		t.Fatal("the pieces are not the tree")
	}
	for _, bad := range [][]byte{nil, whole[:len(whole)-1], append(slices.Clone(whole), 0)} {
		if _, err := g.CutRatchetTree(bad, 2); err == nil {
			t.Errorf("%d bytes that are no tree were cut", len(bad))
		}
	}
	_, err := g.CutRatchetTree(whole, 0)
	fails(t, err, ErrConfig)
	r.commit(g, CommitOptions{})
	changed := 0
	for i, p := range cut(g.RatchetTree()) {
		if !bytes.Equal(p, before[i]) {
			changed++
		}
	}
	if changed == 0 || changed > 4 { // those of the committer's leaf, and of nodes 3, 7 and 15 above it
		t.Errorf("a commit changed %d of 5 pieces", changed)
	}
}

func TestExportAhead(t *testing.T) {
	r := newRig(t, 2, Config{})
	g := r.members[0]
	p, err := g.Commit(CommitOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ahead, err := p.Export("label", []byte("context"), 32)
	if err != nil {
		t.Fatal(err)
	}
	r.merge(g, p)
	for _, m := range r.members {
		if got, err := m.Export("label", []byte("context"), 32); err != nil || !bytes.Equal(got, ahead) {
			t.Errorf("after the commit a member exports %x (%v), and it said %x before", got, err, ahead)
		}
	}
	if _, err := p.Export("label", nil, 32); err == nil {
		t.Error("an applied commit still exports")
	}
}
