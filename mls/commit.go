package mls

import (
	"fmt"

	"github.com/quicproquo/qpq/mls/internal/schedule"
	"github.com/quicproquo/qpq/mls/internal/suite"
	"github.com/quicproquo/qpq/mls/internal/transition"
	"github.com/quicproquo/qpq/mls/internal/tree"
	"github.com/quicproquo/qpq/mls/message"
)

// CommitOptions is what goes into a commit. The zero value commits all proposals that were received
// and can be, and refreshes the keys of this client.
type CommitOptions struct {
	// Proposals are new ones of this client, sent within the commit.
	Proposals []Proposal
	// WithoutReceived leaves out the proposals that were received. They lapse with the epoch.
	WithoutReceived bool
	// WithoutPath leaves out fresh keys where the proposals allow it: smaller, but whoever stole a key
	// before keeps what it is worth.
	WithoutPath bool
	// AuthenticatedData is sent along in the clear but cannot be changed.
	AuthenticatedData []byte
	// Identity replaces this client's credential and signature key. It implies a path.
	Identity *Identity
	// Leaf, if not nil, replaces what this client says of itself in its leaf. It implies a path.
	Leaf *LeafOptions
	// GroupInfo is what the welcome's group info tells.
	GroupInfo GroupInfoOptions
	// Settle, if not nil, is called once it is known what the commit does. It may set AuthenticatedData and GroupInfo of its
	// options, and refuses the commit by an error. It may be called again, where the commit is then tried with fewer of the
	// proposals that were received.
	Settle func(Change, *CommitOptions) error
}

// Commit prepares a commit. Nothing changes before it is applied; while it is pending, messages can be
// sent and received in the current epoch.
func (g *Group) Commit(o CommitOptions) (*PendingCommit, error) {
	if err := g.mayChange(); err != nil {
		return nil, err
	}
	if g.pending != nil {
		return nil, ErrPendingCommit
	}
	for _, p := range o.Proposals {
		if err := g.checkOwnProposal(p); err != nil {
			return nil, err
		}
	}
	chosen := g.selectProposals(o)
	p, err := g.commitWith(o, chosen)
	for _, fewer := range []func(CommitOptions, []*cachedProposal) []*cachedProposal{g.fitting, withoutAdds, none} {
		before := len(chosen)
		if err == nil || before == 0 {
			break
		}
		if chosen = fewer(o, chosen); len(chosen) < before {
			p, err = g.commitWith(o, chosen)
		}
	}
	return p, err
}

// commitWith makes a commit of the caller's proposals and those of the received ones that were chosen.
func (g *Group) commitWith(o CommitOptions, chosen []*cachedProposal) (*PendingCommit, error) {
	b := g.newCommit(message.MemberSender(g.own), o)
	for _, c := range chosen {
		b.refer(c)
	}
	for _, p := range o.Proposals {
		b.add(p)
	}
	p, err := b.asMember(g.rules, nil)
	if err != nil {
		return nil, err
	}
	p.Skipped = g.skipped(o, chosen)
	return p, nil
}

// committing builds a commit (RFC 9420, section 12.4.1), regular or external.
type committing struct {
	group      *Group
	sender     Sender
	options    CommitOptions
	items      []transition.Item
	commit     *message.Commit
	initSecret []byte
	next       *next
	psks       []schedule.PSK

	steps  []tree.Step
	path   *tree.Secrets // nil if the commit has none
	joiner []byte
}

func (g *Group) newCommit(sender Sender, o CommitOptions) *committing {
	return &committing{group: g, sender: sender, options: o, commit: &message.Commit{}, initSecret: g.secrets.Init}
}

// add puts a proposal of the committer into the commit.
func (b *committing) add(p Proposal) {
	b.items = append(b.items, transition.Item{Proposal: p, Sender: b.sender})
	b.commit.Proposals = append(b.commit.Proposals, message.ProposalOrRef{Proposal: p})
}

// refer has the commit refer to a proposal that was sent before.
func (b *committing) refer(c *cachedProposal) {
	b.items = append(b.items, c.item)
	b.commit.Proposals = append(b.commit.Proposals, message.ProposalOrRef{Reference: c.ref})
}

// apply applies the proposals. parent is the group that this one comes of, nil for most.
func (b *committing) apply(rules *transition.Rules, parent *Group) error {
	g := b.group
	result, err := rules.Apply(g.tree, &g.epoch.context, b.sender, b.items)
	if err != nil {
		return err
	}
	b.next = &next{result: result, own: g.own, key: g.key, keys: map[tree.Node]*suite.KeyPair{}}
	b.psks, err = g.config.psks(result.PSKs, parent, g)
	return err
}

// asMember makes the commit of a member.
func (b *committing) asMember(rules *transition.Rules, parent *Group) (*PendingCommit, error) {
	g, o := b.group, b.options
	if err := b.apply(rules, parent); err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	identity := Identity{Credential: g.tree.Leaf(g.own).Credential, Key: &SignatureKey{g.suite, g.key}}
	if o.Identity != nil {
		identity = *o.Identity
	}
	p, err := b.run(identity, b.next.result.PathRequired || !o.WithoutPath || o.Identity != nil || o.Leaf != nil)
	if err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	p.Records = append(g.ratchetRecords(nil, g.epoch), p.record())
	return p, nil
}

// run makes what was applied the pending commit of the group.
func (b *committing) run(identity Identity, withPath bool) (*PendingCommit, error) {
	p, err := b.build(identity, withPath)
	clear(b.joiner)
	if err != nil {
		b.next.wipe()
		return nil, err
	}
	b.group.pending = p
	return p, nil
}

func (b *committing) build(identity Identity, withPath bool) (*PendingCommit, error) {
	g, n := b.group, b.next
	n.result.Committer = n.own
	if withPath {
		if err := b.makePath(identity); err != nil {
			return nil, err
		}
		defer b.path.Wipe()
	}
	if err := g.rules.Finish(n.result); err != nil {
		return nil, err
	}
	n.context = n.result.Context(&g.epoch.context)
	if withPath {
		nodes, err := n.result.Diff.Encrypt(g.config.Rand, b.steps, b.path, n.result.Added, n.context.Append(nil))
		if err != nil {
			return nil, err
		}
		b.commit.Path.Nodes = nodes
	}
	change := newChange(b.sender, n, g.tree, b.items, withPath)
	if b.options.Settle != nil {
		if err := b.options.Settle(change, &b.options); err != nil {
			return nil, err
		}
	}
	signed, err := b.frame()
	if err != nil {
		return nil, err
	}
	encoded, err := g.protect(signed)
	if err != nil {
		return nil, err
	}
	if len(encoded) > g.config.MaxMessageSize {
		return nil, fmt.Errorf("%w: commit of %d bytes", ErrTooLarge, len(encoded))
	}
	p := &PendingCommit{Message: encoded, group: g, next: n, Change: change}
	p.Welcome, err = b.welcome()
	return p, err
}

// makePath gives this client a new leaf and the nodes above it new keys.
func (b *committing) makePath(identity Identity) error {
	g, n, d := b.group, b.next, b.next.result.Diff
	leafKey, err := g.suite.GenerateKeyPair(g.config.Rand)
	if err != nil {
		return err
	}
	leaf, err := b.newLeaf(identity, leafKey)
	if err != nil {
		return err
	}
	b.steps = d.FilteredPath(n.own)
	first, err := g.config.randomBytes(g.suite.HashSize())
	if err != nil {
		return err
	}
	if b.path, err = tree.Derive(g.suite, len(b.steps), 0, first); err != nil {
		return err
	}
	keys := make([][]byte, len(b.steps))
	for i, k := range b.path.Keys {
		keys[i] = k.Public()
		n.keys[b.steps[i].Node] = k
	}
	n.keys[n.own.Node()] = leafKey
	n.key = identity.Key.signer
	leaf.ParentHash = d.SetPath(n.own, b.steps, keys)
	if err := signLeaf(g.config, g.suite, n.key, leaf, g.epoch.context.GroupID, n.own); err != nil {
		return err
	}
	d.SetLeaf(n.own, leaf)
	b.commit.Path = &message.UpdatePath{LeafNode: leaf}
	return nil
}

func (b *committing) newLeaf(identity Identity, key *suite.KeyPair) (*LeafNode, error) {
	g, old := b.group, b.group.tree.Leaf(b.next.own)
	options := LeafOptions{}
	switch {
	case b.options.Leaf != nil:
		options = *b.options.Leaf
	case old != nil && b.sender.Type == message.SenderMember:
		options = LeafOptions{Extensions: old.Extensions, Capabilities: old.Capabilities}
	}
	if identity.Key == nil || identity.Key.suite.ID() != g.suite.ID() {
		return nil, fmt.Errorf("%w: the signature key is missing or for another suite", ErrConfig)
	}
	leaf, err := g.config.newLeaf(g.suite, identity, key, options)
	if err != nil {
		return nil, err
	}
	leaf.Source = message.SourceCommit
	if err := g.rules.CheckLeafForm(leaf); err != nil {
		return nil, err
	}
	if replaced := transition.Replaced(b.sender, b.items, g.tree.Leaf); replaced != nil {
		return leaf, g.rules.CheckNewCredential(replaced, leaf)
	}
	return leaf, g.rules.CheckCredential(leaf)
}

// frame signs the commit in the old epoch and computes the secrets of the new one.
func (b *committing) frame() (*message.AuthenticatedContent, error) {
	g, n := b.group, b.next
	c := g.content(message.ContentCommit, b.options.AuthenticatedData)
	c.Commit, c.Sender = b.commit, b.sender
	a := &message.AuthenticatedContent{WireFormat: g.handshakeFormat(b.sender), Content: c}
	key := g.key // also where the commit replaces it
	if b.sender.Type != message.SenderMember {
		key = n.key
	}
	if err := g.sign(a, key); err != nil {
		return nil, err
	}
	commitSecret := make([]byte, g.suite.HashSize())
	if b.path != nil {
		commitSecret = b.path.Commit
	}
	b.joiner = n.start(g.suite, g.interim, a, b.initSecret, commitSecret, b.psks)
	n.tag = n.secrets.ConfirmationTag(n.context.ConfirmedTranscriptHash)
	n.interim = schedule.InterimTranscriptHash(g.suite, n.context.ConfirmedTranscriptHash, n.tag)
	a.Auth.ConfirmationTag = n.tag
	return a, nil
}

func (g *Group) handshakeFormat(sender Sender) message.WireFormat {
	if g.config.PublicHandshake || sender.Type != message.SenderMember {
		return message.WirePublicMessage
	}
	return message.WirePrivateMessage
}
