package tree

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/quicproquo/qpq/mls/internal/treemath"
	"github.com/quicproquo/qpq/mls/message"
)

// ErrDuplicateKey says that a public key would occur twice in the tree.
var ErrDuplicateKey = errors.New("a public key occurs twice in the ratchet tree")

// keyIndex says where the public keys in use are. Encryption and signature keys never clash.
type keyIndex struct{ encryption, signature map[string]Node }

func newKeyIndex(members int) keyIndex {
	return keyIndex{make(map[string]Node, 2*members), make(map[string]Node, members)}
}

// text returns the key as a map key without a copy: a copy of each key of the hybrid suite would double the
// tree. Keys of nodes are never changed in place.
func text(key []byte) string { return unsafe.String(unsafe.SliceData(key), len(key)) }

// claim notes that node x has a key, or reports false if another node has it.
func claim(m map[string]Node, key []byte, x Node) bool {
	if _, taken := m[text(key)]; taken {
		return false
	}
	m[text(key)] = x
	return true
}

// release forgets that node x has a key.
func release(m map[string]Node, key []byte, x Node) {
	if m[text(key)] == x {
		delete(m, text(key))
	}
}

func (k keyIndex) claimLeaf(l Leaf, n *message.LeafNode) bool {
	return claim(k.encryption, n.EncryptionKey, l.Node()) && claim(k.signature, n.SignatureKey, l.Node())
}

func (k keyIndex) releaseLeaf(l Leaf, n *message.LeafNode) {
	release(k.encryption, n.EncryptionKey, l.Node())
	release(k.signature, n.SignatureKey, l.Node())
}

// keySet is a set of keys.
type keySet map[string]struct{}

// add reports whether the key is new to the set.
func (s keySet) add(key []byte) bool {
	before := len(s)
	s[text(key)] = struct{}{}
	return len(s) > before
}

// inBase reports whether a node of base that still stands has the key.
func (d *Diff) inBase(m map[string]Node, key []byte) bool {
	x, ok := m[text(key)]
	return ok && !d.replaced(x)
}

// CheckUnique verifies that no public key occurs twice.
func (d *Diff) CheckUnique() error {
	base := d.base.keys
	encryption, signature := make(keySet, len(d.leaves)+len(d.parents)), make(keySet, len(d.leaves))
	unique := true
	for l, n := range d.leaves {
		if uint32(l) < d.size && n != nil {
			unique = unique && encryption.add(n.EncryptionKey) && !d.inBase(base.encryption, n.EncryptionKey) &&
				signature.add(n.SignatureKey) && !d.inBase(base.signature, n.SignatureKey)
		}
	}
	for x, n := range d.parents {
		if uint32(x) < treemath.Width(d.size) && n != nil {
			unique = unique && encryption.add(n.EncryptionKey) && !d.inBase(base.encryption, n.EncryptionKey)
		}
	}
	if !unique {
		return fmt.Errorf("%w: %w", ErrInvalid, ErrDuplicateKey)
	}
	return nil
}

// CheckFresh verifies that the encryption keys differ from each other and from all in the tree.
func (d *Diff) CheckFresh(keys [][]byte) error {
	fresh := make(keySet, len(keys))
	unique := true
	for _, k := range keys {
		unique = unique && fresh.add(k) && !d.inBase(d.base.keys.encryption, k)
	}
	taken := func(key []byte) bool { _, ok := fresh[text(key)]; return ok }
	for l, n := range d.leaves {
		unique = unique && (uint32(l) >= d.size || n == nil || !taken(n.EncryptionKey))
	}
	for x, n := range d.parents {
		unique = unique && (uint32(x) >= treemath.Width(d.size) || n == nil || !taken(n.EncryptionKey))
	}
	if !unique {
		return fmt.Errorf("%w: %w", ErrInvalid, ErrDuplicateKey)
	}
	return nil
}
