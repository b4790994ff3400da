package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"slices"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/wire"
)

// How far the hub is, and what it is given back where it lost something.

// compareHeads compares how far the hub is with what this device knows, at the start of a connection and now and then.
func (c *Client) compareHeads(ctx context.Context, s *session) error {
	reply, err := wire.Call(ctx, s, wire.ChannelsList{})
	if err != nil {
		return err
	}
	heads := map[qpq.ChannelID]wire.ChannelHead{}
	differs := false
	for _, h := range reply.Channels {
		heads[h.Channel] = h
		differs = differs || c.lags(h) || c.waits(h)
	}
	var unlisted []qpq.ChannelID
	for _, id := range c.channelIDs() {
		if _, listed := heads[id]; !listed && c.chats[id].Standing != Ended {
			unlisted = append(unlisted, id)
		}
	}
	if differs || len(unlisted) > 0 { // perhaps because of what came since the inbox was read
		if err := c.receive(ctx, s); err != nil {
			return err
		}
	}
	if err := c.unlisted(ctx, s, unlisted); err != nil {
		return err
	}
	st := &step{}
	for _, h := range reply.Channels {
		if err := c.compareHead(ctx, s, st, h); err != nil {
			return err
		}
	}
	return c.save(st)
}

// lags reports whether the hub has more of a channel than this device has seen.
func (c *Client) lags(h wire.ChannelHead) bool {
	ch := c.chats[h.Channel]
	if ch == nil || ch.Standing == Ended {
		return true
	}
	head, known := ch.head()
	return known && (h.Slot > head.Slot || h.Slot == head.Slot && h.Commit != head.Commit) && ch.Standing == Active
}

// waits reports whether the hub has rows of a channel that this device has not seen.
func (c *Client) waits(h wire.ChannelHead) bool {
	ch := c.chats[h.Channel]
	return ch != nil && ch.Standing != Joining && (ch.Sequence == uncounted || h.Sequence > ch.Sequence)
}

// compareHead acts on how far the hub is with a channel.
func (c *Client) compareHead(ctx context.Context, s *session, st *step, h wire.ChannelHead) error {
	ch := c.chats[h.Channel]
	if out, err := c.outOf(ch, h); err != nil {
		return err
	} else if out {
		return c.stayOut(ctx, s, h.Channel)
	}
	if ch == nil || ch.Standing == Ended {
		ch = c.chatFor(ch, h.Channel)
		ch.Standing, ch.Sequence = Joining, numbered(h.Sequence)
		st.touch(ch)
		return nil
	}
	if c.waits(h) { // the inbox, which was read since the hub said so, did not have them
		c.missed(st, ch, h.Sequence, c.cfg.Clock())
		ch.Sequence = numbered(h.Sequence)
		st.touch(ch)
	}
	head, known := ch.head()
	switch {
	case known && h.Slot < head.Slot:
		err := c.offer(ctx, s, ch, h.Slot, true)
		if err != nil && !c.ends(ctx, err) { // others went on from where the hub was set back to
			ch.Standing = Healing
			st.touch(ch)
			st.notice(ch, c.cfg.Clock(), "server-restored", "the server lost changes of this conversation that this device knows, and others went on without them: this device joins them")
			return nil
		}
		return err
	case c.lags(h): // the inbox did not have what lies between
		ch.Standing = Healing
		st.touch(ch)
	}
	return nil
}

// outOf reports whether this account left a conversation, or was removed, and a hub that was restored from a copy lost that: it takes the account for a
// member again, and is where this device was then, which has a receipt of that very commit. Where others went another way since, or may have, the account may
// have been added again: to join for nothing does less harm than to end that membership.
func (c *Client) outOf(ch *chat, h wire.ChannelHead) (bool, error) {
	if ch == nil || ch.Standing != Ended {
		return false, nil
	}
	own, err := c.cfg.Profile.Account()
	if err != nil {
		return false, err
	}
	removed, err := c.cfg.Profile.Removals(ch.ID)
	if err != nil || !slices.Contains(removed, own.User) {
		return false, err
	}
	head, known := ch.head()
	switch {
	case !known || h.Slot > head.Slot:
		return false, nil
	case h.Slot == head.Slot:
		return h.Commit == head.Commit, nil
	}
	kept, err := c.cfg.Profile.Receipt(ch.ID, h.Slot)
	if err != nil || kept == nil {
		return false, err
	}
	r, err := wire.Unmarshal[wire.SlotReceipt](kept)
	return r.Commit == h.Commit, err
}

// stayOut tells a hub again that this account is no member: else the other devices of the account, and the members, would believe the hub that it is.
func (c *Client) stayOut(ctx context.Context, s *session, id qpq.ChannelID) error {
	_, err := wire.Call(ctx, s, wire.ChannelLeave{Channel: id})
	if err != nil && c.ends(ctx, err) {
		return err
	}
	return nil // what the hub refuses is tried again when it is compared again
}

// astray is asked where a hub refuses what builds on a head, the newest one known here, and receive brought nothing newer: after
// a restore others may have gone another way. This device joins them, or gives the hub back what it lost.
func (c *Client) astray(ctx context.Context, s *session, id qpq.ChannelID, before []byte) error {
	if err := c.load(); err != nil {
		return err
	}
	ch := c.chats[id]
	if ch == nil || ch.Standing != Active || !bytes.Equal(ch.Head, before) {
		return nil
	}
	info, err := wire.Call(ctx, s, wire.ChannelInfo{Channel: id})
	if err != nil {
		return err
	}
	head, known := ch.head()
	switch {
	case known && info.Head.Slot < head.Slot:
		return c.compareHeads(ctx, s)
	case known && info.Head.Slot == head.Slot && info.Head.Commit == head.Commit && ch.Slot == head.Slot:
		return nil
	}
	st := &step{}
	ch.Standing = Healing
	st.touch(ch)
	if err := c.save(st); err != nil {
		return err
	}
	_, err = c.careFor(ctx, s, id)
	return err
}

// unlisted ends conversations that the hub does not list for this account. It may have been restored, perhaps before this device was last
// started: it is offered them first.
func (c *Client) unlisted(ctx context.Context, s *session, ids []qpq.ChannelID) error {
	st := &step{}
	for _, id := range ids {
		ch := c.chats[id]
		if ch == nil || ch.Standing == Ended {
			continue
		}
		if ch.Standing == Active {
			if err := c.offer(ctx, s, ch, 0, false); err == nil {
				continue
			} else if c.ends(ctx, err) {
				return err
			}
		}
		c.end(st, ch)
		st.notice(ch, c.cfg.Clock(), "removed", "the server does not know this account as a member any more")
	}
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
		if q.Founding, q.Creation, err = c.creation(ch.ID); err != nil {
			return err
		}
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
	reply, err := wire.Call(ctx, s, q)
	if head, known := ch.head(); err == nil && there && known && reply.Slot < head.Slot {
		return errIncomplete
	}
	return err
}

var errIncomplete = qpq.E(qpq.Conflict, "incomplete", "this device does not have all that the server lost of the conversation")

// creation returns what proves to a hub that it made a channel. It fails with qpq.NotFound where this device does not have it.
func (c *Client) creation(id qpq.ChannelID) ([]byte, *wire.SlotReceipt, error) {
	k, err := c.cfg.Profile.Creation(id)
	if err != nil {
		return nil, nil, err
	}
	if k == nil {
		return nil, nil, qpq.E(qpq.NotFound, wire.CodeChannelUnknown, "this device cannot prove to the server that there was the conversation")
	}
	r, err := wire.Unmarshal[wire.SlotReceipt](k.Receipt)
	return k.Commit, &r, err
}

// knowCreation asks the hub for its receipt of slot 0, once.
func (c *Client) knowCreation(ctx context.Context, s *session, ch *chat) error {
	if ch.proved {
		return nil
	}
	k, err := c.cfg.Profile.Creation(ch.ID)
	if err != nil {
		return err
	}
	ch.proved = true
	if k != nil {
		return nil
	}
	info, err := wire.Call(ctx, s, wire.ChannelInfo{Channel: ch.ID})
	if err != nil || info.Creation == nil {
		return err
	}
	if info.Creation.Slot != 0 || info.Creation.Commit != sha256.Sum256(ch.Founding) || !wire.VerifySlot(ch.founding.HubKey, ch.ID, *info.Creation) {
		return nil // it proves nothing
	}
	st := &step{}
	st.creation(ch, *info.Creation)
	return c.save(st)
}
