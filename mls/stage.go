package mls

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/quicproquo/qpq/mls/internal/schedule"
	"github.com/quicproquo/qpq/mls/internal/suite"
	"github.com/quicproquo/qpq/mls/internal/transition"
	"github.com/quicproquo/qpq/mls/internal/tree"
	"github.com/quicproquo/qpq/mls/message"
)

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
