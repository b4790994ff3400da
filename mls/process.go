package mls

import (
	"bytes"
	"errors"
	"fmt"
	"io"

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
