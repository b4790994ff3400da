// Package publicgroup follows an MLS group whose handshakes are public messages, without being a member
// (RFC 9420, sections 6.2 and 12.4): what a delivery service or an auditor can know of it, and verify.
//
// It verifies signatures, credentials, proposals, paths and tree hashes like a member does. It cannot
// verify what takes the group's secrets: membership tags, confirmation tags, and that encrypted path
// secrets open. A commit that it accepts can still be refused by members for one of these.
package publicgroup

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/quicproquo/qpq/mls"
	"github.com/quicproquo/qpq/mls/internal/schedule"
	"github.com/quicproquo/qpq/mls/internal/suite"
	"github.com/quicproquo/qpq/mls/internal/transition"
	"github.com/quicproquo/qpq/mls/internal/tree"
	"github.com/quicproquo/qpq/mls/message"
)

// ErrPrivate says that a message is encrypted, so that nobody outside can follow it.
var ErrPrivate = errors.New("message is encrypted")

// Config is what somebody who follows groups decides about them.
type Config struct {
	// Credentials is required.
	Credentials mls.CredentialValidator
	// Authorize decides whether a sender may make a proposal. Nil allows what MLS does, also newcomers who propose themselves,
	// unlike that of a member: whoever follows a group does not decide who enters it.
	Authorize func(p message.Proposal, sender message.Sender) error
	// AppData is that of the members' Config.
	AppData func(c message.ComponentID, current []byte, updates [][]byte) ([]byte, error)
	// HybridSuite is the code point of the post-quantum hybrid suite. Zero is 0xF001.
	HybridSuite message.CipherSuite
	// MaxMembers bounds the members of a group. Zero is 50,000.
	MaxMembers int
	// MaxMessageSize bounds a message, and a ratchet tree that comes beside one, in bytes. Zero is 128 MiB.
	MaxMessageSize int
	// MaxLifetime bounds the lifetime of key packages, as in the members' Config. Zero is 400 days, mls.NoLimit none.
	MaxLifetime time.Duration
}

func (c Config) rules(s *suite.Suite) *transition.Rules {
	return &transition.Rules{Suite: s, MaxMembers: c.MaxMembers, MaxLifetime: c.MaxLifetime, Proposal: c.Authorize, AppData: c.AppData,
		Credential: c.Credentials.ValidateCredential, Successor: c.Credentials.ValidateSuccessor}
}

// Group is the public state of a group. It is owned by one goroutine.
type Group struct {
	suite     *suite.Suite
	rules     *transition.Rules
	maxSize   int // of a message
	context   message.GroupContext
	encoded   []byte
	interim   []byte
	tag       []byte
	tree      *tree.Tree
	proposals map[string]transition.Item
	ended     *message.ReInit
}

// Commit is a valid commit. Nothing changes before it is merged.
type Commit struct {
	mls.Change
	AuthenticatedData []byte
	result            *transition.Result
	context           message.GroupContext
	interim, tag      []byte
	group             *Group
}

// Proposal is a valid proposal that waits for a commit.
type Proposal struct {
	Ref               []byte
	Sender            message.Sender
	Proposal          message.Proposal
	AuthenticatedData []byte
}

// New starts to follow a group from a group info, an MLS message, and the ratchet tree where the group
// info does not carry it. Both are verified as a new member would.
func New(c Config, groupInfo, ratchetTree []byte) (*Group, error) {
	if c.Credentials == nil {
		return nil, fmt.Errorf("%w: Credentials is missing", mls.ErrConfig)
	}
	c.MaxMembers = cmp.Or(c.MaxMembers, transition.DefaultMembers)
	c.MaxMessageSize = cmp.Or(c.MaxMessageSize, transition.DefaultMessageSize)
	c.MaxLifetime = cmp.Or(c.MaxLifetime, transition.DefaultLifetime)
	if n := max(len(groupInfo), len(ratchetTree)); n > c.MaxMessageSize {
		return nil, fmt.Errorf("%w: %d bytes, %d are allowed", mls.ErrTooLarge, n, c.MaxMessageSize)
	}
	m, err := message.Unmarshal(groupInfo)
	if err != nil {
		return nil, err
	}
	info := m.GroupInfo
	if info == nil {
		return nil, fmt.Errorf("%w: the message is something else", mls.ErrGroupInfo)
	}
	s := suite.Lookup(uint16(info.Context.CipherSuite), uint16(c.HybridSuite))
	if s == nil {
		return nil, fmt.Errorf("%w: %#04x is not known", mls.ErrSuite, uint16(info.Context.CipherSuite))
	}
	g := &Group{suite: s, rules: c.rules(s), maxSize: c.MaxMessageSize, tag: bytes.Clone(info.ConfirmationTag), proposals: map[string]transition.Item{}}
	if g.tree, err = g.rules.OpenGroupInfo(info, ratchetTree); err != nil {
		return nil, err
	}
	g.context, g.encoded = info.Context, info.Context.Append(nil)
	g.interim = schedule.InterimTranscriptHash(s, g.context.ConfirmedTranscriptHash, g.tag)
	return g, nil
}

// Context returns the group context of the current epoch.
func (g *Group) Context() message.GroupContext { return g.context }

// Epoch returns the number of the current epoch.
func (g *Group) Epoch() uint64 { return g.context.Epoch }

// Size returns how many members the group has.
func (g *Group) Size() int { return g.tree.Members() }

// RatchetTree returns the ratchet tree as the content of a ratchet_tree extension.
func (g *Group) RatchetTree() []byte { return g.tree.Marshal() }

// ConfirmationTag returns the confirmation tag of the commit that started the epoch.
func (g *Group) ConfirmationTag() []byte { return bytes.Clone(g.tag) }

// Members iterates over the members from the left of the tree to the right.
func (g *Group) Members() iter.Seq[mls.Member] {
	return func(yield func(mls.Member) bool) {
		for l := message.LeafIndex(0); uint32(l) < g.tree.Size(); l++ {
			if n := g.tree.Leaf(l); n != nil && !yield(mls.Member{Index: l, Leaf: n}) {
				return
			}
		}
	}
}

// Process verifies a public message of the current epoch. A proposal, which is kept for the next commit,
// is returned as the first result, a commit as the second.
func (g *Group) Process(data []byte) (*Proposal, *Commit, error) {
	if len(data) > g.maxSize {
		return nil, nil, fmt.Errorf("%w: %d bytes, %d are allowed", mls.ErrTooLarge, len(data), g.maxSize)
	}
	m, err := message.Unmarshal(bytes.Clone(data)) // the group keeps parts of it
	if err != nil {
		return nil, nil, err
	}
	if m.Private != nil {
		return nil, nil, ErrPrivate
	}
	if m.Public == nil || m.Public.Content.Type == message.ContentApplication {
		return nil, nil, fmt.Errorf("%w: not a proposal or a commit", mls.ErrMalformed)
	}
	a := m.Public.Authenticated()
	if err := g.verify(a); err != nil {
		return nil, nil, err
	}
	if a.Content.Type == message.ContentProposal {
		p, err := g.propose(a)
		return p, nil, err
	}
	c, err := g.stage(a)
	return nil, c, err
}

func (g *Group) verify(a *message.AuthenticatedContent) error {
	c := a.Content
	switch {
	case !bytes.Equal(c.GroupID, g.context.GroupID):
		return mls.ErrWrongGroup
	case c.Epoch != g.context.Epoch:
		return fmt.Errorf("%w: epoch %d, now %d", mls.ErrWrongEpoch, c.Epoch, g.context.Epoch)
	case g.ended != nil:
		return mls.ErrReInit
	}
	key, err := transition.SenderKey(c, g.context.Extensions, g.tree.Leaf)
	if err != nil {
		return err
	}
	if err := g.suite.VerifyWithLabel(key, "FramedContentTBS", a.AppendTBS(nil, g.encoded), a.Auth.Signature); err != nil {
		return fmt.Errorf("%w: of a message: %w", mls.ErrSignature, err)
	}
	return nil
}

func (g *Group) propose(a *message.AuthenticatedContent) (*Proposal, error) {
	c := a.Content
	if err := transition.CheckSender(c.Proposal, c.Sender); err != nil {
		return nil, err
	}
	if err := g.rules.Check(c.Proposal, g.tree.Diff(), &g.context, c.Sender); err != nil {
		return nil, err
	}
	ref := g.suite.RefHash("MLS 1.0 Proposal Reference", a.Append(nil))
	g.proposals[string(ref)] = transition.Item{Proposal: c.Proposal, Sender: c.Sender, ByReference: true}
	return &Proposal{Ref: ref, Sender: c.Sender, Proposal: c.Proposal, AuthenticatedData: c.AuthenticatedData}, nil
}

func (g *Group) stage(a *message.AuthenticatedContent) (*Commit, error) {
	commit, sender := a.Content.Commit, a.Content.Sender
	items, err := transition.Resolve(commit, sender, func(ref []byte) (transition.Item, bool) {
		item, ok := g.proposals[string(ref)]
		return item, ok
	})
	if err != nil {
		return nil, err
	}
	result, err := g.rules.Stage(g.tree, &g.context, sender, items, commit.Path)
	if err != nil {
		return nil, err
	}
	next := result.Context(&g.context)
	next.ConfirmedTranscriptHash = schedule.ConfirmedTranscriptHash(g.suite, g.interim, a)
	c := &Commit{Change: g.change(sender, items, result, commit.Path != nil), AuthenticatedData: a.Content.AuthenticatedData, result: result, context: next,
		tag: bytes.Clone(a.Auth.ConfirmationTag), group: g}
	c.interim = schedule.InterimTranscriptHash(g.suite, next.ConfirmedTranscriptHash, c.tag)
	return c, nil
}

// change sums up a commit for the application.
func (g *Group) change(committer message.Sender, items []transition.Item, r *transition.Result, hasPath bool) mls.Change {
	c := mls.Change{Committer: committer, Epoch: g.context.Epoch + 1, ReInit: r.ReInit}
	for _, i := range items {
		c.Proposals = append(c.Proposals, mls.AttributedProposal{Proposal: i.Proposal, Sender: i.Sender})
	}
	for _, l := range r.Removed {
		c.Removed = append(c.Removed, mls.Member{Index: l, Leaf: g.tree.Leaf(l)})
	}
	added, updated := r.Leaves(committer, hasPath)
	for _, l := range added {
		c.Added = append(c.Added, mls.Member{Index: l, Leaf: r.Diff.Leaf(l)})
	}
	for _, l := range updated {
		c.Updated = append(c.Updated, mls.UpdatedMember{Index: l, Old: g.tree.Leaf(l), New: r.Diff.Leaf(l)})
	}
	return c
}

// Merge moves the group to the epoch that the commit starts.
func (c *Commit) Merge() error {
	g := c.group
	if c.result == nil || c.context.Epoch != g.context.Epoch+1 {
		return mls.ErrStale
	}
	c.result.Diff.Merge()
	g.context, g.interim, g.tag, g.ended = c.context, c.interim, c.tag, c.result.ReInit
	g.encoded = g.context.Append(nil)
	g.proposals = map[string]transition.Item{}
	c.result = nil
	return nil
}
