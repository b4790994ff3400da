package mls

import (
	"bytes"
	"errors"
	"fmt"
	"io"

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
}

// next is the epoch that a commit leads to.
type next struct {
	result  *transition.Result
	context message.GroupContext
	secrets *schedule.Epoch
	interim []byte
	tag     []byte
	own     LeafIndex
	key     *suite.Signer
	keys    map[tree.Node]*suite.KeyPair // new ones of this client
}

func (n *next) wipe() {
	if n.secrets != nil {
		n.secrets.Wipe()
	}
	for _, k := range n.keys {
		k.Wipe()
	}
}

// PendingCommit is a commit of this client that the delivery service has not accepted yet. The group
// stays as it is until Apply. Store Records before sending Message: after a crash, Group.Pending finds
// the commit again.
type PendingCommit struct {
	Records []Record
	Message []byte
	// Welcome is for the members that the commit adds, to be sent once it is accepted; nil if there are none.
	Welcome []byte
	// Skipped are the proposals that were received but could not be part of the commit: they are not valid together with
	// the others, make it too large, or end the group for one that this client could not make. They lapse with the epoch.
	Skipped []Proposal

	Change
	group *Group
	next  *next
}

// Format keeps the records out of logs.
func (p PendingCommit) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, fmt.Sprintf("[pending commit for epoch %d, %d bytes]", p.Epoch, len(p.Message)))
}

// Change is what a commit does to the members of a group.
type Change struct {
	Committer Sender               // who made the commit
	Epoch     uint64               // the epoch that it starts
	Added     []Member             // who is new, the committer last if it joined by the commit
	Removed   []Member             // who is removed, as they were
	Updated   []UpdatedMember      // whose leaf is replaced, the committer last if the commit has a path
	Proposals []AttributedProposal // all proposals, and who made them
	ReInit    *message.ReInit      // what the commit ends the group for (Group.ReInit); nil if it goes on
}

// UpdatedMember is a member whose leaf node is replaced by an update or a path.
type UpdatedMember struct {
	Index    LeafIndex
	Old, New *LeafNode
}

// AttributedProposal is a proposal with who made it.
type AttributedProposal struct {
	Proposal Proposal
	Sender   Sender
}

// Pending returns the commit of this client that was neither applied nor discarded, nil if there is
// none.
func (g *Group) Pending() *PendingCommit { return g.pending }

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
	var refs []message.ProposalOrRef
	for _, c := range chosen {
		refs = append(refs, message.ProposalOrRef{Reference: c.ref})
	}
	for _, p := range o.Proposals {
		refs = append(refs, message.ProposalOrRef{Proposal: p})
	}
	return g.commit(o, g.items(o, chosen), refs, g.skipped(o, chosen), g.rules)
}

// checkOwnProposal verifies what only the sender of a proposal must.
func (g *Group) checkOwnProposal(p Proposal) error {
	if add, ok := p.(*message.Add); ok && !add.KeyPackage.LeafNode.Lifetime.Contains(g.config.Clock()) {
		return fmt.Errorf("%w: %w: its time has not come or has passed", ErrKeyPackage, ErrLifetime)
	}
	if r, ok := p.(*message.ReInit); ok {
		return g.checkReInit(r)
	}
	return nil
}

func (g *Group) commit(o CommitOptions, items []transition.Item, refs []message.ProposalOrRef, skipped []Proposal, rules *transition.Rules) (*PendingCommit, error) {
	result, err := transition.Apply(rules, g.tree, &g.epoch.context, message.MemberSender(g.own), items)
	if err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	psks, err := g.psks(result.PSKs)
	if err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	b := &committing{group: g, options: o, items: items, commit: &message.Commit{Proposals: refs}, psks: psks,
		initSecret: g.secrets.Init, sender: message.MemberSender(g.own), before: g.tree.Leaf,
		next: &next{result: result, own: g.own, key: g.key, keys: map[tree.Node]*suite.KeyPair{}}}
	identity := Identity{Credential: g.tree.Leaf(g.own).Credential, Key: &SignatureKey{g.suite, g.key}}
	if o.Identity != nil {
		identity = *o.Identity
	}
	withPath := result.PathRequired || !o.WithoutPath || o.Identity != nil || o.Leaf != nil
	p, err := b.run(identity, withPath)
	if err != nil {
		b.next.wipe()
		return nil, fmt.Errorf("commit: %w", err)
	}
	p.Skipped = skipped
	g.pending = p
	p.Records = append(g.ratchetRecords(nil, g.epoch), p.record())
	return p, nil
}

// committing builds a commit (RFC 9420, section 12.4.1), regular or external.
type committing struct {
	group      *Group
	options    CommitOptions
	items      []transition.Item
	commit     *message.Commit
	psks       []schedule.PSK
	initSecret []byte
	sender     Sender
	before     func(LeafIndex) *LeafNode
	next       *next

	steps   []tree.Step
	path    *tree.Secrets
	context []byte // of the new epoch, encoded
	joiner  []byte
}

func (b *committing) run(identity Identity, withPath bool) (*PendingCommit, error) {
	g, n := b.group, b.next
	if withPath {
		if err := b.makePath(identity); err != nil {
			return nil, err
		}
		defer b.path.Wipe()
	}
	if err := g.rules.Finish(n.result); err != nil {
		return nil, err
	}
	n.context = g.epoch.context
	n.context.Epoch++
	n.context.Extensions = n.result.Extensions
	n.context.TreeHash = bytes.Clone(n.result.Diff.Hash())
	if withPath {
		nodes, err := n.result.Diff.Encrypt(g.config.Rand, b.steps, b.path, n.result.Added, n.context.Append(nil))
		if err != nil {
			return nil, err
		}
		b.commit.Path.Nodes = nodes
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
	p := &PendingCommit{Message: encoded, group: g, next: n,
		Change: newChange(b.sender, n, b.before, b.items)}
	if withPath {
		p.Change.committed(n, n.own, b.before)
	}
	p.Welcome, err = b.welcome()
	clear(b.joiner)
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
	g, old := b.group, b.before(b.next.own)
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
	if replaced := transition.Replaced(b.sender, b.items, b.before); replaced != nil {
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
	if b.sender.Type == message.SenderMember {
		if err := g.sign(a); err != nil {
			return nil, err
		}
	} else {
		var err error
		a.Auth.Signature, err = g.suite.SignWithLabel(n.key, g.config.Rand, "FramedContentTBS", a.AppendTBS(nil, g.epoch.encoded))
		if err != nil {
			return nil, err
		}
	}
	commitSecret := make([]byte, g.suite.HashSize())
	if b.path != nil {
		commitSecret = b.path.Commit
	}
	n.context.ConfirmedTranscriptHash = schedule.ConfirmedTranscriptHash(g.suite, g.interim, a)
	b.context = n.context.Append(nil)
	b.joiner = schedule.Joiner(g.suite, b.initSecret, commitSecret, b.context)
	psk := schedule.PSKSecret(g.suite, b.psks)
	n.secrets = schedule.New(g.suite, b.joiner, psk, b.context)
	clear(psk)
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

// welcome invites those who were added (RFC 9420, section 12.4.3.1).
func (b *committing) welcome() ([]byte, error) {
	g, n, r := b.group, b.next, b.next.result
	if len(r.Added) == 0 {
		return nil, nil
	}
	info, err := g.groupInfo(b.options.GroupInfo, n.own, n.key, n.context, n.tag, n.secrets, n.marshalTree)
	if err != nil {
		return nil, err
	}
	psk := schedule.PSKSecret(g.suite, b.psks)
	key, nonce := schedule.Welcome(g.suite, b.joiner, psk)
	clear(psk)
	w := &message.Welcome{CipherSuite: CipherSuite(g.suite.ID()), Secrets: make([]message.EncryptedGroupSecrets, len(r.Added))}
	if w.EncryptedGroupInfo, err = g.suite.Seal(key, nonce, nil, info.Append(nil)); err != nil {
		return nil, err
	}
	encryption, err := g.suite.Encryption("Welcome", w.EncryptedGroupInfo)
	if err != nil {
		return nil, err
	}
	errs := make([]error, len(r.Added))
	seal := func(i int) {
		k := r.KeyPackages[i]
		secrets := message.GroupSecrets{JoinerSecret: b.joiner, PSKs: r.PSKs, PathSecret: b.pathSecretFor(r.Added[i])}
		plaintext := secrets.Append(nil)
		out := &w.Secrets[i]
		out.NewMember = keyPackageRef(g.suite, k)
		out.Secrets.KEMOutput, out.Secrets.Ciphertext, errs[i] = encryption.Encrypt(g.config.Rand, k.InitKey, plaintext)
		clear(plaintext)
	}
	if g.config.Rand != nil {
		for i := range r.Added {
			seal(i)
		}
	} else {
		tree.Parallel(len(r.Added), seal)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	encoded := (&message.Message{Welcome: w}).Marshal()
	if len(encoded) > g.config.MaxMessageSize {
		return nil, fmt.Errorf("%w: welcome of %d bytes: leave the tree out, or add fewer at a time", ErrTooLarge, len(encoded))
	}
	return encoded, nil
}

// pathSecretFor returns the path secret of the lowest node above both the committer and a new leaf.
func (b *committing) pathSecretFor(l LeafIndex) []byte {
	for i, step := range b.steps {
		if step.Copath.Covers(l) {
			return b.path.Path[i]
		}
	}
	return nil
}

func (n *next) marshalTree() []byte { return n.result.Diff.Marshal() }

// newChange sums up a commit for the application.
func newChange(committer Sender, n *next, before func(LeafIndex) *LeafNode, items []transition.Item) Change {
	r := n.result
	c := Change{Committer: committer, Epoch: n.context.Epoch, ReInit: r.ReInit}
	for _, l := range r.Added {
		c.Added = append(c.Added, Member{l, r.Diff.Leaf(l)})
	}
	for _, l := range r.Removed {
		c.Removed = append(c.Removed, Member{l, before(l)})
	}
	for _, l := range r.Updated {
		c.Updated = append(c.Updated, UpdatedMember{l, before(l), r.Diff.Leaf(l)})
	}
	for _, i := range items {
		c.Proposals = append(c.Proposals, AttributedProposal{i.Proposal, i.Sender})
	}
	return c
}

// committed adds what the path of the commit does to the committer's own leaf.
func (c *Change) committed(n *next, l LeafIndex, before func(LeafIndex) *LeafNode) {
	leaf := n.result.Diff.Leaf(l)
	if c.Committer.Type == message.SenderMember {
		c.Updated = append(c.Updated, UpdatedMember{l, before(l), leaf})
	} else {
		c.Added = append(c.Added, Member{l, leaf})
	}
}

// GroupInfo returns a signed description of the epoch that the commit starts, as an MLS message: for a
// delivery service that keeps the newest one and replaces it as it accepts the commit.
func (p *PendingCommit) GroupInfo(o GroupInfoOptions) ([]byte, error) {
	if p.next == nil {
		return nil, ErrStale
	}
	n := p.next
	info, err := p.group.groupInfo(o, n.own, n.key, n.context, n.tag, n.secrets, n.marshalTree)
	if err != nil {
		return nil, err
	}
	return (&message.Message{GroupInfo: info}).Marshal(), nil
}

// RatchetTree returns the ratchet tree of the epoch that the commit starts.
func (p *PendingCommit) RatchetTree() ([]byte, error) {
	if p.next == nil {
		return nil, ErrStale
	}
	return p.next.marshalTree(), nil
}

// Export derives a secret as Group.Export does, in the epoch that the commit starts.
func (p *PendingCommit) Export(label string, context []byte, n int) ([]byte, error) {
	if p.next == nil {
		return nil, ErrStale
	}
	return p.group.export(p.next.secrets, label, context, n)
}

// Apply moves the group to the epoch that the commit starts: the delivery service accepted it. It
// returns what to store before anything is sent in the new epoch.
func (p *PendingCommit) Apply() ([]Record, error) {
	if p.next == nil || p.group.pending != p {
		return nil, ErrStale
	}
	n := p.next
	p.next = nil
	return p.group.install(n), nil
}

// Discard drops the commit: the delivery service refused it. A client that wanted to join is not a
// member then, and its group is of no use. It returns what to store.
func (p *PendingCommit) Discard() []Record {
	if p.next == nil || p.group.pending != p {
		return nil
	}
	p.next.wipe()
	p.next, p.group.pending = nil, nil
	return []Record{{Key: recordPending}}
}
