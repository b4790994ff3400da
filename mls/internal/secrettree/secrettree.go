// Package secrettree has the keys of single messages (RFC 9420, section 9): a tree of secrets whose
// leaves start two hash ratchets for each member, one for handshake and one for application messages.
// Nothing is derived before it is wanted, and everything is wiped once it is used.
package secrettree

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/quicproquo/qpq/mls/internal/codec"
	"github.com/quicproquo/qpq/mls/internal/suite"
	"github.com/quicproquo/qpq/mls/internal/treemath"
)

var (
	// ErrConsumed says that the key of a generation was used already, or was skipped and dropped.
	ErrConsumed = errors.New("message key was used already")
	// ErrTooFar says that a generation lies further ahead than is allowed.
	ErrTooFar = errors.New("message generation is too far ahead")
	// ErrOutside says that a leaf is outside the tree.
	ErrOutside = errors.New("sender is outside the tree")
)

// Kind tells the two ratchets of a member apart.
type Kind uint8

// The ratchets.
const (
	Handshake Kind = iota
	Application
	kinds
)

func (k Kind) label() string { return [kinds]string{"handshake", "application"}[k] }

// Key is the key and nonce of one message.
type Key struct {
	Generation uint32
	Key, Nonce []byte
}

// Wipe erases k.
func (k *Key) Wipe() { clear(k.Key); clear(k.Nonce) }

// Format keeps the key out of logs.
func (k Key) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, fmt.Sprintf("[key of generation %d]", k.Generation))
}

// MarshalText returns a placeholder, for encoding/json and log/slog.
func (k Key) MarshalText() ([]byte, error) { return []byte("[message key]"), nil }

// Tree is the secret tree of one epoch.
type Tree struct {
	suite    *suite.Suite
	size     uint32
	nodes    map[treemath.Node][]byte // the secrets that have not been consumed
	ratchets map[treemath.Leaf]*member

	changedNodes   bool // since Unsaved was last called
	changedMembers map[treemath.Leaf]struct{}
}

type member [kinds]ratchet

// ratchet is the state of one hash ratchet: what makes the next generation, and the keys of
// generations that were passed over.
type ratchet struct {
	next    uint32
	spent   bool // there is no generation after the last
	secret  []byte
	skipped map[uint32]*Key
}

// New returns the secret tree of an epoch with room for size leaves. It takes over the secret.
func New(s *suite.Suite, size uint32, encryptionSecret []byte) *Tree {
	t := empty(s, size)
	t.nodes[treemath.Root(size)] = encryptionSecret
	t.changedNodes = true
	return t
}

func empty(s *suite.Suite, size uint32) *Tree {
	return &Tree{suite: s, size: size, nodes: map[treemath.Node][]byte{}, ratchets: map[treemath.Leaf]*member{},
		changedMembers: map[treemath.Leaf]struct{}{}}
}

// Unsaved tells what changed since it was last called, or since the tree was made: whether the secrets
// of the tree did, and which members' ratchets, in increasing order.
func (t *Tree) Unsaved() (nodes bool, members []treemath.Leaf) {
	nodes, members = t.changedNodes, slices.Sorted(maps.Keys(t.changedMembers))
	t.changedNodes = false
	clear(t.changedMembers)
	return nodes, members
}

// Touch has Unsaved tell of a member's ratchets again, if there are any, and of the secrets of the tree.
func (t *Tree) Touch(l treemath.Leaf) {
	if t.ratchets[l] != nil {
		t.changedNodes = true
		t.changedMembers[l] = struct{}{}
	}
}

// Format keeps the secrets out of logs.
func (t Tree) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[secret tree]") }

// member returns the ratchets of a leaf, deriving and consuming the secrets above it the first time.
func (t *Tree) member(l treemath.Leaf) (*member, error) {
	if m, ok := t.ratchets[l]; ok {
		return m, nil
	}
	if uint32(l) >= t.size {
		return nil, fmt.Errorf("%w: leaf %d of %d", ErrOutside, l, t.size)
	}
	x := l.Node()
	for t.nodes[x] == nil {
		if x == treemath.Root(t.size) {
			return nil, fmt.Errorf("%w: leaf %d", ErrConsumed, l)
		}
		x = x.Parent()
	}
	n := t.suite.HashSize()
	for x != l.Node() {
		secret := t.nodes[x]
		left := t.suite.ExpandWithLabel(secret, "tree", []byte("left"), n)
		right := t.suite.ExpandWithLabel(secret, "tree", []byte("right"), n)
		clear(secret)
		delete(t.nodes, x)
		t.nodes[x.Left()], t.nodes[x.Right()] = left, right
		if x.Left().Covers(l) {
			x = x.Left()
		} else {
			x = x.Right()
		}
	}
	m := &member{}
	for k := range kinds {
		m[k].secret = t.suite.ExpandWithLabel(t.nodes[x], k.label(), nil, n)
	}
	clear(t.nodes[x])
	delete(t.nodes, x)
	t.ratchets[l] = m
	t.changedNodes = true
	t.changedMembers[l] = struct{}{}
	return m, nil
}

// Next consumes and returns the next key of a ratchet, for sending.
func (t *Tree) Next(l treemath.Leaf, kind Kind) (*Key, error) {
	m, err := t.member(l)
	if err != nil {
		return nil, err
	}
	r := &m[kind]
	if r.spent {
		return nil, fmt.Errorf("%w: no generation is left", ErrConsumed)
	}
	t.changedMembers[l] = struct{}{}
	return r.step(t.suite), nil
}

func (r *ratchet) step(s *suite.Suite) *Key {
	k := &Key{r.next,
		s.DeriveTreeSecret(r.secret, "key", r.next, s.KeySize()),
		s.DeriveTreeSecret(r.secret, "nonce", r.next, s.NonceSize())}
	secret := s.DeriveTreeSecret(r.secret, "secret", r.next, s.HashSize())
	clear(r.secret)
	r.secret = secret
	r.next++
	r.spent = r.next == 0
	return k
}

// Opening is a key for receiving that was found but not consumed.
type Opening struct {
	Key    *Key
	tree   *Tree
	leaf   treemath.Leaf
	kind   Kind
	passed []*Key // generations stepped over to reach the key
	after  ratchet
}

// Open finds the key of a generation, at most forward generations ahead. Nothing is consumed before
// Commit: a forged message costs the ratchet nothing.
func (t *Tree) Open(l treemath.Leaf, kind Kind, generation uint32, forward uint32) (*Opening, error) {
	m, err := t.member(l)
	if err != nil {
		return nil, err
	}
	r := &m[kind]
	o := &Opening{tree: t, leaf: l, kind: kind}
	if generation < r.next || r.spent {
		o.Key = r.skipped[generation]
		if o.Key == nil {
			return nil, fmt.Errorf("%w: generation %d of leaf %d", ErrConsumed, generation, l)
		}
		return o, nil
	}
	if generation-r.next > forward {
		return nil, fmt.Errorf("%w: generation %d of leaf %d, %d is next", ErrTooFar, generation, l, r.next)
	}
	o.after = ratchet{next: r.next, secret: bytes.Clone(r.secret)}
	for o.Key == nil {
		if k := o.after.step(t.suite); k.Generation == generation {
			o.Key = k
		} else {
			o.passed = append(o.passed, k)
		}
	}
	return o, nil
}

// Commit consumes the key, wiping it: the message was authentic. Of the keys that were passed over and
// not used yet, the ratchet keeps at most keep, the newest.
func (o *Opening) Commit(keep int) {
	r := &o.tree.ratchets[o.leaf][o.kind]
	o.tree.changedMembers[o.leaf] = struct{}{}
	if o.after.secret == nil {
		delete(r.skipped, o.Key.Generation)
		o.Key.Wipe()
		return
	}
	clear(r.secret)
	r.next, r.spent, r.secret = o.after.next, o.after.spent, o.after.secret
	if r.skipped == nil && len(o.passed) > 0 {
		r.skipped = map[uint32]*Key{}
	}
	for _, k := range o.passed {
		r.skipped[k.Generation] = k
	}
	if excess := len(r.skipped) - keep; excess > 0 {
		for _, g := range slices.Sorted(maps.Keys(r.skipped))[:excess] {
			r.skipped[g].Wipe()
			delete(r.skipped, g)
		}
	}
	o.Key.Wipe()
}

// Drop forgets what Open found.
func (o *Opening) Drop() {
	if o.after.secret == nil {
		return
	}
	clear(o.after.secret)
	o.Key.Wipe()
	for _, k := range o.passed {
		k.Wipe()
	}
}

// Wipe erases all secrets.
func (t *Tree) Wipe() {
	for _, s := range t.nodes {
		clear(s)
	}
	for _, m := range t.ratchets {
		for k := range m {
			clear(m[k].secret)
			for _, key := range m[k].skipped {
				key.Wipe()
			}
		}
	}
	clear(t.nodes)
	clear(t.ratchets)
}

// Members returns the leaves whose ratchets were started, in increasing order.
func (t *Tree) Members() []treemath.Leaf { return slices.Sorted(maps.Keys(t.ratchets)) }

// AppendNodes appends an encoding of the secrets that have not been consumed, for Decode.
func (t *Tree) AppendNodes(b []byte) []byte {
	b = codec.AppendUint32(b, t.size)
	return codec.AppendList(b, slices.Sorted(maps.Keys(t.nodes)), func(b []byte, x treemath.Node) []byte {
		return codec.AppendVec(codec.AppendUint32(b, uint32(x)), t.nodes[x])
	})
}

// Decode reads what AppendNodes wrote.
func Decode(s *suite.Suite, data []byte) (*Tree, error) {
	d := codec.NewDecoder(data)
	t := empty(s, d.Uint32())
	if d.Err() == nil && (t.size == 0 || t.size&(t.size-1) != 0 || t.size > treemath.MaxLeaves) {
		d.Fail("secret tree of %d leaves", t.size)
	}
	sub := d.Sub()
	for !sub.Empty() {
		x, secret := treemath.Node(sub.Uint32()), sub.Vec()
		if uint32(x) >= treemath.Width(t.size) || len(secret) != s.HashSize() {
			sub.Fail("node %d with a secret of %d bytes", x, len(secret))
		}
		t.nodes[x] = bytes.Clone(secret)
	}
	d.FailWith(sub.Err())
	return t, d.Done()
}

// Size returns how many leaves there is room for.
func (t *Tree) Size() uint32 { return t.size }

// Complete reports whether the keys of all members are there or can be derived, but for those that were consumed.
func (t *Tree) Complete() bool { return t.complete(treemath.Root(t.size)) }

func (t *Tree) complete(x treemath.Node) bool {
	switch {
	case t.nodes[x] != nil:
		return true
	case x.IsLeaf():
		return t.ratchets[x.Leaf()] != nil
	}
	return t.complete(x.Left()) && t.complete(x.Right())
}

// AppendMember appends an encoding of the ratchets of a leaf, for DecodeMember.
func (t *Tree) AppendMember(b []byte, l treemath.Leaf) []byte {
	for _, r := range t.ratchets[l] {
		b = codec.AppendUint32(b, r.next)
		b = codec.AppendBool(b, r.spent)
		b = codec.AppendVec(b, r.secret)
		b = codec.AppendList(b, slices.Sorted(maps.Keys(r.skipped)), func(b []byte, g uint32) []byte {
			b = codec.AppendUint32(b, g)
			return codec.AppendVec(codec.AppendVec(b, r.skipped[g].Key), r.skipped[g].Nonce)
		})
	}
	return b
}

// DecodeMember reads what AppendMember wrote.
func (t *Tree) DecodeMember(l treemath.Leaf, data []byte) error {
	d := codec.NewDecoder(data)
	if uint32(l) >= t.size {
		return fmt.Errorf("%w: leaf %d of %d", ErrOutside, l, t.size)
	}
	m := &member{}
	for k := range m {
		r := &m[k]
		r.next, r.spent, r.secret = d.Uint32(), d.Bool(), bytes.Clone(d.Vec())
		r.skipped = map[uint32]*Key{}
		sub := d.Sub()
		for !sub.Empty() {
			key := &Key{sub.Uint32(), bytes.Clone(sub.Vec()), bytes.Clone(sub.Vec())}
			if len(key.Key) != t.suite.KeySize() || len(key.Nonce) != t.suite.NonceSize() {
				sub.Fail("key of %d bytes", len(key.Key))
			}
			r.skipped[key.Generation] = key
		}
		if len(r.secret) != t.suite.HashSize() {
			d.Fail("ratchet with a secret of %d bytes", len(r.secret))
		}
		d.FailWith(sub.Err())
	}
	if err := d.Done(); err != nil {
		return err
	}
	t.ratchets[l] = m
	return nil
}
