package mls

import (
	"bytes"
	"fmt"

	"github.com/quicproquo/qpq/mls/internal/schedule"
	"github.com/quicproquo/qpq/mls/internal/transition"
	"github.com/quicproquo/qpq/mls/message"
)

// ExternalOptions is what joining by an external commit takes besides the group info.
type ExternalOptions struct {
	// RatchetTree is the tree, where the group info does not carry it.
	RatchetTree []byte
	// Resync, if not nil, is the leaf of this client's former appearance, which the commit removes.
	Resync *LeafIndex
	// Rejoin is Resync of the leaf that has this client's signature key, if there is one.
	Rejoin bool
	// PSKs are external pre-shared keys to mix in, by their ids.
	PSKs [][]byte
	// SelfRemoves are proposals of members to leave that the delivery service has, as MLS messages.
	// The commit includes them (draft-ietf-mls-extensions).
	SelfRemoves       [][]byte
	Leaf              LeafOptions
	AuthenticatedData []byte
}

// JoinExternal makes a commit by which this client adds itself to the group that a group info
// describes, an MLS message or bare (RFC 9420, section 12.4.3.2). The group cannot be used before the
// pending commit is applied, once the delivery service has accepted it. Store the
// commit's Records, the whole group, before sending it.
func JoinExternal(config Config, groupInfo []byte, identity Identity, o ExternalOptions) (*Group, *PendingCommit, error) {
	c, err := config.filled()
	if err != nil {
		return nil, nil, err
	}
	info, err := parse(c, groupInfo, ErrGroupInfo, func(m *message.Message) *message.GroupInfo { return m.GroupInfo }, message.UnmarshalGroupInfo)
	if err != nil {
		return nil, nil, err
	}
	s, err := c.suite(info.Context.CipherSuite)
	if err != nil {
		return nil, nil, err
	}
	g, err := fromGroupInfo(c, s, info, o.RatchetTree)
	if err != nil {
		return nil, nil, fmt.Errorf("join: %w", err)
	}
	g.status = joining
	g.tag = bytes.Clone(info.ConfirmationTag)
	g.interim = schedule.InterimTranscriptHash(s, info.Context.ConfirmedTranscriptHash, g.tag)
	g.secrets = &schedule.Epoch{Encryption: make([]byte, s.HashSize())} // nobody outside knows any
	g.epoch = newEpoch(info.Context, s, g.tree.Size(), g.secrets)
	p, err := g.joinByCommit(identity, info, o)
	if err != nil {
		return nil, nil, fmt.Errorf("join: %w", err)
	}
	return g, p, nil
}

func (g *Group) joinByCommit(identity Identity, info *message.GroupInfo, o ExternalOptions) (*PendingCommit, error) {
	data, ok := info.Extensions.Find(message.ExtensionExternalPub)
	if !ok {
		return nil, fmt.Errorf("%w: it has no external key", ErrGroupInfo)
	}
	externalPub, err := message.UnmarshalExternalPub(data)
	if err != nil {
		return nil, err
	}
	kemOutput, initSecret, err := schedule.NewExternalInit(g.suite, externalPub)
	if err != nil {
		return nil, fmt.Errorf("%w: external key: %w", ErrGroupInfo, err)
	}
	defer clear(initSecret)
	b := g.newCommit(Sender{Type: message.SenderNewMemberCommit}, CommitOptions{Leaf: &o.Leaf, AuthenticatedData: o.AuthenticatedData})
	b.initSecret = initSecret
	if o.Rejoin && identity.Key != nil {
		o.Resync = g.leafWith(identity.Key.Public())
	}
	if err := b.addExternal(kemOutput, o); err != nil {
		return nil, err
	}
	if err := b.apply(g.rules, nil); err != nil {
		return nil, err
	}
	if b.next.own, err = b.next.result.Diff.NextBlank(); err != nil {
		return nil, err
	}
	p, err := b.run(identity, true)
	if err != nil {
		return nil, err
	}
	p.Records = g.Records()
	return p, nil
}

// leafWith returns the leaf with a signature key, nil if there is none.
func (g *Group) leafWith(key []byte) *LeafIndex {
	for m := range g.Members() {
		if bytes.Equal(m.Leaf.SignatureKey, key) {
			return &m.Index
		}
	}
	return nil
}

// addExternal puts the proposals of somebody who joins into its commit.
func (b *committing) addExternal(kemOutput []byte, o ExternalOptions) error {
	b.add(&message.ExternalInit{KEMOutput: kemOutput})
	if o.Resync != nil {
		b.add(&message.Remove{Removed: *o.Resync})
	}
	for _, id := range o.PSKs {
		p, err := b.group.ExternalPSKProposal(id)
		if err != nil {
			return err
		}
		b.add(p)
	}
	for _, data := range o.SelfRemoves {
		c, err := b.group.selfRemoveFromOutside(data)
		if err != nil {
			return err
		}
		b.refer(c)
	}
	return nil
}

// selfRemoveFromOutside verifies a member's proposal to leave as far as somebody who joins can: not
// its membership tag.
func (g *Group) selfRemoveFromOutside(data []byte) (*cachedProposal, error) {
	m, err := g.config.unmarshal(data)
	if err != nil {
		return nil, err
	}
	if m.Public == nil || m.Public.Content.Type != message.ContentProposal || m.Public.Content.Proposal.Type() != message.ProposalSelfRemove {
		return nil, fmt.Errorf("%w: a self-remove is wanted", ErrProposal)
	}
	if _, err := g.epochFor(m.Public.Content.GroupID, m.Public.Content.Epoch, message.ContentProposal); err != nil {
		return nil, err
	}
	a := m.Public.Authenticated()
	key, err := transition.SenderKey(a.Content, g.epoch.context.Extensions, g.tree.Leaf)
	if err != nil {
		return nil, err
	}
	if err := g.verify(a, key, g.epoch.encoded); err != nil {
		return nil, err
	}
	return g.cacheProposal(a)
}
