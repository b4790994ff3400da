package client

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/conversation"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/mls"
	"github.com/quicproquo/qpq/wire"
)

// How this device gets into a group: by a welcome, or by itself.

// rejoin joins a conversation by this device itself: it is new, or lost its state, or cannot follow.
func (c *Client) rejoin(ctx context.Context, s *session, ch *chat) error {
	for range tries {
		info, err := wire.Call(ctx, s, wire.ChannelInfo{Channel: ch.ID})
		if errors.Is(err, qpq.NotFound) {
			st := &step{}
			c.end(st, ch)
			return c.save(st)
		}
		if err != nil {
			return err
		}
		again, err := c.rejoinAfter(ctx, s, ch, info)
		if err != nil || !again {
			return err
		}
		if err := c.receive(ctx, s); err != nil { // the other commit may have added this device
			return err
		}
		if ch = c.chats[ch.ID]; ch == nil || ch.Standing != Joining && ch.Standing != Healing {
			return nil
		}
	}
	return qpq.E(qpq.Conflict, "busy", "others change this conversation all the time: this device joins it a little later")
}

// rejoinAfter tries it after the newest slot. It reports true where another commit came first.
func (c *Client) rejoinAfter(ctx context.Context, s *session, ch *chat, info wire.ChannelInfoReply) (bool, error) {
	state, hub, err := c.groupState(ctx, s, ch, math.MaxUint64)
	if err != nil {
		return false, c.doubt(ctx, ch, err)
	}
	if err := c.checkHead(ch, info); err != nil {
		return false, err
	}
	self, err := c.self()
	if err != nil {
		return false, err
	}
	known := conversation.Known{Founding: info.Founding, Hub: *hub}
	if len(ch.Conversation) > 0 {
		agreed, err := wire.Unmarshal[wire.Conversation](ch.Conversation)
		if err != nil {
			return false, err
		}
		known.Founding, known.Members = agreed.Founding, agreed.Members
	}
	var g *conversation.Group
	var p *mls.PendingCommit
	var request *wire.ChannelCommit
	err = c.learning(ctx, s, func() (err error) {
		g, p, request, err = conversation.Rejoin(c.conversations(), self, ch.ID, state, info.Head.Slot+1, known)
		return err
	})
	st := &step{}
	switch {
	case errors.Is(err, conversation.ErrUnvouched):
		return false, c.bar(st, ch, g, fmt.Sprintf("the group that the server shows may be another than it should be (%v): nothing is sent before you confirm the members", err))
	case err != nil:
		return false, c.doubt(ctx, ch, err)
	}
	before := ch.Standing
	if err := c.suspect(st, ch, g); err != nil {
		return false, err
	}
	if ch.Standing == Suspect {
		return false, c.bar(st, ch, g, "")
	}
	ch.Standing = before
	return c.submitJoin(ctx, s, ch, &join{g, p, request, info.Head, hub.Members})
}

// bar notes that a person has to decide whether the members of a group are who they should be, before this device joins it.
func (c *Client) bar(st *step, ch *chat, g *conversation.Group, why string) error {
	agreed, err := wire.Marshal(g.Conversation())
	g.Wipe()
	if err != nil {
		return err
	}
	ch.Standing, ch.Conversation = profile.Barred, agreed
	st.touch(ch)
	if why != "" {
		st.notice(ch, c.cfg.Clock(), "suspect", "%s", why)
	}
	return c.save(st)
}

// join is a commit by which this device joins.
type join struct {
	group   *conversation.Group
	commit  *mls.PendingCommit
	request *wire.ChannelCommit
	head    wire.SlotReceipt // that it follows
	listed  []wire.Member    // as the hub says
}

// submitJoin has the hub give a commit that joins its slot. It reports true where another commit came first. Where the answer is lost, the
// commit is kept.
func (c *Client) submitJoin(ctx context.Context, s *session, ch *chat, j *join) (again bool, err error) {
	reply, err := wire.Call(ctx, s, *j.request)
	if lost(err) {
		c.joins[ch.ID] = j
		return false, err
	}
	delete(c.joins, ch.ID)
	if err == nil {
		return false, c.rejoined(ch, j, reply)
	}
	j.group.Wipe()
	if errors.Is(err, qpq.StaleEpoch) {
		return true, nil
	}
	return false, err
}

// finishJoins finds out what became of commits whose answers were lost, before anything that came after them is received.
func (c *Client) finishJoins(ctx context.Context, s *session) error {
	for _, id := range c.channelIDs() {
		j, ch := c.joins[id], c.chats[id]
		if j == nil {
			continue
		}
		if ch.Standing != Joining && ch.Standing != Healing {
			j.group.Wipe()
			delete(c.joins, id)
			continue
		}
		if _, err := c.submitJoin(ctx, s, ch, j); lost(err) {
			return err
		}
	}
	return nil
}

// rejoined notes that this device is in the group.
func (c *Client) rejoined(ch *chat, j *join, reply wire.ChannelCommitReply) error {
	g, p := j.group, j.commit
	if err := checkReceipt(g.Founding(), p.Message, reply.Receipt); err != nil {
		return err
	}
	if j.head.Slot+1 == reply.Receipt.Slot && reply.Receipt.Previous != wire.SlotHash(ch.ID, j.head) {
		return errBadReceipt
	}
	if _, err := g.Apply(p); err != nil {
		return err
	}
	if ch.group != nil {
		ch.group.Wipe()
	}
	st := &step{}
	if err := c.compareMembers(st, ch, g, j.listed); err != nil {
		return err
	}
	if ch.Standing == Healing {
		st.notice(ch, reply.Receipt.Time, "healed", "this device joined the conversation anew: what was said while it could not follow cannot be read on it")
	} else {
		st.notice(ch, reply.Receipt.Time, "joined", "this device joined the conversation: what was said before cannot be read on it")
	}
	own, err := c.cfg.Profile.Account()
	if err != nil {
		return err
	}
	st.confirm(ch.ID, own.User)
	ch.group, ch.Standing, ch.Sequence, ch.answers = g, Active, numbered(reply.Sequence), 0
	ch.Head, ch.Updated, ch.Joined = encodeReceipt(reply.Receipt), c.cfg.Clock(), reply.Receipt.Slot
	id := ch.ID
	st.do(func(tx *profile.Tx) error { return tx.ClearGroup(id) })
	if err := st.group(ch, g.Records()); err != nil {
		return err
	}
	kept := profile.Commit{Slot: reply.Receipt.Slot, Commit: p.Message, Receipt: ch.Head, User: own.User, Device: own.Device.ID()}
	st.do(func(tx *profile.Tx) error { return tx.AddCommit(id, kept) })
	return c.save(st)
}

// doubt decides what it means that a group state cannot be joined: where this device still has the state of an earlier slot, what
// came after counts as void, and it goes on from there.
func (c *Client) doubt(ctx context.Context, ch *chat, why error) error {
	if c.ends(ctx, why) || ch.Standing != Healing {
		return why
	}
	if usable, err := c.restore(ch); err != nil || !usable {
		return errors.Join(why, err)
	}
	st := &step{}
	ch.Standing = Active
	st.touch(ch)
	c.tellVoid(st, ch, c.cfg.Clock(), "a change of the conversation could not be read, and the server has nothing to join it by: it does not count")
	return c.save(st)
}

// groupState reads what the hub keeps for devices that join by themselves, and opens it.
func (c *Client) groupState(ctx context.Context, s *session, ch *chat, slot uint64) (*conversation.State, *wire.ChannelGroupReply, error) {
	reply, err := wire.Call(ctx, s, wire.ChannelGroup{Channel: ch.ID, Slot: slot})
	if err != nil {
		return nil, nil, err
	}
	access := conversation.Access{Slot: ch.AccessSlot, Key: ch.Access}
	if len(access.Key) == 0 || access.Slot != reply.AccessSlot {
		key, _, err := c.vaultKey(ctx)
		if err != nil {
			return nil, nil, err
		}
		defer key.Wipe()
		own, err := c.cfg.Profile.Account()
		if err != nil {
			return nil, nil, err
		}
		if access, err = conversation.OpenAccess(key, own.User, ch.ID, reply.AccessKey); err != nil {
			return nil, nil, err
		}
	}
	var chunks [][]byte
	for len(chunks) < len(reply.Manifest) {
		more, err := wire.Call(ctx, s, wire.ChannelChunks{Channel: ch.ID, Hashes: reply.Manifest[len(chunks):]})
		if err != nil {
			return nil, nil, err
		}
		if len(more.Chunks) == 0 || len(more.Chunks) > len(reply.Manifest)-len(chunks) {
			return nil, nil, qpq.E(qpq.Damaged, "bad-group-state", "the server does not show all of the group that it keeps")
		}
		chunks = append(chunks, more.Chunks...)
	}
	state, err := conversation.OpenState(access, ch.ID, &reply, chunks)
	return state, &reply, err
}

func (c *Client) takeWelcome(ctx context.Context, s *session, st *step, ch *chat, r wire.InboxRow) error {
	own, err := c.cfg.Profile.Account()
	if err != nil || r.Device != own.Device.ID() || r.Receipt == nil {
		return err
	}
	if ch != nil && ch.Standing == Active && ch.Slot >= r.Receipt.Slot {
		return nil // joined by itself meanwhile
	}
	if ch != nil && r.Receipt.Slot <= ch.Welcomed { // used before, perhaps with a key package of last resort: its keys must not be used again
		c.joinLater(st, ch, r.Channel)
		return nil
	}
	kept, err := c.cfg.Profile.KeyPackages()
	if err != nil {
		return err
	}
	var bundles []*mls.KeyPackageBundle
	for _, k := range kept {
		b, err := mls.UnmarshalKeyPackageBundle(c.conversations().MLS(), k.Bundle)
		clear(k.Bundle)
		if err != nil {
			return qpq.Wrap(qpq.Damaged, "profile-damaged", "a key package of this profile is damaged", err)
		}
		defer b.Wipe()
		bundles = append(bundles, b)
	}
	var g *conversation.Group
	var used *mls.KeyPackageBundle
	err = c.learning(ctx, s, func() (err error) {
		g, used, err = conversation.Join(c.conversations(), r.Receipt.Slot, r.Payload, bundles)
		return err
	})
	if err == nil && g.Founding().Channel != r.Channel {
		err = errors.New("it is for another conversation")
	}
	if err == nil && !wire.VerifySlot(g.Founding().HubKey, r.Channel, *r.Receipt) {
		err = errors.New("its receipt is not of the hub")
	}
	if err != nil {
		if lost(err) || errors.Is(err, qpq.Unavailable) {
			return err
		}
		c.joinLater(st, ch, r.Channel) // the key package is gone, or the welcome is bad: the device can join by itself
		return nil
	}
	ch = c.chatFor(ch, r.Channel)
	if err := c.suspect(st, ch, g); err != nil {
		return err
	}
	ch.group, ch.Sequence, ch.Head, ch.Updated, ch.Welcomed = g, numbered(r.ChannelSequence), encodeReceipt(*r.Receipt), c.cfg.Clock(), r.Receipt.Slot
	ch.Joined = r.Receipt.Slot
	st.do(func(tx *profile.Tx) error { return tx.ClearGroup(r.Channel) })
	if err := st.group(ch, g.Records()); err != nil {
		return err
	}
	st.do(func(tx *profile.Tx) error { return tx.UseKeyPackage(used.Ref()) })
	by, adder := "you", own.User
	if r.From != nil && r.From.User != own.User {
		by, adder = r.From.User.String(), r.From.User
	}
	slot, head := r.Receipt.Slot, ch.Head
	st.do(func(tx *profile.Tx) error { return tx.AddReceipt(r.Channel, slot, head, adder) })
	st.notice(ch, r.Time, "joined", "%s added this device to the conversation", by)
	return c.save(st) // at once: the key package is used up
}

// joinLater notes that this device has to join a conversation by itself, unless it is in it.
func (c *Client) joinLater(st *step, ch *chat, id qpq.ChannelID) {
	if ch == nil || ch.Standing == Ended {
		ch = c.chatFor(ch, id)
		ch.Standing = Joining
		st.touch(ch)
	}
}

// suspect notes whether a group has members that are known as removed. Where a group is joined, nothing tells who added them.
func (c *Client) suspect(st *step, ch *chat, g *conversation.Group) error {
	ch.Standing = Active
	removed, err := c.cfg.Profile.Removals(ch.ID)
	if err != nil {
		return err
	}
	own, err := c.cfg.Profile.Account()
	if err != nil {
		return err
	}
	st.confirm(ch.ID, own.User)
	removed = slices.DeleteFunc(removed, func(u qpq.UserID) bool {
		_, member := g.Role(u)
		return !member || u == own.User
	})
	if len(removed) > 0 && !g.Founding().Direct {
		ch.Standing = Suspect
		st.touch(ch)
		st.notice(ch, c.cfg.Clock(), "suspect", "%s had been removed from this conversation and is a member again: nothing is sent before you confirm the members", names(removed))
	}
	return nil
}
