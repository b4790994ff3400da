package mls

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"

	"github.com/quicproquo/qpq/mls/internal/codec"
	"github.com/quicproquo/qpq/mls/internal/suite"
	"github.com/quicproquo/qpq/mls/internal/tree"
	"github.com/quicproquo/qpq/mls/message"
)

// Record is one part of a group's state. Keys are unique within the group and made of letters, digits
// and slashes. A nil Value deletes the record. Values hold secrets: neither fmt nor encoding/json writes them, but fmt
// cannot be kept from those in fields that are not exported.
type Record struct {
	Key   string
	Value []byte
}

// Format keeps the secrets out of logs.
func (r Record) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, fmt.Sprintf("[record %s, %d bytes]", r.Key, len(r.Value)))
}

// MarshalJSON fails, so that records are neither logged nor stored by accident.
func (r Record) MarshalJSON() ([]byte, error) {
	return nil, fmt.Errorf("record %s is secret: store its key and value", r.Key)
}

// The keys of records, in full or up to the first slash:
//
//	group                  everything small that changes with each commit
//	tree/<band>/<place>    neighbouring nodes of the ratchet tree
//	epoch/<epoch>          a past epoch, for late messages
//	secrets/<epoch>        what the secret tree of an epoch has left
//	ratchet/<epoch>/<leaf> the message keys of one member, the only records that messages change
//	proposal/<number>      a proposal that a commit may refer to
//	pending                a commit of this client that is not accepted yet
const (
	recordGroup    = "group"
	recordTree     = "tree/"
	recordPast     = "epoch/"
	recordSecrets  = "secrets/"
	recordRatchet  = "ratchet/"
	recordProposal = "proposal/"
	recordPending  = "pending"
)

// stateVersion is the version of the records' format.
const stateVersion = 1

// Records returns the whole state of the group, for Restore.
func (g *Group) Records() []Record {
	list := []Record{g.coreRecord()}
	for _, c := range tree.Chunks(g.tree.Size()) {
		list = append(list, g.chunkRecord(c))
	}
	for _, e := range append([]*epoch{g.epoch}, g.past...) {
		list = append(list, secretsRecord(e))
		for _, l := range e.secrets.Members() {
			list = append(list, ratchetRecord(e, l))
		}
		if e != g.epoch {
			list = append(list, g.pastRecord(e))
		}
	}
	for _, p := range g.proposals {
		list = append(list, p.record())
	}
	if g.pending != nil {
		list = append(list, g.pending.record())
	}
	return list
}

// coreRecord encodes what every commit changes, whatever the size of the group.
func (g *Group) coreRecord() Record {
	b := append(make([]byte, 0, 2048), stateVersion, byte(g.status))
	b = g.epoch.context.Append(b)
	b = codec.AppendUint32(b, g.tree.Size())
	b = codec.AppendUint32(b, uint32(g.own))
	b = codec.AppendVec(b, signerBytes(g.key))
	b = g.secrets.Append(b)
	b = codec.AppendVec(b, g.interim)
	b = codec.AppendVec(b, g.tag)
	b = codec.AppendList(b, slices.Sorted(maps.Keys(g.keys)), func(b []byte, x tree.Node) []byte {
		return codec.AppendVec(codec.AppendUint32(b, uint32(x)), g.keys[x].Bytes())
	})
	b = codec.AppendList(b, slices.Sorted(maps.Keys(g.updates)), func(b []byte, pub string) []byte {
		return codec.AppendVec(b, g.updates[pub].Bytes())
	})
	b = codec.AppendBool(b, g.reinit != nil)
	if g.reinit != nil {
		b = message.AppendProposal(b, g.reinit)
	}
	return Record{recordGroup, b}
}

func signerBytes(k *suite.Signer) []byte {
	if k == nil {
		return nil // joining
	}
	return k.Bytes()
}

// ratchetRecords appends the records of what an epoch's messages changed.
func (g *Group) ratchetRecords(list []Record, e *epoch) []Record {
	nodes, members := e.secrets.Unsaved()
	if nodes {
		list = append(list, secretsRecord(e))
	}
	for _, l := range members {
		list = append(list, ratchetRecord(e, l))
	}
	return list
}

func secretsRecord(e *epoch) Record {
	return Record{recordSecrets + strconv.FormatUint(e.context.Epoch, 10), e.secrets.AppendNodes(nil)}
}

func ratchetKey(e *epoch, l LeafIndex) string {
	return recordRatchet + strconv.FormatUint(e.context.Epoch, 10) + "/" + strconv.FormatUint(uint64(l), 10)
}

func ratchetRecord(e *epoch, l LeafIndex) Record {
	return Record{ratchetKey(e, l), e.secrets.AppendMember(nil, l)}
}

// pastRecord encodes what opens late messages of an epoch, but for the keys.
func (g *Group) pastRecord(e *epoch) Record {
	b := e.context.Append(nil)
	b = codec.AppendVec(b, e.senderData)
	b = codec.AppendVec(b, e.resumption)
	b = codec.AppendList(b, slices.Sorted(maps.Keys(e.replaced)), func(b []byte, l LeafIndex) []byte {
		b = codec.AppendUint32(b, uint32(l))
		n := e.replaced[l]
		b = codec.AppendBool(b, n != nil)
		if n != nil {
			b = n.Append(b)
		}
		return b
	})
	return Record{recordPast + strconv.FormatUint(e.context.Epoch, 10), b}
}

// epochKeys returns the deletion of all records of an epoch.
func (g *Group) epochKeys(e *epoch) []Record {
	number := strconv.FormatUint(e.context.Epoch, 10)
	list := []Record{{Key: recordPast + number}, {Key: recordSecrets + number}}
	for _, l := range e.secrets.Members() {
		list = append(list, Record{Key: ratchetKey(e, l)})
	}
	return list
}

// allKeys returns the deletion of all records.
func (g *Group) allKeys() []Record {
	list := g.Records()
	for i := range list {
		clear(list[i].Value)
		list[i].Value = nil
	}
	return list
}

func (g *Group) chunkRecord(c tree.Chunk) Record {
	return Record{recordTree + c.String(), g.tree.Chunk(c)}
}

// treeRecords returns the parts of the tree that a commit changed.
func (g *Group) treeRecords(changed []tree.Node, oldSize uint32) []Record {
	var list []Record
	written := map[tree.Chunk]bool{}
	write := func(c tree.Chunk) {
		if !written[c] {
			list = append(list, g.chunkRecord(c))
		}
		written[c] = true
	}
	for _, x := range changed {
		write(tree.ChunkOf(x))
	}
	size := g.tree.Size()
	if size == oldSize {
		return list
	}
	for _, c := range tree.Chunks(max(size, oldSize)) { // blank nodes came or went with it
		switch n := c.Len(size); {
		case n == 0:
			list = append(list, Record{Key: recordTree + c.String()})
		case n != c.Len(oldSize):
			write(c)
		}
	}
	return list
}

func (p *cachedProposal) key() string { return recordProposal + strconv.Itoa(p.number) }

func (p *cachedProposal) record() Record {
	return Record{p.key(), append(codec.AppendBool(nil, p.dropped), p.encoded...)}
}

// record encodes a pending commit with everything that applying it takes.
func (p *PendingCommit) record() Record {
	n := p.next
	// The new nodes come to less than the message, which has them with a ciphertext each.
	b := codec.AppendVec(make([]byte, 0, 2*len(p.Message)+len(p.Welcome)+4096), p.Message)
	b = codec.AppendVec(b, p.Welcome)
	b = n.context.Append(b)
	b = n.result.Diff.Append(b)
	b = n.secrets.Append(b)
	b = codec.AppendVec(b, n.interim)
	b = codec.AppendVec(b, n.tag)
	b = codec.AppendUint32(b, uint32(n.own))
	b = codec.AppendVec(b, signerBytes(n.key))
	b = codec.AppendList(b, slices.Sorted(maps.Keys(n.keys)), func(b []byte, x tree.Node) []byte {
		return codec.AppendVec(codec.AppendUint32(b, uint32(x)), n.keys[x].Bytes())
	})
	b = appendChange(b, &p.Change)
	return Record{recordPending, b}
}

func appendChange(b []byte, c *Change) []byte {
	leaves := func(b []byte, list []Member) []byte {
		return codec.AppendList(b, list, func(b []byte, m Member) []byte {
			return m.Leaf.Append(codec.AppendUint32(b, uint32(m.Index)))
		})
	}
	b = codec.AppendUint32(append(b, byte(c.Committer.Type)), c.Committer.Index)
	b = leaves(b, c.Added)
	b = leaves(b, c.Removed)
	b = codec.AppendList(b, c.Updated, func(b []byte, r UpdatedMember) []byte {
		return r.New.Append(r.Old.Append(codec.AppendUint32(b, uint32(r.Index))))
	})
	return codec.AppendList(b, c.Proposals, func(b []byte, a AttributedProposal) []byte {
		b = codec.AppendUint32(append(b, byte(a.Sender.Type)), a.Sender.Index)
		return codec.AppendVec(b, message.AppendProposal(nil, a.Proposal))
	})
}
