package mls

import (
	"bytes"
	"fmt"

	"github.com/quicproquo/qpq/mls/message"
)

// Propose makes a proposal for somebody to commit. It may be of any kind but an update, for which ProposeUpdate makes the keys.
// Of a [message.ReInit], Group.ReInit makes the new group once it was committed.
func (g *Group) Propose(p Proposal, authenticatedData []byte) (*Outgoing, error) {
	if _, ok := p.(*message.Update); ok {
		return nil, fmt.Errorf("%w: an update is proposed with ProposeUpdate, which makes its keys", ErrProposal)
	}
	if err := g.checkOwnProposal(p); err != nil {
		return nil, err
	}
	return g.propose(p, authenticatedData)
}

// ProposeAdd proposes to add the client of a key package.
func (g *Group) ProposeAdd(k *KeyPackage) (*Outgoing, error) {
	return g.Propose(&message.Add{KeyPackage: k}, nil)
}

// ProposeRemove proposes to remove a member.
func (g *Group) ProposeRemove(l LeafIndex) (*Outgoing, error) {
	return g.Propose(&message.Remove{Removed: l}, nil)
}

// ProposeSelfRemove announces that this client leaves, which any member then commits, or somebody who
// joins (draft-ietf-mls-extensions). All members must support it.
func (g *Group) ProposeSelfRemove() (*Outgoing, error) { return g.Propose(&message.SelfRemove{}, nil) }

// ProposeUpdate proposes fresh keys for this client's leaf. A nil leaf keeps what there is.
func (g *Group) ProposeUpdate(leaf *LeafOptions) (*Outgoing, error) {
	if err := g.mayChange(); err != nil {
		return nil, err
	}
	old := g.tree.Leaf(g.own)
	options := LeafOptions{Extensions: old.Extensions, Capabilities: old.Capabilities}
	if leaf != nil {
		options = *leaf
	}
	k, err := g.suite.GenerateKeyPair(g.config.Rand)
	if err != nil {
		return nil, err
	}
	n, err := g.config.newLeaf(g.suite, Identity{old.Credential, &SignatureKey{g.suite, g.key}}, k, options)
	if err != nil {
		return nil, err
	}
	n.Source = message.SourceUpdate
	if err := signLeaf(g.config, g.suite, g.key, n, g.epoch.context.GroupID, g.own); err != nil {
		return nil, err
	}
	g.updates[string(k.Public())] = k
	out, err := g.propose(&message.Update{LeafNode: n}, nil)
	if err != nil {
		delete(g.updates, string(k.Public()))
		k.Wipe()
		return nil, err
	}
	out.Records = append(out.Records, g.coreRecord())
	return out, nil
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

func (g *Group) propose(p Proposal, authenticatedData []byte) (*Outgoing, error) {
	if err := g.mayChange(); err != nil {
		return nil, err
	}
	c := g.content(message.ContentProposal, bytes.Clone(authenticatedData))
	c.Proposal = p
	a := &message.AuthenticatedContent{WireFormat: g.handshakeFormat(c.Sender), Content: c}
	if p.Type() == message.ProposalSelfRemove {
		a.WireFormat = message.WirePublicMessage
	}
	if err := g.sign(a, g.key); err != nil {
		return nil, err
	}
	if err := g.checkProposal(a); err != nil {
		return nil, err
	}
	encoded, err := g.protect(a)
	if err != nil {
		return nil, err
	}
	cached := g.addProposal(a)
	cached.dropped = false
	return &Outgoing{Records: append(g.ratchetRecords(nil, g.epoch), cached.record()), Message: encoded, Ref: cached.ref}, nil
}

// ProposeExternal returns a proposal of somebody outside the group, whose place in its external_senders extension is
// index, as an MLS message (RFC 9420, section 12.1.8).
func ProposeExternal(config Config, groupID []byte, epoch uint64, index uint32, key *SignatureKey, p Proposal) ([]byte, error) {
	return proposeFromOutside(config, groupID, epoch, Sender{Type: message.SenderExternal, Index: index}, key, p)
}

// ProposeJoin returns the proposal of a client to be added to a group, as an MLS message (RFC 9420,
// section 12.1.8). The members' applications decide whether to allow it.
func ProposeJoin(config Config, groupID []byte, epoch uint64, b *KeyPackageBundle) ([]byte, error) {
	return proposeFromOutside(config, groupID, epoch, Sender{Type: message.SenderNewMemberProposal}, b.key, &message.Add{KeyPackage: b.KeyPackage})
}

func proposeFromOutside(config Config, groupID []byte, epoch uint64, sender Sender, key *SignatureKey, p Proposal) ([]byte, error) {
	a := &message.AuthenticatedContent{WireFormat: message.WirePublicMessage, Content: &message.FramedContent{
		GroupID: groupID, Epoch: epoch, Sender: sender, Type: message.ContentProposal, Proposal: p}}
	var err error
	a.Auth.Signature, err = key.suite.SignWithLabel(key.signer, config.Rand, "FramedContentTBS", a.AppendTBS(nil, nil))
	if err != nil {
		return nil, err
	}
	return (&message.Message{Public: &message.PublicMessage{Content: a.Content, Auth: a.Auth}}).Marshal(), nil
}
