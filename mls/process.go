package mls

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/quicproquo/qpq/mls/internal/schedule"
	"github.com/quicproquo/qpq/mls/internal/suite"
	"github.com/quicproquo/qpq/mls/internal/transition"
	"github.com/quicproquo/qpq/mls/internal/tree"
	"github.com/quicproquo/qpq/mls/message"
)

// Received is what a message turned out to be: one of *ApplicationMessage, *ReceivedProposal,
// *StagedCommit and *Echo.
type Received interface{ received() }

// ApplicationMessage is a text that a member sent. Store Records before it is shown.
type ApplicationMessage struct {
	Records           []Record
	Sender            LeafIndex
	SenderLeaf        *LeafNode // as it was in the epoch of the message
	Epoch             uint64
	Plaintext         []byte
	AuthenticatedData []byte
}

// ReceivedProposal is a proposal that now waits for a commit.
type ReceivedProposal struct {
	Records           []Record
	Ref               []byte // what a commit refers to it by
	Sender            Sender
	Proposal          Proposal
	AuthenticatedData []byte
}

// StagedCommit is a valid commit of somebody else. Nothing changes before it is merged, and to drop it
// nothing needs to be done.
type StagedCommit struct {
	Change
	AuthenticatedData []byte
	// RemovesMe says that this client is no longer a member afterwards. Who removed it is the Committer.
	RemovesMe bool
	group     *Group
	next      *next
	at        uint64
}

// Echo is a message of this client that came back.
type Echo struct {
	Commit *PendingCommit // the pending commit, if the message is it: the delivery service accepted it
}

// Format keeps text and records out of logs.
func (m ApplicationMessage) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, fmt.Sprintf("[message from leaf %d in epoch %d, %d bytes]", m.Sender, m.Epoch, len(m.Plaintext)))
}

// Format keeps the records out of logs.
func (p ReceivedProposal) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, fmt.Sprintf("[proposal %x from %v]", p.Ref, p.Sender))
}

func (*ApplicationMessage) received() {}
func (*ReceivedProposal) received()   {}
func (*StagedCommit) received()       {}
func (*Echo) received()               {}

// Process takes a message of the group: decrypts it, and verifies it as far as it can be without
// changing the group. A message that is not valid changes nothing.
func (g *Group) Process(data []byte) (Received, error) {
	if g.status == joining && g.pending != nil && bytes.Equal(data, g.pending.Message) {
		return &Echo{g.pending}, nil
	}
	if err := g.usable(); err != nil {
		return nil, err
	}
	m, err := g.config.unmarshal(data)
	if err == nil && m.Public != nil { // the group keeps parts of it; those of a private message are decrypted
		m, err = message.Unmarshal(bytes.Clone(data))
	}
	if err != nil {
		return nil, err
	}
	switch {
	case m.Private != nil:
		return g.processPrivate(m.Private, data)
	case m.Public != nil:
		return g.processPublic(m.Public, data)
	}
	return nil, fmt.Errorf("%w: neither a public nor a private message", ErrMalformed)
}

// epochFor returns the epoch that a message belongs to. Only application messages may be late.
func (g *Group) epochFor(groupID []byte, number uint64, t message.ContentType) (*epoch, error) {
	if !bytes.Equal(groupID, g.epoch.context.GroupID) {
		return nil, ErrWrongGroup
	}
	if number == g.Epoch() {
		return g.epoch, nil
	}
	if t == message.ContentApplication && number < g.Epoch() {
		for _, e := range g.past {
			if e.context.Epoch == number {
				return e, nil
			}
		}
		return nil, fmt.Errorf("%w: epoch %d, now %d", ErrEpochGone, number, g.Epoch())
	}
	return nil, fmt.Errorf("%w: epoch %d, now %d", ErrWrongEpoch, number, g.Epoch())
}

func (g *Group) processPrivate(m *message.PrivateMessage, data []byte) (Received, error) {
	e, err := g.epochFor(m.GroupID, m.Epoch, m.Type)
	if err != nil {
		return nil, err
	}
	o, err := g.decrypt(e, m)
	if errors.Is(err, errOwn) {
		return g.echo(data), nil
	}
	if err != nil {
		return nil, err
	}
	return g.dispatch(o, e)
}

func (g *Group) processPublic(m *message.PublicMessage, data []byte) (Received, error) {
	if _, err := g.epochFor(m.Content.GroupID, m.Content.Epoch, m.Content.Type); err != nil {
		return nil, err
	}
	o, err := g.verifyPublic(m)
	if err != nil {
		return nil, err
	}
	if m.Content.Sender == message.MemberSender(g.own) {
		return g.echo(data), nil
	}
	return g.dispatch(o, g.epoch)
}

func (g *Group) echo(data []byte) *Echo {
	if g.pending != nil && bytes.Equal(data, g.pending.Message) {
		return &Echo{g.pending}
	}
	return &Echo{}
}

func (g *Group) dispatch(o *opened, e *epoch) (Received, error) {
	c := o.content.Content
	switch c.Type {
	case message.ContentApplication:
		o.accept(g)
		return &ApplicationMessage{Records: g.ratchetRecords(nil, e), Sender: LeafIndex(c.Sender.Index), SenderLeaf: o.leaf,
			Epoch: c.Epoch, Plaintext: c.Application, AuthenticatedData: c.AuthenticatedData}, nil
	case message.ContentProposal:
		p, err := g.cacheProposal(o.content)
		if err != nil {
			o.drop()
			return nil, err
		}
		o.accept(g)
		return &ReceivedProposal{Records: append(g.ratchetRecords(nil, e), p.record()), Ref: p.ref,
			Sender: c.Sender, Proposal: c.Proposal, AuthenticatedData: c.AuthenticatedData}, nil
	default:
		o.drop() // a commit ends the epoch: its key goes with all others
		staged, err := g.stage(o.content)
		if err != nil {
			return nil, err
		}
		return staged, nil
	}
}

// cacheProposal verifies a proposal and keeps it for the next commit.
func (g *Group) cacheProposal(a *message.AuthenticatedContent) (*cachedProposal, error) {
	if err := g.checkProposal(a); err != nil {
		return nil, err
	}
	return g.addProposal(a), nil
}

func (g *Group) checkProposal(a *message.AuthenticatedContent) error {
	p, sender := a.Content.Proposal, a.Content.Sender
	if err := transition.CheckSender(p, sender); err != nil {
		return err
	}
	if p.Type() == message.ProposalSelfRemove && a.WireFormat != message.WirePublicMessage {
		return fmt.Errorf("%w: a self-remove must be a public message", ErrProposal)
	}
	return g.rules.Check(p, g.tree.Diff(), &g.epoch.context, sender)
}

func (g *Group) addProposal(a *message.AuthenticatedContent) *cachedProposal {
	encoded := a.Append(nil)
	c := &cachedProposal{number: len(g.proposals), ref: g.proposalRef(encoded), encoded: encoded,
		item: transition.Item{Proposal: a.Content.Proposal, Sender: a.Content.Sender, ByReference: true}}
	for _, old := range g.proposals {
		if bytes.Equal(old.ref, c.ref) {
			return old
		}
	}
	g.proposals = append(g.proposals, c)
	return c
}

// proposal returns a proposal that a commit may refer to.
func (g *Group) proposal(ref []byte) (transition.Item, bool) {
	for _, p := range g.proposals {
		if bytes.Equal(p.ref, ref) {
			return p.item, true
		}
	}
	return transition.Item{}, false
}

// staging verifies a commit of somebody else (RFC 9420, section 12.4.2).
type staging struct {
	group     *Group
	auth      *message.AuthenticatedContent
	committer Sender
	items     []transition.Item
	next      *next
}

func (g *Group) stage(a *message.AuthenticatedContent) (*StagedCommit, error) {
	if g.reinit != nil {
		return nil, ErrReInit
	}
	s := &staging{group: g, auth: a, committer: a.Content.Sender,
		next: &next{own: g.own, key: g.key, keys: map[tree.Node]*suite.KeyPair{}}}
	staged, err := s.run()
	if err != nil {
		delete(s.next.keys, g.own.Node()) // of an update of this client, which another commit can still put in place
		s.next.wipe()
		return nil, fmt.Errorf("process commit: %w", err)
	}
	return staged, nil
}

func (s *staging) run() (*StagedCommit, error) {
	g, n, c := s.group, s.next, s.auth.Content.Commit
	var err error
	if s.items, err = transition.Resolve(c, s.committer, g.proposal); err != nil {
		return nil, err
	}
	if n.result, err = g.rules.Stage(g.tree, &g.epoch.context, s.committer, s.items, c.Path); err != nil {
		return nil, err
	}
	n.context = n.result.Context(&g.epoch.context)
	staged := &StagedCommit{Change: newChange(s.committer, n, g.tree, s.items, c.Path != nil), group: g, next: n, at: g.Epoch(),
		AuthenticatedData: s.auth.Content.AuthenticatedData}
	if slices.Contains(n.result.Removed, g.own) {
		staged.RemovesMe = true
		return staged, nil
	}
	return staged, s.advance()
}

// advance computes the secrets of the new epoch and verifies that all agree on it.
func (s *staging) advance() error {
	g, n := s.group, s.next
	initSecret, commitSecret, err := s.secrets()
	if err != nil {
		return err
	}
	psks, err := g.config.psks(n.result.PSKs, g)
	if err != nil {
		return err
	}
	clear(n.start(g.suite, g.interim, s.auth, initSecret, commitSecret, psks))
	if n.result.ExternalInit != nil {
		clear(initSecret)
	}
	clear(commitSecret)
	n.tag = s.auth.Auth.ConfirmationTag
	if !g.suite.VerifyMAC(n.secrets.Confirmation, n.tag, n.context.ConfirmedTranscriptHash) {
		return ErrConfirmationTag
	}
	n.tag = bytes.Clone(n.tag)
	n.interim = schedule.InterimTranscriptHash(g.suite, n.context.ConfirmedTranscriptHash, n.tag)
	return nil
}

// secrets returns the init secret and the commit secret that the new epoch starts from.
func (s *staging) secrets() (initSecret, commitSecret []byte, err error) {
	g, n := s.group, s.next
	initSecret = g.secrets.Init
	if n.result.ExternalInit != nil {
		if initSecret, err = g.secrets.ExternalInit(n.result.ExternalInit); err != nil {
			return nil, nil, fmt.Errorf("%w: external init: %w", ErrProposal, err)
		}
	}
	if err := s.ownUpdate(); err != nil {
		return nil, nil, err
	}
	path := s.auth.Content.Commit.Path
	if path == nil {
		return initSecret, make([]byte, g.suite.HashSize()), nil
	}
	secrets, err := n.result.Diff.Decrypt(g.own, s.keys(), n.result.Steps, path.Nodes, n.result.Added, n.context.Append(nil))
	if err != nil {
		return nil, nil, err
	}
	for i, k := range secrets.Keys {
		if k != nil {
			n.keys[n.result.Steps[i].Node] = k
		}
	}
	commitSecret = bytes.Clone(secrets.Commit)
	secrets.Wipe()
	return initSecret, commitSecret, nil
}

// ownUpdate finds the private key of a leaf that this client proposed and the commit puts in place.
func (s *staging) ownUpdate() error {
	n := s.next.result.Diff.Leaf(s.group.own)
	old := s.group.tree.Leaf(s.group.own)
	if bytes.Equal(n.EncryptionKey, old.EncryptionKey) {
		return nil
	}
	k := s.group.updates[string(n.EncryptionKey)]
	if k == nil {
		return fmt.Errorf("%w: no private key for the new leaf of this client", ErrPath)
	}
	s.next.keys[s.group.own.Node()] = k
	return nil
}

// keys returns the private keys of this client in the tree as the proposals leave it.
func (s *staging) keys() map[tree.Node]*suite.KeyPair {
	own, fresh := s.group.own.Node(), s.next.keys[s.group.own.Node()]
	if fresh == nil {
		return s.group.keys
	}
	keys := maps.Clone(s.group.keys)
	keys[own] = fresh
	return keys
}

// Merge moves the group to the epoch that the commit starts. It returns what to store before anything
// is sent in the new epoch. A pending commit of this client is dropped: it lost.
func (s *StagedCommit) Merge() ([]Record, error) {
	g := s.group
	if s.next == nil || g.Epoch() != s.at || g.status != active {
		return nil, ErrStale
	}
	n := s.next
	s.next = nil
	if s.RemovesMe {
		return g.leave(), nil
	}
	return g.install(n), nil
}

// leave ends this client's part in the group. Messages of the past can no longer be opened.
func (g *Group) leave() []Record {
	records := g.allKeys()
	g.Wipe()
	return records
}

// install makes n the current epoch.
func (g *Group) install(n *next) []Record {
	var records []Record
	if g.pending != nil {
		if g.pending.next != nil && g.pending.next != n {
			g.pending.next.wipe()
			g.pending.next = nil
		}
		g.pending = nil
		records = append(records, Record{Key: recordPending})
	}
	for _, p := range g.proposals {
		records = append(records, Record{Key: p.key()})
	}
	g.proposals = nil
	changed := n.result.Diff.Changed()
	oldSize := g.tree.Size()
	g.epoch.replaced = n.result.Diff.Merge()
	g.installKeys(n)
	records = append(records, g.retire()...)
	g.secrets.Wipe()
	g.secrets, g.tag, g.interim, g.own, g.key, g.reinit = n.secrets, n.tag, n.interim, n.own, n.key, n.result.ReInit
	g.epoch = newEpoch(n.context, g.suite, g.tree.Size(), n.secrets)
	g.status = active
	records = append(records, g.treeRecords(changed, oldSize)...)
	return append(g.ratchetRecords(records, g.epoch), g.coreRecord())
}

// installKeys drops the private keys whose public halves have left the tree, and takes over the new ones.
func (g *Group) installKeys(n *next) {
	for x, k := range g.keys {
		if !bytes.Equal(g.tree.PublicKey(x), k.Public()) {
			k.Wipe()
			delete(g.keys, x)
		}
	}
	maps.Copy(g.keys, n.keys)
	for pub, k := range g.updates {
		if k != g.keys[n.own.Node()] {
			k.Wipe()
		}
		delete(g.updates, pub)
	}
}

// retire moves the current epoch to the past ones and forgets what is too old.
func (g *Group) retire() (records []Record) {
	if g.config.PastEpochs < 0 || g.status == joining { // of an epoch before it joined, it knows nothing
		records = append(records, g.epochKeys(g.epoch)...)
		g.epoch.wipe()
	} else {
		g.epoch.resumption = bytes.Clone(g.secrets.Resumption)
		g.past = append([]*epoch{g.epoch}, g.past...)
		records = append(records, g.pastRecord(g.epoch))
	}
	for len(g.past) > max(0, g.config.PastEpochs) { // several, if it was restored with a lower limit
		last := len(g.past) - 1
		old := g.past[last]
		records = append(records, g.epochKeys(old)...)
		old.wipe()
		g.past = g.past[:last]
	}
	return records
}
