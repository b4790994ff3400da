package mls

import (
	"bytes"
	"maps"

	"github.com/quicproquo/qpq/mls/internal/schedule"
	"github.com/quicproquo/qpq/mls/internal/suite"
	"github.com/quicproquo/qpq/mls/internal/transition"
	"github.com/quicproquo/qpq/mls/internal/tree"
	"github.com/quicproquo/qpq/mls/message"
)

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

// start computes the secrets of the epoch, from those that the commit a carries. It returns the joiner secret, for the caller to wipe.
func (n *next) start(s *suite.Suite, interim []byte, a *message.AuthenticatedContent, initSecret, commitSecret []byte, psks []schedule.PSK) (joiner []byte) {
	n.context.ConfirmedTranscriptHash = schedule.ConfirmedTranscriptHash(s, interim, a)
	encoded := n.context.Append(nil)
	joiner = schedule.Joiner(s, initSecret, commitSecret, encoded)
	psk := schedule.PSKSecret(s, psks)
	n.secrets = schedule.New(s, joiner, psk, encoded)
	clear(psk)
	return joiner
}

func (n *next) marshalTree() []byte { return n.result.Diff.Marshal() }

func (n *next) wipe() {
	if n.secrets != nil {
		n.secrets.Wipe()
	}
	for _, k := range n.keys {
		k.Wipe()
	}
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

// leave ends this client's part in the group. Messages of the past can no longer be opened.
func (g *Group) leave() []Record {
	records := g.allKeys()
	g.Wipe()
	return records
}
