package mls

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/quicproquo/qpq/mls/internal/codec"
	"github.com/quicproquo/qpq/mls/internal/schedule"
	"github.com/quicproquo/qpq/mls/internal/secrettree"
	"github.com/quicproquo/qpq/mls/internal/suite"
	"github.com/quicproquo/qpq/mls/internal/transition"
	"github.com/quicproquo/qpq/mls/internal/tree"
	"github.com/quicproquo/qpq/mls/message"
)

// Restore puts a group together from its records, by key. Records that were deleted are absent.
func Restore(config Config, records map[string][]byte) (*Group, error) {
	c, err := config.filled()
	if err != nil {
		return nil, err
	}
	r := &restoring{config: c, records: records}
	g, err := r.run()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrState, err)
	}
	return g, nil
}

type restoring struct {
	config  *Config
	records map[string][]byte
	group   *Group

	epochsByKey map[string]*epoch
}

func (r *restoring) run() (*Group, error) {
	for _, step := range []func() error{r.core, r.own, r.epochs, r.ratchets, r.proposals, r.pending} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return r.group, nil
}

func (r *restoring) core() error {
	d := codec.NewDecoder(bytes.Clone(r.records[recordGroup]))
	if v := d.Uint8(); v != stateVersion && d.Err() == nil {
		return fmt.Errorf("format %d, this is for format %d", v, stateVersion)
	}
	state := status(d.Uint8())
	if state > joining {
		return fmt.Errorf("status %d", state)
	}
	context := message.DecodeGroupContext(d)
	if d.Err() != nil {
		return d.Err()
	}
	s, err := r.config.suite(context.CipherSuite)
	if err != nil {
		return err
	}
	g := emptyGroup(r.config, s)
	r.group, g.status = g, state
	size := d.Uint32()
	g.own = LeafIndex(d.Uint32())
	signer := d.Vec()
	g.secrets = schedule.Decode(s, d)
	g.interim, g.tag = d.Vec(), d.Vec()
	keys := decodeKeys(d)
	updates := codec.List(d, (*codec.Decoder).Vec)
	if d.Bool() {
		var ok bool
		if g.reinit, ok = message.DecodeProposal(d).(*message.ReInit); !ok {
			d.Fail("re-initialisation by another proposal")
		}
	}
	if err := d.Done(); err != nil {
		return err
	}
	g.epoch = &epoch{context: context, encoded: context.Append(nil), senderData: bytes.Clone(g.secrets.SenderData)}
	return r.keysAndTree(size, signer, keys, updates)
}

type storedSecret struct {
	number uint64
	secret []byte
}

func decodeKeys(d *codec.Decoder) []storedSecret {
	return codec.List(d, func(d *codec.Decoder) storedSecret { return storedSecret{uint64(d.Uint32()), d.Vec()} })
}

func (r *restoring) keysAndTree(size uint32, signer []byte, keys []storedSecret, updates [][]byte) (err error) {
	g := r.group
	if uint64(size) > tree.ChunkLeaves*uint64(r.count(recordTree)) {
		return fmt.Errorf("records of the ratchet tree are missing")
	}
	g.tree, err = tree.FromChunks(g.suite, size, func(c tree.Chunk) []byte { return r.records[recordTree+c.String()] })
	if err != nil {
		return err
	}
	if !bytes.Equal(g.tree.Hash(), g.epoch.context.TreeHash) {
		return fmt.Errorf("the ratchet tree is not the one of the group")
	}
	if len(signer) > 0 {
		if g.key, err = g.suite.NewSigner(signer); err != nil {
			return err
		}
	}
	if g.keys, err = r.pairs(keys, g.tree.PublicKey); err != nil {
		return err
	}
	for _, private := range updates {
		k, err := g.suite.NewKeyPair(private, nil)
		if err != nil {
			return err
		}
		g.updates[string(k.Public())] = k
	}
	return nil
}

// count returns how many records there are of a kind.
func (r *restoring) count(prefix string) (n int) {
	for key := range r.records {
		if strings.HasPrefix(key, prefix) {
			n++
		}
	}
	return n
}

// own verifies that this client is the member that it takes itself for.
func (r *restoring) own() error {
	g := r.group
	if g.status == joining {
		return nil // it is none yet
	}
	leaf := g.tree.Leaf(g.own)
	switch {
	case leaf == nil || g.key == nil || !bytes.Equal(leaf.SignatureKey, g.key.Public()):
		return fmt.Errorf("leaf %d is not this client's", g.own)
	case g.keys[g.own.Node()] == nil:
		return fmt.Errorf("the private key of leaf %d is missing", g.own)
	case !g.secrets.Complete():
		return fmt.Errorf("secrets of the epoch are missing")
	}
	return nil
}

// pairs restores private keys of nodes.
func (r *restoring) pairs(keys []storedSecret, public func(tree.Node) []byte) (map[tree.Node]*suite.KeyPair, error) {
	out := make(map[tree.Node]*suite.KeyPair, len(keys))
	for _, k := range keys {
		x := tree.Node(k.number)
		if public(x) == nil {
			return nil, fmt.Errorf("private key of the blank node %d", x)
		}
		pair, err := r.group.suite.NewKeyPair(k.secret, public(x))
		if err != nil {
			return nil, fmt.Errorf("private key of node %d: %w", x, err)
		}
		out[x] = pair
	}
	return out, nil
}

func (r *restoring) epochs() error {
	g := r.group
	for key, data := range r.records {
		if !strings.HasPrefix(key, recordPast) {
			continue
		}
		d := codec.NewDecoder(bytes.Clone(data))
		e := &epoch{context: message.DecodeGroupContext(d), senderData: d.Vec(), resumption: d.Vec(), replaced: map[LeafIndex]*LeafNode{}}
		sub := d.Sub()
		for !sub.Empty() {
			l := LeafIndex(sub.Uint32())
			e.replaced[l] = nil
			if sub.Bool() {
				e.replaced[l] = message.DecodeLeafNode(&sub)
			}
		}
		d.FailWith(sub.Err())
		if err := d.Done(); err != nil {
			return err
		}
		e.encoded = e.context.Append(nil)
		g.past = append(g.past, e)
	}
	slices.SortFunc(g.past, func(a, b *epoch) int { // the newest first
		if a.context.Epoch > b.context.Epoch {
			return -1
		}
		return 1
	})
	r.epochsByKey = map[string]*epoch{}
	for i, e := range append([]*epoch{g.epoch}, g.past...) {
		if e.context.Epoch != g.Epoch()-uint64(i) {
			return fmt.Errorf("epoch %d is missing", g.Epoch()-uint64(i))
		}
		number := strconv.FormatUint(e.context.Epoch, 10)
		var err error
		if e.secrets, err = secrettree.Decode(g.suite, r.records[recordSecrets+number]); err != nil {
			return fmt.Errorf("secrets of epoch %s: %w", number, err)
		}
		r.epochsByKey[number] = e
	}
	if g.epoch.secrets.Size() != g.tree.Size() || r.count(recordSecrets) != len(r.epochsByKey) {
		return fmt.Errorf("secrets of messages are those of other epochs")
	}
	return nil
}

func (r *restoring) ratchets() error {
	for key, data := range r.records {
		rest, ok := strings.CutPrefix(key, recordRatchet)
		if !ok {
			continue
		}
		number, leaf, _ := strings.Cut(rest, "/")
		l, err := strconv.ParseUint(leaf, 10, 32)
		if err != nil {
			return fmt.Errorf("record %q: %w", key, err)
		}
		e := r.epochsByKey[number]
		if e == nil {
			return fmt.Errorf("record %q is of no epoch", key)
		}
		if err := e.secrets.DecodeMember(LeafIndex(l), data); err != nil {
			return fmt.Errorf("record %q: %w", key, err)
		}
	}
	for number, e := range r.epochsByKey {
		if !e.secrets.Complete() {
			return fmt.Errorf("message keys of epoch %s are missing", number)
		}
	}
	return nil
}

func (r *restoring) proposals() error {
	for number := range r.count(recordProposal) {
		key := recordProposal + strconv.Itoa(number)
		d := codec.NewDecoder(bytes.Clone(r.records[key]))
		dropped := d.Bool()
		if d.Err() != nil {
			return fmt.Errorf("record %q: %w", key, d.Err())
		}
		a, err := message.UnmarshalAuthenticatedContent(d.Rest())
		if err != nil {
			return fmt.Errorf("record %q: %w", key, err)
		}
		if a.Content.Type != message.ContentProposal {
			return fmt.Errorf("record %q holds no proposal", key)
		}
		p := r.group.addProposal(a)
		if p.number != number {
			return fmt.Errorf("record %q repeats another", key)
		}
		p.dropped = dropped
	}
	return nil
}

func (r *restoring) pending() error {
	g := r.group
	data, ok := r.records[recordPending]
	if !ok && g.status == joining {
		return fmt.Errorf("the commit that joins is missing")
	}
	if !ok {
		return nil
	}
	d := codec.NewDecoder(bytes.Clone(data))
	n := &next{}
	p := &PendingCommit{Message: d.Vec(), Welcome: d.Vec(), group: g, next: n}
	if len(p.Welcome) == 0 {
		p.Welcome = nil
	}
	n.context = message.DecodeGroupContext(d)
	n.result = &transition.Result{Diff: g.tree.DecodeDiff(d), Extensions: n.context.Extensions}
	n.secrets = schedule.Decode(g.suite, d)
	n.interim, n.tag, n.own = d.Vec(), d.Vec(), LeafIndex(d.Uint32())
	signer, keys := d.Vec(), decodeKeys(d)
	decodeChange(d, &p.Change)
	if err := d.Done(); err != nil {
		return fmt.Errorf("pending commit: %w", err)
	}
	p.Epoch = n.context.Epoch
	for _, a := range p.Proposals {
		if reinit, ok := a.Proposal.(*message.ReInit); ok {
			p.ReInit, n.result.ReInit = reinit, reinit
		}
	}
	var err error
	if n.key, err = g.suite.NewSigner(signer); err != nil {
		return err
	}
	if n.keys, err = r.pairs(keys, n.result.Diff.PublicKey); err != nil {
		return err
	}
	g.pending = p
	return g.checkNext(n)
}

// checkNext verifies that a commit that was stored leads on from the current epoch.
func (g *Group) checkNext(n *next) error {
	d, now := n.result.Diff, &g.epoch.context
	leaf := d.Leaf(n.own)
	switch {
	case n.context.Epoch != now.Epoch+1 || n.context.CipherSuite != now.CipherSuite || !bytes.Equal(n.context.GroupID, now.GroupID):
		return fmt.Errorf("pending commit: it is for another epoch")
	case uint64(d.Size()) > 2*(uint64(g.tree.Size())+uint64(len(d.Changed()))):
		return fmt.Errorf("pending commit: tree of %d leaves", d.Size())
	case !bytes.Equal(d.Hash(), n.context.TreeHash):
		return fmt.Errorf("pending commit: its ratchet tree is another")
	case leaf == nil || !bytes.Equal(leaf.SignatureKey, n.key.Public()) || g.status == active && n.own != g.own:
		return fmt.Errorf("pending commit: leaf %d is not this client's", n.own)
	case !n.secrets.Complete() || len(n.secrets.Encryption) != g.suite.HashSize():
		return fmt.Errorf("pending commit: secrets are missing")
	}
	return nil
}

func decodeChange(d *codec.Decoder, c *Change) {
	leaves := func() []Member {
		return codec.List(d, func(d *codec.Decoder) Member {
			return Member{LeafIndex(d.Uint32()), message.DecodeLeafNode(d)}
		})
	}
	sender := func(d *codec.Decoder) Sender { return Sender{Type: message.SenderType(d.Uint8()), Index: d.Uint32()} }
	c.Committer = sender(d)
	c.Added = leaves()
	c.Removed = leaves()
	c.Updated = codec.List(d, func(d *codec.Decoder) UpdatedMember {
		return UpdatedMember{LeafIndex(d.Uint32()), message.DecodeLeafNode(d), message.DecodeLeafNode(d)}
	})
	c.Proposals = codec.List(d, func(d *codec.Decoder) AttributedProposal {
		s := sender(d)
		sub := d.Sub()
		p := message.DecodeProposal(&sub)
		d.FailWith(sub.Done())
		return AttributedProposal{p, s}
	})
}
