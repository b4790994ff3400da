package tree

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/quicproquo/qpq/mls/internal/suite"
	"github.com/quicproquo/qpq/mls/internal/treemath"
	"github.com/quicproquo/qpq/mls/message"
)

// ErrPath says that an update path does not fit the tree or cannot be decrypted.
var ErrPath = errors.New("invalid update path")

// Step is one node of a filtered direct path, and its child on the copath (RFC 9420, section 4.1.2).
type Step struct{ Node, Copath Node }

// FilteredPath returns the filtered direct path of l, upwards.
func (d *Diff) FilteredPath(l Leaf) []Step {
	var steps []Step
	for x := l.Node(); x != treemath.Root(d.size); x = x.Parent() {
		if copath := x.Sibling(); d.count(copath) > 0 {
			steps = append(steps, Step{x.Parent(), copath})
		}
	}
	return steps
}

// SetPath blanks the nodes above l, gives those of the path their keys and parent hashes, and returns
// the parent hash for the leaf itself (RFC 9420, section 7.5). The leaf is the caller's to set.
func (d *Diff) SetPath(l Leaf, path []Step, keys [][]byte) []byte {
	d.blankPath(l)
	parent := []byte{}
	for i, step := range slices.Backward(path) {
		n := &message.ParentNode{EncryptionKey: bytes.Clone(keys[i]), ParentHash: parent}
		d.setParent(step.Node, n)
		parent = appendParentHashOf(nil, d.base.suite, n, d.nodeHash(step.Copath))
	}
	return parent
}

// recipients returns the resolution of the copath child of a step without the leaves that are new,
// which are given in increasing order.
func (d *Diff) recipients(step Step, added []Leaf) []Node {
	list := resolution(d, step.Copath, nil)
	if len(added) == 0 {
		return list
	}
	return slices.DeleteFunc(list, func(x Node) bool {
		if !x.IsLeaf() {
			return false
		}
		_, isNew := slices.BinarySearch(added, x.Leaf())
		return isNew
	})
}

// PublicKey returns the encryption key of a node, nil if it is blank or outside the tree.
func (d *Diff) PublicKey(x Node) []byte { return publicKey(d, x) }

// PublicKey returns the encryption key of a node, nil if it is blank or outside the tree.
func (t *Tree) PublicKey(x Node) []byte { return publicKey(t, x) }

func publicKey(t nodes, x Node) []byte {
	if x.IsLeaf() {
		if n := t.Leaf(x.Leaf()); n != nil {
			return n.EncryptionKey
		}
	} else if p := t.Parent(x); p != nil {
		return p.EncryptionKey
	}
	return nil
}

// Secrets are the path secrets of an update path and the keys that come of them (RFC 9420, section
// 7.4), as far up as they are known.
type Secrets struct {
	Path   [][]byte // a path secret for each step; nil below the first that is known
	Keys   []*suite.KeyPair
	Commit []byte // the commit secret
}

// Derive computes the keys of the steps from the path secret of the step at index first.
func Derive(s *suite.Suite, steps int, first int, pathSecret []byte) (*Secrets, error) {
	out := &Secrets{Path: make([][]byte, steps), Keys: make([]*suite.KeyPair, steps)}
	for i := first; i < steps; i++ {
		out.Path[i] = pathSecret
		nodeSecret := s.DeriveSecret(pathSecret, "node")
		pair, err := s.DeriveKeyPair(nodeSecret)
		clear(nodeSecret)
		if err != nil {
			return nil, err
		}
		out.Keys[i] = pair
		pathSecret = s.DeriveSecret(pathSecret, "path")
	}
	out.Commit = pathSecret
	return out, nil
}

// Wipe erases the path secrets and the commit secret; the keys stay.
func (s *Secrets) Wipe() {
	for _, p := range s.Path {
		clear(p)
	}
	clear(s.Commit)
}

// Encrypt seals each step's path secret to all who may know it, but not to the added leaves (RFC
// 9420, section 7.5). The seals run on all processors, one after the other if random is given, so
// that they are repeatable.
func (d *Diff) Encrypt(random io.Reader, path []Step, secrets *Secrets, added []Leaf, context []byte) ([]message.UpdatePathNode, error) {
	type seal struct {
		step, at int
		to       []byte
	}
	var seals []seal
	nodes := make([]message.UpdatePathNode, len(path))
	for i, step := range path {
		to := d.recipients(step, added)
		nodes[i] = message.UpdatePathNode{EncryptionKey: secrets.Keys[i].Public(), Secrets: make([]message.HPKECiphertext, len(to))}
		for j, x := range to {
			seals = append(seals, seal{i, j, d.PublicKey(x)})
		}
	}
	encryption, err := d.base.suite.Encryption("UpdatePathNode", context)
	if err != nil {
		return nil, err
	}
	errs := make([]error, len(seals))
	one := func(k int) {
		s := seals[k]
		out := &nodes[s.step].Secrets[s.at]
		out.KEMOutput, out.Ciphertext, errs[k] = encryption.Encrypt(random, s.to, secrets.Path[s.step])
	}
	if random != nil {
		for k := range seals {
			one(k)
		}
	} else {
		Parallel(len(seals), one)
	}
	return nodes, errors.Join(errs...)
}

// CheckPath verifies that the update path of sender fits the tree: one node for each step and one
// ciphertext for each recipient.
func (d *Diff) CheckPath(path []Step, nodes []message.UpdatePathNode, added []Leaf) error {
	if len(nodes) != len(path) {
		return fmt.Errorf("%w: %d nodes for a path of %d", ErrPath, len(nodes), len(path))
	}
	for i, step := range path {
		if n := len(d.recipients(step, added)); n != len(nodes[i].Secrets) {
			return fmt.Errorf("%w: %d ciphertexts for %d recipients", ErrPath, len(nodes[i].Secrets), n)
		}
		if err := d.base.suite.CheckPublicKey(nodes[i].EncryptionKey); err != nil {
			return fmt.Errorf("%w: %w", ErrPath, err)
		}
	}
	return nil
}

// Decrypt opens the path secret that is meant for the member at own, who has the given private keys,
// and derives all above it (RFC 9420, section 7.5). CheckPath comes first.
func (d *Diff) Decrypt(own Leaf, keys map[Node]*suite.KeyPair, path []Step, nodes []message.UpdatePathNode, added []Leaf, context []byte) (*Secrets, error) {
	at := slices.IndexFunc(path, func(s Step) bool { return s.Copath.Covers(own) })
	if at < 0 {
		return nil, fmt.Errorf("%w: it does not reach leaf %d", ErrPath, own)
	}
	for j, x := range d.recipients(path[at], added) {
		key := keys[x]
		if key == nil || !bytes.Equal(key.Public(), d.PublicKey(x)) {
			continue
		}
		sealed := nodes[at].Secrets[j]
		secret, err := d.base.suite.DecryptWithLabel(key, "UpdatePathNode", context, sealed.KEMOutput, sealed.Ciphertext)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrPath, err)
		}
		return d.derive(path, nodes, at, secret)
	}
	return nil, fmt.Errorf("%w: no private key of leaf %d opens it", ErrPath, own)
}

func (d *Diff) derive(path []Step, nodes []message.UpdatePathNode, at int, secret []byte) (*Secrets, error) {
	if len(secret) != d.base.suite.HashSize() {
		return nil, fmt.Errorf("%w: path secret of %d bytes", ErrPath, len(secret))
	}
	secrets, err := Derive(d.base.suite, len(path), at, secret)
	if err != nil {
		return nil, err
	}
	for i := at; i < len(path); i++ {
		if !bytes.Equal(secrets.Keys[i].Public(), nodes[i].EncryptionKey) {
			return nil, fmt.Errorf("%w: node %d has another key than its secret", ErrPath, path[i].Node)
		}
	}
	return secrets, nil
}
