package client

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/conversation"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/mls"
	"github.com/quicproquo/qpq/wire"
)

// What makes that no conversation is ever stuck (docs/protocol.md, section 12.4).

// care does what is due: it joins conversations that this device is not in, or has to join anew, commits what waits, removes
// devices that were revoked, and gives itself fresh keys now and then. The caller holds chatting.
func (c *Client) care(ctx context.Context, s *session) error {
	if c.heads != s {
		if err := c.compareHeads(ctx, s); err != nil {
			return err
		}
		c.heads = s
	}
	for _, id := range c.channelIDs() {
		if err := c.careFor(ctx, s, id); err != nil {
			if lost(err) || errors.Is(err, qpq.Unavailable) || ctx.Err() != nil {
				return err
			}
			c.notice("conversation", fmt.Sprintf("the conversation %s could not be looked after: %v", id, err))
		}
	}
	return nil
}

// channelIDs returns all channels in one order.
func (c *Client) channelIDs() []qpq.ChannelID {
	var ids []qpq.ChannelID
	for id := range c.chats {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b qpq.ChannelID) int { return slices.Compare(a[:], b[:]) })
	return ids
}

func (c *Client) careFor(ctx context.Context, s *session, id qpq.ChannelID) error {
	if err := c.load(); err != nil {
		return err
	}
	ch := c.chats[id]
	switch {
	case ch == nil || ch.Standing == Ended || ch.Standing == Suspect:
		return nil
	case ch.Standing == Joining || ch.Standing == Healing:
		return c.rejoin(ctx, s, ch)
	}
	st := &step{}
	if err := c.open(st, ch); err != nil {
		return err
	}
	if err := c.save(st); err != nil {
		return err
	}
	if ch.group == nil {
		return c.rejoin(ctx, s, ch)
	}
	if p := ch.group.Pending(); p != nil { // of a call that was cut off, and took no slot yet
		return c.resend(ctx, s, ch, p)
	}
	if due := c.cfg.Clock().Sub(ch.Updated) >= c.cfg.KeyUpdate; ch.group.Waiting() || due {
		return c.commit(ctx, s, id, c.dropRevoked(true))
	}
	return c.commit(ctx, s, id, c.dropRevoked(false))
}

// resend offers a commit again that was on its way when something ended.
func (c *Client) resend(ctx context.Context, s *session, ch *chat, p *mls.PendingCommit) error {
	request, err := ch.group.Resend(p)
	if err != nil {
		c.discard(ch, p)
		return nil
	}
	_, err = c.submit(ctx, s, ch, p, request)
	return err
}

// dropRevoked builds the change that removes devices which their accounts revoked; anyway says to commit even if there are none.
func (c *Client) dropRevoked(anyway bool) func(*conversation.Group) (conversation.Change, error) {
	return func(g *conversation.Group) (change conversation.Change, err error) {
		devices, err := g.Devices()
		if err != nil {
			return change, err
		}
		for u, list := range devices {
			state, err := c.known(u)
			if err != nil {
				return change, err
			}
			for _, d := range list {
				if state != nil && state.Revoked(d) {
					change.Drop = append(change.Drop, wire.MemberDevice{User: u, Device: d})
				}
			}
		}
		if len(change.Drop) == 0 && !anyway {
			return change, errNothing
		}
		return change, nil
	}
}

// compareHeads compares how far the hub is with what this device knows, once a connection.
func (c *Client) compareHeads(ctx context.Context, s *session) error {
	reply, err := wire.Call(ctx, s, wire.ChannelsList{})
	if err != nil {
		return err
	}
	st, listed := &step{}, map[qpq.ChannelID]bool{}
	for _, h := range reply.Channels {
		listed[h.Channel] = true
		ch := c.chats[h.Channel]
		if ch == nil || ch.Standing == Ended {
			ch = c.chatFor(ch, h.Channel)
			ch.Standing, ch.Sequence = Joining, h.Sequence
			st.touch(ch)
			continue
		}
		head, known := ch.head()
		switch {
		case known && h.Slot < head.Slot:
			if err := c.offer(ctx, s, ch, h.Slot, true); err != nil {
				return err
			}
		case known && h.Slot > head.Slot && ch.Standing == Active: // the inbox was read before: it did not have what lies between
			ch.Standing = Healing
			st.touch(ch)
		}
	}
	for _, id := range c.channelIDs() {
		ch := c.chats[id]
		if listed[id] || ch.Standing == Ended {
			continue
		}
		if c.restored && ch.Standing == Active {
			if err := c.offer(ctx, s, ch, 0, false); err == nil {
				continue
			} else if lost(err) {
				return err
			}
		}
		c.end(st, ch)
		st.notice(ch, c.cfg.Clock(), "removed", "the server does not know this account as a member any more")
	}
	c.restored = false
	return c.save(st)
}

// offer gives a hub back the commits that it lost: those after a slot, or, where it lost the conversation, all of them.
func (c *Client) offer(ctx context.Context, s *session, ch *chat, after uint64, there bool) error {
	st := &step{}
	if err := c.open(st, ch); err != nil {
		return err
	}
	if err := c.save(st); err != nil || ch.group == nil {
		return err
	}
	kept, err := c.cfg.Profile.Commits(ch.ID, after)
	if err != nil {
		return err
	}
	q := wire.ChannelOffer{Channel: ch.ID}
	if !there {
		q.Founding = ch.Founding
	}
	for _, k := range kept {
		receipt, err := wire.Unmarshal[wire.SlotReceipt](k.Receipt)
		if err != nil {
			return err
		}
		q.Commits = append(q.Commits, wire.OfferedCommit{Commit: k.Commit, Receipt: receipt, From: wire.MemberDevice{User: k.User, Device: k.Device}})
	}
	state, err := ch.group.State()
	if err != nil {
		return err
	}
	q.Group = *state
	if _, err := wire.Call(ctx, s, q); err != nil {
		return err
	}
	return nil
}

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
	}
	return qpq.E(qpq.Conflict, "busy", "others change this conversation all the time: this device joins it a little later")
}

// rejoinAfter tries it after the newest slot. It reports true where another commit came first.
func (c *Client) rejoinAfter(ctx context.Context, s *session, ch *chat, info wire.ChannelInfoReply) (bool, error) {
	state, err := c.groupState(ctx, s, ch, math.MaxUint64)
	if err != nil {
		return false, c.doubt(ch, err)
	}
	self, err := c.self()
	if err != nil {
		return false, err
	}
	var g *conversation.Group
	var p *mls.PendingCommit
	var request *wire.ChannelCommit
	err = c.learning(ctx, s, func() (err error) {
		g, p, request, err = conversation.Rejoin(c.conversations(), self, ch.ID, state, info.Head.Slot+1)
		return err
	})
	if err != nil {
		if lost(err) || errors.Is(err, qpq.Unavailable) {
			return false, err
		}
		return false, c.doubt(ch, err)
	}
	st, before := &step{}, ch.Standing
	if err := c.suspect(st, ch, g); err != nil {
		return false, err
	}
	if ch.Standing == Suspect {
		g.Wipe()
		return false, c.save(st)
	}
	ch.Standing = before
	reply, err := wire.Call(ctx, s, *request)
	if errors.Is(err, qpq.StaleEpoch) {
		g.Wipe()
		return true, nil
	}
	if err != nil {
		g.Wipe()
		return false, err
	}
	return false, c.rejoined(ch, g, p, reply)
}

// rejoined notes that this device is in the group.
func (c *Client) rejoined(ch *chat, g *conversation.Group, p *mls.PendingCommit, reply wire.ChannelCommitReply) error {
	if !wire.VerifySlot(g.Founding().HubKey, ch.ID, reply.Receipt) {
		return qpq.E(qpq.Damaged, "bad-receipt", "the server's receipt for a change of the conversation is not signed by it")
	}
	if _, err := g.Apply(p); err != nil {
		return err
	}
	if ch.group != nil {
		ch.group.Wipe()
	}
	st := &step{}
	if ch.Standing == Healing {
		st.notice(ch, reply.Receipt.Time, "healed", "this device joined the conversation anew: what was said while it could not follow cannot be read on it")
	} else {
		st.notice(ch, reply.Receipt.Time, "joined", "this device joined the conversation: what was said before cannot be read on it")
	}
	ch.group, ch.Standing, ch.Sequence = g, Active, reply.Sequence
	ch.Head, ch.Updated = encodeReceipt(reply.Receipt), c.cfg.Clock()
	id := ch.ID
	st.do(func(tx *profile.Tx) error { return tx.ClearGroup(id) })
	if err := st.group(ch, g.Records()); err != nil {
		return err
	}
	return c.save(st)
}

// doubt decides what it means that a group state cannot be joined: where this device still has the state of an earlier slot, what
// came after counts as void, and it goes on from there.
func (c *Client) doubt(ch *chat, why error) error {
	if lost(why) || errors.Is(why, qpq.Unavailable) || ch.Standing != Healing || ch.group == nil {
		return why
	}
	st := &step{}
	ch.Standing = Active
	st.touch(ch)
	st.notice(ch, c.cfg.Clock(), "void", "a change of the conversation could not be read, and the server has nothing to join it by: it does not count")
	return c.save(st)
}

// groupState reads what the hub keeps for devices that join by themselves, and opens it.
func (c *Client) groupState(ctx context.Context, s *session, ch *chat, slot uint64) (*conversation.State, error) {
	reply, err := wire.Call(ctx, s, wire.ChannelGroup{Channel: ch.ID, Slot: slot})
	if err != nil {
		return nil, err
	}
	access := conversation.Access{Slot: ch.AccessSlot, Key: ch.Access}
	if len(access.Key) == 0 || access.Slot != reply.AccessSlot {
		key, _, err := c.vaultKey(ctx)
		if err != nil {
			return nil, err
		}
		defer key.Wipe()
		own, err := c.cfg.Profile.Account()
		if err != nil {
			return nil, err
		}
		if access, err = conversation.OpenAccess(key, own.User, ch.ID, reply.AccessKey); err != nil {
			return nil, err
		}
	}
	var chunks [][]byte
	for len(chunks) < len(reply.Manifest) {
		more, err := wire.Call(ctx, s, wire.ChannelChunks{Channel: ch.ID, Hashes: reply.Manifest[len(chunks):]})
		if err != nil {
			return nil, err
		}
		if len(more.Chunks) == 0 || len(more.Chunks) > len(reply.Manifest)-len(chunks) {
			return nil, qpq.E(qpq.Damaged, "bad-group-state", "the server does not show all of the group that it keeps")
		}
		chunks = append(chunks, more.Chunks...)
	}
	return conversation.OpenState(access, ch.ID, &reply, chunks)
}

// keyUpdate is how often a device gives itself fresh keys.
const keyUpdate = 7 * 24 * time.Hour
