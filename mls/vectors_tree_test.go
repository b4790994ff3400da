package mls

import (
	"bytes"
	"errors"
	"testing"

	"github.com/quicproquo/qpq/mls/internal/suite"
	"github.com/quicproquo/qpq/mls/internal/transition"
	"github.com/quicproquo/qpq/mls/internal/tree"
	"github.com/quicproquo/qpq/mls/message"
)

type treeOperationsCase struct {
	Suite      uint16 `json:"cipher_suite"`
	Before     hexed  `json:"tree_before"`
	Proposal   hexed
	Sender     uint32 `json:"proposal_sender"`
	HashBefore hexed  `json:"tree_hash_before"`
	After      hexed  `json:"tree_after"`
	HashAfter  hexed  `json:"tree_hash_after"`
}

func treeOperations(t *testing.T, v *treeOperationsCase) {
	before := good(tree.Unmarshal(suiteOf(t, v.Suite), v.Before, 1000))(t)
	same(t, "tree_before", before.Marshal(), v.Before)
	same(t, "tree_hash_before", before.Hash(), v.HashBefore)
	d := before.Diff()
	switch p := good(message.UnmarshalProposal(v.Proposal))(t).(type) {
	case *message.Add:
		good(d.Add(p.KeyPackage.LeafNode))(t)
	case *message.Update:
		d.Update(LeafIndex(v.Sender), p.LeafNode)
	case *message.Remove:
		d.Remove(p.Removed)
	default:
		t.Fatalf("proposal of type %d", p.Type())
	}
	same(t, "tree_hash_after, not merged", d.Hash(), v.HashAfter)
	same(t, "tree_after, not merged", d.Marshal(), v.After)
	same(t, "tree_before, after the diff", before.Marshal(), v.Before)
	d.Merge()
	same(t, "tree_hash_after", before.Hash(), v.HashAfter)
	same(t, "tree_after", before.Marshal(), v.After)
	again := good(tree.Unmarshal(suiteOf(t, v.Suite), v.After, 1000))(t)
	same(t, "hash of the decoded tree_after", again.Hash(), v.HashAfter)
}

type treeValidationCase struct {
	Suite       uint16 `json:"cipher_suite"`
	Tree        hexed
	GroupID     hexed   `json:"group_id"`
	Hashes      []hexed `json:"tree_hashes"`
	Resolutions [][]uint32
}

func treeValidation(t *testing.T, v *treeValidationCase) {
	s := suiteOf(t, v.Suite)
	tr := good(tree.Unmarshal(s, v.Tree, 1000))(t)
	same(t, "tree", tr.Marshal(), v.Tree)
	if n := int(2*tr.Size() - 1); n != len(v.Hashes) || n != len(v.Resolutions) {
		t.Fatalf("%d nodes; %d hashes, %d resolutions", n, len(v.Hashes), len(v.Resolutions))
	}
	for i, want := range v.Resolutions {
		x := tree.Node(i)
		same(t, "tree hash", tr.NodeHash(x), v.Hashes[i])
		got := tr.Resolution(x)
		if len(got) != len(want) {
			t.Fatalf("resolution of %d is %v; want %v", i, got, want)
		}
		for j := range got {
			if uint32(got[j]) != want[j] {
				t.Errorf("resolution of %d is %v; want %v", i, got, want)
			}
		}
	}
	if err := errors.Join(tr.CheckParentHashes(), tr.CheckUnmerged()); err != nil {
		t.Error(err)
	}
	rules := transition.Rules{Suite: s}
	for l := LeafIndex(0); uint32(l) < tr.Size(); l++ {
		if n := tr.Leaf(l); n != nil {
			if err := errors.Join(rules.CheckLeafSignature(n, v.GroupID, l), rules.CheckLeafForm(n)); err != nil {
				t.Errorf("leaf %d: %v", l, err)
			}
		}
	}
	spoilTree(t, s, v)
}

// spoilTree changes each key and each parent hash of a tree: the parent hashes no longer hold, wherever they covered the change.
func spoilTree(t *testing.T, s *suite.Suite, v *treeValidationCase) {
	t.Helper()
	parents := good(tree.Unmarshal(s, v.Tree, 1000))(t)
	for x := tree.Node(1); uint32(x) < 2*parents.Size()-1; x += 2 {
		p := parents.Parent(x)
		if p == nil {
			continue
		}
		at := bytes.Index(v.Tree, p.EncryptionKey)
		spoiled := bytes.Clone(v.Tree)
		spoiled[at+1] ^= 1
		tr, err := tree.Unmarshal(s, spoiled, 1000)
		if err == nil {
			err = tr.CheckParentHashes()
		}
		if err == nil {
			t.Errorf("the key of node %d can be changed", x)
		}
	}
}

type treeKEMCase struct {
	Suite     uint16 `json:"cipher_suite"`
	GroupID   hexed  `json:"group_id"`
	Epoch     uint64
	Confirmed hexed `json:"confirmed_transcript_hash"`
	Tree      hexed `json:"ratchet_tree"`
	Private   []struct {
		Index      LeafIndex
		Encryption hexed `json:"encryption_priv"`
		Signature  hexed `json:"signature_priv"`
		Secrets    []struct {
			Node   tree.Node
			Secret hexed `json:"path_secret"`
		} `json:"path_secrets"`
	} `json:"leaves_private"`
	Paths []struct {
		Sender  LeafIndex
		Path    hexed    `json:"update_path"`
		Secrets []*hexed `json:"path_secrets"`
		Commit  hexed    `json:"commit_secret"`
		After   hexed    `json:"tree_hash_after"`
	} `json:"update_paths"`
}

// member is the private state of one leaf.
type member struct {
	keys   map[tree.Node]*suite.KeyPair
	signer *suite.Signer
}

func (v *treeKEMCase) members(t *testing.T, s *suite.Suite, tr *tree.Tree) map[LeafIndex]*member {
	out := map[LeafIndex]*member{}
	for _, p := range v.Private {
		m := &member{keys: map[tree.Node]*suite.KeyPair{p.Index.Node(): good(s.NewKeyPair(p.Encryption, nil))(t)},
			signer: good(s.NewSigner(p.Signature))(t)}
		for _, secret := range p.Secrets {
			derived := good(tree.Derive(s, 1, 0, bytes.Clone(secret.Secret)))(t)
			m.keys[secret.Node] = derived.Keys[0]
		}
		for x, k := range m.keys {
			same(t, "public key of a node", k.Public(), tr.PublicKey(x))
		}
		same(t, "signature key", m.signer.Public(), tr.Leaf(p.Index).SignatureKey)
		out[p.Index] = m
	}
	return out
}

func (v *treeKEMCase) context(treeHash []byte) []byte {
	c := message.GroupContext{Version: message.MLS10, CipherSuite: CipherSuite(v.Suite), GroupID: v.GroupID, Epoch: v.Epoch,
		TreeHash: treeHash, ConfirmedTranscriptHash: v.Confirmed}
	return c.Append(nil)
}

func treeKEM(t *testing.T, v *treeKEMCase) {
	s := suiteOf(t, v.Suite)
	tr := good(tree.Unmarshal(s, v.Tree, 1000))(t)
	members := v.members(t, s, tr)
	rules := transition.Rules{Suite: s}
	for _, p := range v.Paths {
		path := good(message.UnmarshalUpdatePath(p.Path))(t)
		same(t, "update_path", path.Append(nil), p.Path)
		result := &transition.Result{Diff: tr.Diff()}
		steps := good(rules.MergePath(result, v.GroupID, p.Sender, tr.Leaf(p.Sender), path))(t)
		same(t, "tree_hash_after", result.Diff.Hash(), p.After)
		context := v.context(result.Diff.Hash())
		for l, m := range members {
			if l == p.Sender {
				continue
			}
			secrets := good(result.Diff.Decrypt(l, m.keys, steps, path.Nodes, nil, context))(t)
			same(t, "commit_secret", secrets.Commit, p.Commit)
			for i, step := range steps {
				if step.Copath.Covers(l) {
					same(t, "path secret", secrets.Path[i], *p.Secrets[l])
				}
			}
		}
		v.ownPath(t, s, tr, &rules, members, p.Sender)
	}
}

// ownPath makes a path of the sender, and lets all others open it.
func (v *treeKEMCase) ownPath(t *testing.T, s *suite.Suite, tr *tree.Tree, rules *transition.Rules, members map[LeafIndex]*member, sender LeafIndex) {
	t.Helper()
	d := tr.Diff()
	steps := d.FilteredPath(sender)
	secrets := good(tree.Derive(s, len(steps), 0, good((&Config{}).randomBytes(s.HashSize()))(t)))(t)
	var keys [][]byte
	for _, k := range secrets.Keys {
		keys = append(keys, k.Public())
	}
	leaf := *tr.Leaf(sender)
	leaf.Source, leaf.EncryptionKey = message.SourceCommit, good(s.GenerateKeyPair(nil))(t).Public()
	leaf.ParentHash = d.SetPath(sender, steps, keys)
	if err := signLeaf(&Config{}, s, members[sender].signer, &leaf, v.GroupID, sender); err != nil {
		t.Fatal(err)
	}
	d.SetLeaf(sender, &leaf)
	context := v.context(d.Hash())
	nodes := good(d.Encrypt(nil, steps, secrets, nil, context))(t)
	path := good(message.UnmarshalUpdatePath((&message.UpdatePath{LeafNode: &leaf, Nodes: nodes}).Append(nil)))(t)
	for l, m := range members {
		if l == sender {
			continue
		}
		result := &transition.Result{Diff: tr.Diff()}
		steps := good(rules.MergePath(result, v.GroupID, sender, tr.Leaf(sender), path))(t)
		same(t, "tree hash", result.Diff.Hash(), d.Hash())
		opened := good(result.Diff.Decrypt(l, m.keys, steps, path.Nodes, nil, context))(t)
		same(t, "own commit secret", opened.Commit, secrets.Commit)
	}
}
