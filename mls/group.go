package mls

import (
	"bytes"
	"fmt"
	"io"
	"iter"
	"slices"

	"github.com/quicproquo/qpq/mls/internal/schedule"
	"github.com/quicproquo/qpq/mls/internal/suite"
	"github.com/quicproquo/qpq/mls/internal/transition"
	"github.com/quicproquo/qpq/mls/internal/tree"
	"github.com/quicproquo/qpq/mls/message"
)

// Group is one client's state of a group. It is owned by one goroutine and cannot be printed.
type Group struct {
	config    *Config
	suite     *suite.Suite
	rules     *transition.Rules
	own       LeafIndex
	key       *suite.Signer
	tree      *tree.Tree
	keys      map[tree.Node]*suite.KeyPair // own leaf and the nodes above it whose key is known
	epoch     *epoch
	secrets   *schedule.Epoch
	interim   []byte                    // interim transcript hash
	tag       []byte                    // confirmation tag
	past      []*epoch                  // the newest first
	proposals []*cachedProposal         // all of this epoch, in the order that they came
	updates   map[string]*suite.KeyPair // keys of own update proposals, by public key
	pending   *PendingCommit
	reinit    *message.ReInit // what the last commit ended the group for
	status    status
}

type status uint8

const (
	active  status = iota
	joining        // an external commit is not confirmed yet
	removed
)

// Member is a member of a group.
type Member struct {
	Index LeafIndex
	Leaf  *LeafNode
}

// GroupID returns the group's identifier.
func (g *Group) GroupID() []byte { return bytes.Clone(g.epoch.context.GroupID) }

// Epoch returns the number of the current epoch.
func (g *Group) Epoch() uint64 { return g.epoch.context.Epoch }

// CipherSuite returns the group's cipher suite.
func (g *Group) CipherSuite() CipherSuite { return g.epoch.context.CipherSuite }

// Extensions returns the extensions of the group context.
func (g *Group) Extensions() Extensions { return slices.Clone(g.epoch.context.Extensions) }

// Context returns the group context. What its fields refer to must not be changed.
func (g *Group) Context() message.GroupContext { return g.epoch.context }

// OwnIndex returns the index of this client's leaf.
func (g *Group) OwnIndex() LeafIndex { return g.own }

// Size returns how many members the group has.
func (g *Group) Size() int { return g.tree.Members() }

// Members iterates over the members from the left of the tree to the right.
func (g *Group) Members() iter.Seq[Member] {
	return func(yield func(Member) bool) {
		for l := LeafIndex(0); uint32(l) < g.tree.Size(); l++ {
			if n := g.tree.Leaf(l); n != nil && !yield(Member{l, n}) {
				return
			}
		}
	}
}

// Member returns the member at a leaf.
func (g *Group) Member(l LeafIndex) (Member, bool) {
	n := g.tree.Leaf(l)
	return Member{l, n}, n != nil
}

// RatchetTree returns the ratchet tree as the content of a ratchet_tree extension, for somebody who
// joins without one in its welcome or group info.
func (g *Group) RatchetTree() []byte { return g.tree.Marshal() }

// EpochAuthenticator returns a value that members share in this epoch and nobody else can know (RFC
// 9420, section 8.7).
func (g *Group) EpochAuthenticator() []byte { return bytes.Clone(g.secrets.Authenticator) }

// Export derives a secret of n bytes for use outside of MLS (RFC 9420, section 8.5). It is bound to
// the epoch.
func (g *Group) Export(label string, context []byte, n int) ([]byte, error) {
	if err := g.usable(); err != nil {
		return nil, err
	}
	return g.export(g.secrets, label, context, n)
}

func (g *Group) export(secrets *schedule.Epoch, label string, context []byte, n int) ([]byte, error) {
	if n < 0 || n > 255*g.suite.HashSize() {
		return nil, fmt.Errorf("%w: export of %d bytes", ErrTooLarge, n)
	}
	return secrets.Export(label, context, n), nil
}

// ReInitialised returns the parameters of the group that takes this one's place, if the last commit
// ended it.
func (g *Group) ReInitialised() (*message.ReInit, bool) { return g.reinit, g.reinit != nil }

// Removed reports whether this client was removed from the group.
func (g *Group) Removed() bool { return g.status == removed }

// usable returns why the group cannot be used, if it cannot.
func (g *Group) usable() error {
	switch g.status {
	case joining:
		return ErrJoining
	case removed:
		return ErrRemoved
	}
	return nil
}

// mayChange returns why the group can neither send nor commit, if it cannot.
func (g *Group) mayChange() error {
	if err := g.usable(); err != nil {
		return err
	}
	if g.reinit != nil {
		return ErrReInit
	}
	return nil
}

// Wipe erases all secrets of the group, but not the signature key. The group is unusable then.
func (g *Group) Wipe() {
	g.secrets.Wipe()
	g.epoch.wipe()
	for _, e := range g.past {
		e.wipe()
	}
	for _, k := range g.keys {
		k.Wipe()
	}
	for _, k := range g.updates {
		k.Wipe()
	}
	g.past, g.keys, g.updates = nil, nil, nil
	if g.pending != nil {
		g.pending.next.wipe()
		g.pending.next, g.pending = nil, nil
	}
	g.status = removed
}

// Format keeps the secrets out of logs.
func (g Group) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, fmt.Sprintf("[group %x, epoch %d]", g.epoch.context.GroupID, g.Epoch()))
}
