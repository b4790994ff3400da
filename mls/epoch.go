package mls

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/quicproquo/qpq/mls/internal/schedule"
	"github.com/quicproquo/qpq/mls/internal/secrettree"
	"github.com/quicproquo/qpq/mls/internal/suite"
	"github.com/quicproquo/qpq/mls/message"
)

// epoch is what it takes to open messages of one epoch.
type epoch struct {
	context    message.GroupContext
	encoded    []byte // of context
	senderData []byte
	resumption []byte // of a past epoch; that of the current one is among its secrets
	secrets    *secrettree.Tree
	replaced   map[LeafIndex]*LeafNode // the leaves that the next commit changed, as they were
}

func newEpoch(context message.GroupContext, s *suite.Suite, size uint32, secrets *schedule.Epoch) *epoch {
	e := &epoch{context: context, encoded: context.Append(nil), senderData: bytes.Clone(secrets.SenderData)}
	e.secrets = secrettree.New(s, size, secrets.Encryption)
	secrets.Encryption = nil // the secret tree consumes it
	return e
}

func (e *epoch) wipe() {
	clear(e.senderData)
	clear(e.resumption)
	e.senderData, e.resumption = nil, nil // zeros would be keys that everybody knows
	e.secrets.Wipe()
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

// leafAt returns the leaf node that was at l in an epoch, the current or a past one.
func (g *Group) leafAt(e *epoch, l LeafIndex) *LeafNode {
	if e == g.epoch {
		return g.tree.Leaf(l)
	}
	for _, p := range slices.Backward(g.past) { // from the oldest on
		if p.context.Epoch < e.context.Epoch {
			continue
		}
		if n, ok := p.replaced[l]; ok {
			return n
		}
	}
	return g.tree.Leaf(l)
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
