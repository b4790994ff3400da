package mls

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/quicproquo/qpq/mls/message"
)

// sent notes with which key a private message was sent: never with one that another was sent with.
func (w *modelWorld) sent(c *modelClient, data []byte) *modelMessage {
	m := &modelMessage{data: data, by: c, leaf: c.group.OwnIndex(), epoch: c.group.Epoch()}
	p := good(message.Unmarshal(bytes.Clone(data)))(w).Private
	if p == nil {
		return m
	}
	g := c.group
	key, nonce := g.senderDataKey(g.epoch, p.Ciphertext)
	encoded := good(g.suite.Open(key, nonce, p.AppendSenderDataAAD(nil), p.EncryptedSenderData))(w)
	sender := good(message.UnmarshalSenderData(encoded))(w)
	if sender.Leaf != m.leaf {
		w.Fatalf("%s sends as leaf %d", c.name, sender.Leaf)
	}
	m.generation = sender.Generation
	k := modelKey{m.epoch, m.leaf, p.Type != message.ContentApplication, sender.Generation}
	if other, used := w.keys[k]; used && other != string(data) {
		w.Fatalf("%s used the key %v again", c.name, k)
	}
	w.keys[k] = string(data)
	return m
}

// chat has a client send many texts, so that some are too far ahead for those who miss the first.
func (w *modelWorld) chat(c *modelClient) {
	if w.one(4) {
		for range w.random.IntN(60) {
			w.say(c)
		}
	}
}

// say has a client send a text.
func (w *modelWorld) say(c *modelClient) {
	text := fmt.Appendf(nil, "text %d from %s", len(w.texts), c.name)
	out, err := c.group.Encrypt(text, []byte(c.name))
	if len(c.group.Proposals()) > 0 {
		fails(w.T, err, ErrPendingProposal)
		w.done["texts held back"]++
		return
	}
	saved, alive := w.save(c, good(out, err)(w).Records)
	if !saved {
		return
	}
	epoch := c.group.Epoch()
	generation := c.sent[epoch]
	c.sent[epoch]++
	if !alive && w.one(2) {
		return // it is lost, and its key with it
	}
	m := w.sent(c, out.Message)
	if m.text = text; m.generation != generation {
		w.Fatalf("%s sent generation %d, %d was next", c.name, m.generation, generation)
	}
	w.texts = append(w.texts, m)
	w.done["texts"]++
	w.post(m)
}

// post hands a message to the network.
func (w *modelWorld) post(m *modelMessage) {
	for _, c := range w.clients {
		for !c.gone && !w.one(5) { // so some get it more than once, and some never
			c.inbox = append(c.inbox, m)
			if !w.one(8) {
				break
			}
		}
	}
}

// listen has a client take some of the messages that are on the way to it.
func (w *modelWorld) listen(c *modelClient) {
	for range w.random.IntN(12) {
		w.deliver(c)
	}
}

// deliver hands a client one of the messages that are on the way to it.
func (w *modelWorld) deliver(c *modelClient) {
	if len(c.inbox) == 0 {
		return
	}
	i := w.random.IntN(len(c.inbox))
	m := c.inbox[i]
	c.inbox = slices.Delete(c.inbox, i, i+1)
	if m.text == nil {
		w.hearProposal(c, m)
		return
	}
	then, want := w.expect(c, m)
	r, err := c.group.Process(m.data)
	if !errors.Is(err, want) {
		w.Fatalf("%s in epoch %d, there since %d, takes %q of epoch %d, generation %d, with %v, wanted %v",
			c.name, c.group.Epoch(), c.first, m.text, m.epoch, m.generation, err, want)
	}
	switch {
	case errors.Is(want, ErrWrongEpoch):
		c.inbox = append(c.inbox, m) // until the client has caught up
	case err != nil:
		w.done[want.Error()]++
	case m.by == c:
		if e, ok := r.(*Echo); !ok || e.Commit != nil {
			w.Fatalf("%s takes its own text for %T", c.name, r)
		}
	default:
		a, ok := r.(*ApplicationMessage)
		if !ok || !bytes.Equal(a.Plaintext, m.text) || a.Sender != m.leaf || a.Epoch != m.epoch ||
			string(a.AuthenticatedData) != m.by.name || string(a.SenderLeaf.Credential.Identity) != m.by.name {
			w.Fatalf("%s takes %q for %+v", c.name, m.text, r)
		}
		if saved, _ := w.save(c, a.Records); !saved {
			c.inbox = append(c.inbox, m)
			return
		}
		then()
		w.done["texts opened"]++
	}
}

// expect says what a client should make of a text, and what is to be noted once it has.
func (w *modelWorld) expect(c *modelClient, m *modelMessage) (noted func(), err error) {
	at, past := c.group.Epoch(), w.past
	if past == 0 {
		past = 5
	}
	switch {
	case m.epoch > at:
		return nil, ErrWrongEpoch
	case m.epoch < c.first || int(at-m.epoch) > max(0, past):
		return nil, ErrEpochGone
	case m.by == c:
		return nil, nil
	}
	forward := w.forward
	if forward == 0 {
		forward = 1000
	}
	k := modelKey{epoch: m.epoch, leaf: m.leaf}
	r := c.ratchet[k]
	if r == nil {
		r = &modelReception{}
		c.ratchet[k] = r
	}
	if m.generation < r.next {
		i, found := slices.BinarySearch(r.skipped, m.generation)
		if !found {
			return nil, ErrConsumed
		}
		return func() { r.skipped = slices.Delete(r.skipped, i, i+1) }, nil
	}
	if m.generation-r.next > forward {
		return nil, ErrTooFar
	}
	return func() {
		for ; r.next < m.generation; r.next++ {
			r.skipped = append(r.skipped, r.next)
		}
		r.next++
		r.skipped = r.skipped[max(0, len(r.skipped)-int(forward)):]
	}, nil
}

func (w *modelWorld) hearProposal(c *modelClient, m *modelMessage) {
	r, err := c.group.Process(m.data)
	switch {
	case m.epoch > c.group.Epoch():
		fails(w.T, err, ErrWrongEpoch)
		c.inbox = append(c.inbox, m)
	case m.epoch < c.group.Epoch():
		fails(w.T, err, ErrWrongEpoch)
	case m.by == c:
		if _, ok := r.(*Echo); !ok {
			w.Fatalf("%s takes its own proposal for %T, %v", c.name, r, err)
		}
	case err == nil:
		if saved, _ := w.save(c, r.(*ReceivedProposal).Records); !saved {
			c.inbox = append(c.inbox, m)
		}
	default:
		fails(w.T, err, ErrConsumed)
	}
}

// change returns a proposal of a random kind. by is who makes it.
func (w *modelWorld) change(by *modelClient) Proposal {
	switch w.random.IntN(7) {
	case 0, 1:
		if len(w.members()) < 40 {
			return w.add()
		}
		fallthrough
	case 2, 3:
		var others []LeafIndex
		for m := range by.group.Members() {
			if m.Index != by.group.OwnIndex() {
				others = append(others, m.Index)
			}
		}
		if len(others) > 1 {
			return &message.Remove{Removed: others[w.random.IntN(len(others))]}
		}
		fallthrough
	case 4:
		value := fmt.Appendf(nil, "value %d", w.random.IntN(1000))
		return &message.GroupContextExtensions{Extensions: Extensions{{Type: modelExtension, Data: value}}}
	default:
		return good(by.group.ExternalPSKProposal(fmt.Append(nil, w.random.IntN(100))))(w)
	}
}

// propose has a client send a proposal.
func (w *modelWorld) propose(c *modelClient) {
	out, err := func() (*Outgoing, error) {
		switch w.random.IntN(5) {
		case 0, 1:
			return c.group.ProposeUpdate(nil)
		case 2:
			return c.group.ProposeSelfRemove()
		}
		return c.group.Propose(w.change(c), nil)
	}()
	if saved, _ := w.save(c, good(out, err)(w).Records); !saved {
		return
	}
	m := w.sent(c, out.Message) // after a crash too: c may commit it
	w.proposals[m.epoch] = append(w.proposals[m.epoch], m)
	w.done["proposals"]++
	w.post(m)
}

// prepare has a client make a commit, which it submits later.
func (w *modelWorld) prepare(c *modelClient) {
	o := CommitOptions{WithoutPath: w.one(3), WithoutReceived: w.one(6), AuthenticatedData: []byte(c.name)}
	about := map[LeafIndex]bool{}
	extensions := false
	for range w.random.IntN(4) {
		p := w.change(c)
		switch p := p.(type) {
		case *message.Remove:
			if about[p.Removed] {
				continue
			}
			about[p.Removed] = true
		case *message.GroupContextExtensions:
			if extensions {
				continue
			}
			extensions = true
		}
		o.Proposals = append(o.Proposals, p)
	}
	if w.one(8) {
		i := w.identity(c)
		o.Identity = &i
	}
	if w.one(6) {
		o = w.resumption(c)
	}
	o.GroupInfo.WithoutTree = w.one(2)
	for n := len(c.inbox); n > 0 && !w.one(20); n-- {
		w.deliver(c)
	}
	w.commit(c, o)
	if w.one(2) {
		w.submit(c)
	}
}

// resumption returns a commit of nothing but a pre-shared key of an epoch that all members remember.
func (w *modelWorld) resumption(c *modelClient) CommitOptions {
	at := c.group.Epoch()
	oldest := at - min(at, uint64(max(0, w.past)))
	for _, other := range w.leaves[at] {
		if other != nil {
			oldest = max(oldest, other.first)
		}
	}
	if oldest > at {
		return CommitOptions{} // somebody is not there yet
	}
	p := good(c.group.ResumptionPSKProposal(oldest + w.random.Uint64N(at-oldest+1)))(w)
	return CommitOptions{Proposals: []Proposal{p}, WithoutReceived: true, WithoutPath: w.one(2)}
}

func (w *modelWorld) commit(c *modelClient, o CommitOptions) {
	had := c.group.Pending() != nil
	p, err := c.group.Commit(o)
	if had {
		fails(w.T, err, ErrPendingCommit)
		return
	}
	received := len(c.group.Proposals())
	if o.WithoutReceived {
		received = 0
	}
	if good(p, err)(w); len(p.Proposals)+len(p.Skipped) != len(o.Proposals)+received {
		w.Fatalf("%d proposals of %d received and %d new, %d are skipped", len(p.Proposals), received, len(o.Proposals), len(p.Skipped))
	}
	w.save(c, p.Records)
}

// submit sends a pending commit to the delivery service, which takes the first one of each epoch.
func (w *modelWorld) submit(c *modelClient) {
	p := c.group.Pending()
	if p == nil {
		return
	}
	if c.group.status == active {
		w.sent(c, p.Message)
	}
	if p.Epoch != w.epoch()+1 { // it lost, or won but the client does not know
		w.done["commits late"]++
		w.fetch(c)
		return
	}
	w.accept(c, p)
	if w.one(4) {
		w.crash(c) // it finds out later
		return
	}
	w.apply(c, p)
}

// tells verifies that what a commit says of members is what it does to them.
func (w *modelWorld) tells(c *Change) {
	before, after := w.leaves[c.Epoch-1], slices.Clone(w.leaves[c.Epoch])
	leaves := slices.Clone(before)
	for _, m := range c.Removed {
		if string(m.Leaf.Credential.Identity) != before[m.Index].name {
			w.Fatalf("leaf %d is said to be removed as %q", m.Index, m.Leaf.Credential.Identity)
		}
		leaves[m.Index] = nil
	}
	for _, m := range c.Added {
		leaves = append(leaves, make([]*modelClient, max(0, int(m.Index)+1-len(leaves)))...)
		if leaves[m.Index] != nil || string(m.Leaf.Credential.Identity) != after[m.Index].name {
			w.Fatalf("leaf %d is said to be added as %q", m.Index, m.Leaf.Credential.Identity)
		}
		leaves[m.Index] = after[m.Index]
	}
	for _, r := range c.Updated {
		if leaves[r.Index] == nil || string(r.Old.Credential.Identity) != before[r.Index].name || bytes.Equal(r.Old.EncryptionKey, r.New.EncryptionKey) {
			w.Fatalf("leaf %d is said to be updated", r.Index)
		}
	}
	if !slices.Equal(leaves, after) {
		w.Fatalf("epoch %d is said to begin with the members %v, it begins with %v", c.Epoch, leaves, after)
	}
}

// accept has the delivery service and the model take a commit.
func (w *modelWorld) accept(c *modelClient, p *PendingCommit) {
	without := w.one(2)
	info := good(p.GroupInfo(GroupInfoOptions{ExternalPub: true, WithoutTree: without}))(w)
	w.tree = nil
	tree := good(p.RatchetTree())(w)
	if without {
		w.tree = tree
	}
	w.info = info
	leaves, value := slices.Clone(w.now()), w.values[w.epoch()]
	var added []*modelClient
	for _, a := range p.Proposals {
		w.done[fmt.Sprintf("%T", a.Proposal)]++
		switch p := a.Proposal.(type) {
		case *message.Remove:
			leaves[p.Removed] = nil
		case *message.SelfRemove:
			leaves[a.Sender.Index] = nil
		case *message.GroupContextExtensions:
			value = p.Extensions[0].Data
		case *message.Add:
			added = append(added, w.byKey[string(p.KeyPackage.LeafNode.SignatureKey)])
		}
	}
	if c.group.status == joining {
		leaves = place(leaves, c)
	}
	for _, n := range added {
		leaves = place(leaves, n)
		n.first, n.welcome, n.tree = p.Epoch, p.Welcome, tree
		n.inbox = nil
	}
	w.log = append(w.log, &modelCommit{bytes.Clone(p.Message), c})
	w.leaves, w.values = append(w.leaves, leaves), append(w.values, value)
	w.done["commits"]++
	w.tells(&p.Change)
}

func (w *modelWorld) apply(c *modelClient, p *PendingCommit) {
	if c.group.status == joining {
		c.first = p.Epoch
	}
	list := good(p.Apply())(w)
	if saved, _ := w.save(c, list); saved {
		w.arrive(c)
	}
}

// fetch has a client take the next commit from the delivery service.
func (w *modelWorld) fetch(c *modelClient) {
	at := c.group.Epoch()
	if at >= w.epoch() {
		return
	}
	next := w.log[at]
	if c.group.status == joining && !bytes.Equal(c.group.Pending().Message, next.message) {
		c.disk.apply(c.group.Pending().Discard())
		c.gone = true
		w.done["joins refused"]++
		return
	}
	switch r := w.process(c.group, c.disk, next).(type) {
	case *Echo:
		if next.by != c || r.Commit == nil {
			w.Fatalf("%s takes a commit by %s for its own, %v", c.name, next.by.name, r.Commit)
		}
		w.apply(c, r.Commit)
	case *StagedCommit:
		w.merge(c, r)
	default:
		w.Fatalf("%s takes a commit for %T", c.name, r)
	}
}

// process has a member take the commit that ends its epoch, for which it fetches the proposals that it lacks.
func (w *modelWorld) process(g *Group, disk records, c *modelCommit) Received {
	r, err := g.Process(c.message)
	if errors.Is(err, ErrUnknownProposal) {
		for _, m := range w.proposals[g.Epoch()] {
			r, err := g.Process(m.data)
			if p, ok := r.(*ReceivedProposal); ok {
				disk.apply(p.Records)
			} else if err != nil && !errors.Is(err, ErrConsumed) {
				w.Fatalf("leaf %d gets a proposal again: %v", g.OwnIndex(), err)
			}
		}
		w.done["proposals fetched"]++
		r, err = g.Process(c.message)
	}
	if err != nil {
		w.Fatalf("leaf %d takes the commit of %s that ends epoch %d with: %v", g.OwnIndex(), c.by.name, g.Epoch(), err)
	}
	return r
}

func (w *modelWorld) merge(c *modelClient, s *StagedCommit) {
	w.tells(&s.Change)
	removed := !slices.Contains(w.leaves[s.Epoch], c)
	if removed != s.RemovesMe {
		w.Fatalf("%s is removed in epoch %d: %v, it takes the commit for %v", c.name, s.Epoch, removed, s.RemovesMe)
	}
	if removed {
		w.spies = append(w.spies, &modelSpy{c, good(Restore(c.config, maps.Clone(c.disk)))(w)})
		c.disk.apply(good(s.Merge())(w))
		if c.gone = true; len(c.disk) > 0 || !c.group.Removed() {
			w.Fatalf("%s was removed and kept %d records", c.name, len(c.disk))
		}
		return
	}
	if saved, _ := w.save(c, good(s.Merge())(w)); saved {
		w.arrive(c)
	}
}

// join has a client take a welcome.
func (w *modelWorld) join(c *modelClient) {
	b := good(UnmarshalKeyPackageBundle(c.config, c.bundle))(w)
	j := good(Join(c.config, c.welcome, JoinOptions{KeyPackages: []*KeyPackageBundle{b}, RatchetTree: c.tree}))(w)
	if w.one(10) {
		return // it crashed
	}
	c.group = j.Group
	c.disk.apply(c.group.Records())
	w.arrive(c)
	w.done["joins"]++
	w.readsNothingOlder(c)
}

// readsNothingOlder verifies that a new member opens no text and no commit of before it came.
func (w *modelWorld) readsNothingOlder(c *modelClient) {
	for _, m := range w.texts[max(0, len(w.texts)-5):] {
		if m.epoch < c.first {
			_, err := c.group.Process(m.data)
			fails(w.T, err, ErrEpochGone)
			_, err = c.group.Process(w.relabelled(m.data, c.first))
			fails(w.T, err, ErrDecrypt)
		}
	}
	if c.first > 0 {
		_, err := c.group.Process(w.log[c.first-1].message)
		fails(w.T, err, ErrWrongEpoch)
	}
}

// relabelled returns a private message with another epoch in its header.
func (w *modelWorld) relabelled(data []byte, epoch uint64) []byte {
	m := good(message.Unmarshal(bytes.Clone(data)))(w)
	m.Private.Epoch = epoch
	return m.Marshal()
}

// enter has somebody prepare to join by an external commit: a stranger, or the client once more.
func (w *modelWorld) enter(c *modelClient) {
	if !w.one(6) || len(w.members()) >= 40 {
		return
	}
	o := ExternalOptions{RatchetTree: w.tree, AuthenticatedData: []byte("enter")}
	name := fmt.Sprint("m", len(w.clients))
	if l := slices.Index(w.now(), c); l >= 0 && w.one(2) {
		leaf := LeafIndex(l)
		o.Resync, name = &leaf, c.name
	}
	if w.one(3) {
		o.PSKs = [][]byte{[]byte("7")}
	}
	n := w.client(name, nil)
	g, p := good2(JoinExternal(n.config, w.info, w.identity(n), o))(w)
	n.group, n.first = g, p.Epoch
	n.disk.apply(p.Records)
	w.done["external joins tried"]++
}

func (w *modelWorld) infoOf(c *modelClient) []byte {
	return good(c.group.GroupInfo(GroupInfoOptions{ExternalPub: true}))(w)
}

// discard has a client drop its pending commit.
func (w *modelWorld) discard(c *modelClient) {
	if p := c.group.Pending(); p != nil && p.Epoch > w.epoch() {
		w.save(c, p.Discard())
	}
}

// drop has a client drop the proposals that it knows.
func (w *modelWorld) drop(c *modelClient) {
	if w.one(2) {
		w.save(c, c.group.DropProposals(nil))
	}
}

// disturb hands a client a message with one bit flipped.
func (w *modelWorld) disturb(c *modelClient) {
	var data []byte
	switch at := c.group.Epoch(); {
	case at < w.epoch() && w.one(2):
		data = w.log[at].message
	case len(c.inbox) > 0:
		data = c.inbox[w.random.IntN(len(c.inbox))].data
	default:
		return
	}
	data = bytes.Clone(data)
	data[w.random.IntN(len(data))] ^= 1 << w.random.IntN(8)
	if r, err := c.group.Process(data); err == nil {
		if e, ok := r.(*Echo); !ok || e.Commit != nil { // of one's own, only who sent it is looked at
			w.Fatalf("%s takes a damaged message for %T", c.name, r)
		}
	}
	w.done["damaged messages"]++
}
