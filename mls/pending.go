package mls

import (
	"fmt"
	"io"

	"github.com/quicproquo/qpq/mls/message"
)

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

// Pending returns the commit of this client that was neither applied nor discarded, nil if there is
// none.
func (g *Group) Pending() *PendingCommit { return g.pending }

// GroupInfo returns a signed description of the epoch that the commit starts, as an MLS message: for a
// delivery service that keeps the newest one and replaces it as it accepts the commit.
func (p *PendingCommit) GroupInfo(o GroupInfoOptions) ([]byte, error) {
	if p.next == nil {
		return nil, ErrStale
	}
	n := p.next
	info, err := p.group.groupInfo(o, n, n.marshalTree)
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
	g := p.group
	p.next.wipe()
	p.next, g.pending = nil, nil
	if g.status != joining {
		g.epoch.secrets.Touch(g.own) // Records, which tell of the key that the commit used up, may never have been stored
	}
	return []Record{{Key: recordPending}}
}
