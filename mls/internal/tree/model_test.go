package tree_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/quicproquo/qpq/mls/internal/codec"
	"github.com/quicproquo/qpq/mls/internal/suite"
	"github.com/quicproquo/qpq/mls/internal/tree"
	"github.com/quicproquo/qpq/mls/message"
)

// history makes random changes to a tree.
type history struct {
	*testing.T
	random *rand.Rand
	suite  *suite.Suite
	tree   *tree.Tree
}

var (
	someExtensions  = []message.ExtensionType{0xf001, 0xf002, 0xf003}
	someProposals   = []message.ProposalType{0xf001, 0xf002, 0xf003}
	someCredentials = []message.CredentialType{message.CredentialBasic, message.CredentialX509, 0xf001}
)

// some returns a few of list, maybe one of them twice.
func some[T any](r *rand.Rand, list []T) (out []T) {
	for range r.IntN(2 * len(list)) {
		out = append(out, list[r.IntN(len(list))])
	}
	return out
}

func (h *history) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(h.random.Uint32())
	}
	return b
}

func (h *history) leaf() *message.LeafNode {
	return &message.LeafNode{EncryptionKey: h.bytes(32), SignatureKey: h.bytes(32), Source: message.SourceUpdate, Signature: h.bytes(64),
		Credential: message.Credential{Type: someCredentials[h.random.IntN(3)]},
		Capabilities: &message.Capabilities{Extensions: some(h.random, someExtensions), Proposals: some(h.random, someProposals),
			Credentials: some(h.random, someCredentials)}}
}

// members returns the leaves that are not blank.
func (h *history) members(d *tree.Diff) (list []tree.Leaf) {
	for l := range tree.Leaf(d.Size()) {
		if d.Leaf(l) != nil {
			list = append(list, l)
		}
	}
	return list
}

// change makes a few changes.
func (h *history) change(d *tree.Diff) {
	members := h.members(d)
	for range h.random.IntN(4) {
		if k := h.random.IntN(len(members)); h.random.IntN(3) == 0 {
			d.Update(members[k], h.leaf())
		} else if len(members) > 2 {
			d.Remove(members[k])
			members = slices.Delete(members, k, k+1)
		}
	}
	for range h.random.IntN(4) {
		members = append(members, must(d.Add(h.leaf()))(h))
	}
	if h.random.IntN(3) > 0 {
		l := members[h.random.IntN(len(members))]
		steps := d.FilteredPath(l)
		keys := make([][]byte, len(steps))
		for i := range keys {
			keys[i] = h.bytes(32)
		}
		leaf := h.leaf()
		leaf.Source, leaf.ParentHash = message.SourceCommit, d.SetPath(l, steps, keys)
		d.SetLeaf(l, leaf)
	}
}

// TestTreeIsTheOneReadAnew: whatever changes made a tree, it says the same of itself as one that is read from its encoding,
// where nothing is known from before. That holds for changes that are not merged yet too, and for those restored from
// their own encoding.
func TestTreeIsTheOneReadAnew(t *testing.T) {
	for seed := range uint64(30) {
		h := &history{T: t, random: rand.New(rand.NewPCG(seed, 0)), suite: suite.Lookup(1, 0)}
		h.tree = tree.New(h.suite)
		d := h.tree.Diff()
		for range 1 + h.random.IntN(20) {
			must(d.Add(h.leaf()))(t)
		}
		d.Merge()
		for range 40 {
			d := h.tree.Diff()
			h.change(d)
			anew := must(tree.Unmarshal(h.suite, d.Marshal(), 1000))(t)
			h.compare("changed", d, anew)
			dec := codec.NewDecoder(d.Append(nil))
			restored := h.tree.DecodeDiff(dec)
			if err := dec.Done(); err != nil {
				t.Fatal(err)
			}
			h.compare("restored", restored, anew)
			if err := d.CheckUnique(); err != nil {
				t.Fatal(err)
			}
			d.Merge()
			h.compare("merged", h.tree.Diff(), anew)
			h.keys()
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}
	}
}

func (h *history) compare(how string, d *tree.Diff, want *tree.Tree) {
	w := want.Diff()
	if d.Size() != w.Size() || d.Members() != w.Members() || !bytes.Equal(d.Hash(), w.Hash()) {
		h.Errorf("%s: %d members in %d leaves with hash %x, read anew %d in %d with %x", how, d.Members(), d.Size(), d.Hash(), w.Members(), w.Size(), w.Hash())
		return
	}
	for _, l := range h.members(d) {
		if got, want := d.FilteredPath(l), w.FilteredPath(l); !slices.Equal(got, want) {
			h.Errorf("%s: path of leaf %d is %v, read anew %v", how, l, got, want)
		}
	}
	for i := range someExtensions {
		e, p, c := someExtensions[i], someProposals[i], someCredentials[i]
		all := [3]bool{true, true, true}
		for _, l := range h.members(w) {
			k := w.Leaf(l).Capabilities
			all = [3]bool{all[0] && k.HasExtension(e), all[1] && k.HasProposal(p), all[2] && k.HasCredential(c)}
		}
		if got := [3]bool{d.AllKnowExtension(e), d.AllKnowProposal(p), d.AllKnowCredential(c)}; got != all {
			h.Errorf("%s: who knows types %v, %v and %v: %v, asked one by one %v", how, e, p, c, got, all)
		}
	}
	var used []message.CredentialType
	for _, l := range h.members(w) {
		if t := w.Leaf(l).Credential.Type; !slices.Contains(used, t) {
			used = append(used, t)
		}
	}
	got := d.CredentialTypes()
	slices.Sort(got)
	slices.Sort(used)
	if !slices.Equal(got, used) {
		h.Errorf("%s: credentials of types %v, one by one %v", how, got, used)
	}
}

// keys tries keys that are in use, and one that is no longer.
func (h *history) keys() {
	for _, l := range h.members(h.tree.Diff()) {
		n := h.tree.Leaf(l)
		if err := h.tree.Diff().CheckFresh([][]byte{n.EncryptionKey}); !errors.Is(err, tree.ErrDuplicateKey) {
			h.Errorf("key of leaf %d: %v", l, err)
		}
		if err := h.tree.Diff().CheckFresh([][]byte{n.SignatureKey}); err != nil {
			h.Errorf("an encryption key like the signature key of leaf %d: %v", l, err)
		}
		d := h.tree.Diff()
		d.Remove(l)
		if err := d.CheckFresh([][]byte{n.EncryptionKey}); err != nil {
			h.Errorf("key of leaf %d, removed: %v", l, err)
		}
		again := h.leaf()
		again.SignatureKey = n.SignatureKey
		d = h.tree.Diff()
		must(d.Add(again))(h)
		if err := d.CheckUnique(); !errors.Is(err, tree.ErrDuplicateKey) {
			h.Errorf("signature key of leaf %d, twice: %v", l, err)
		}
	}
}
