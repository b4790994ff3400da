package client

import (
	"cmp"
	"context"
	"errors"
	"math"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/conversation"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/wire"
)

// receive takes all that the inbox holds when it is asked. What came of it is durable before it is acknowledged. The caller holds chatting.
func (c *Client) receive(ctx context.Context, s *session) error {
	if err := s.arrived.settle(ctx); err != nil {
		return err
	}
	if err := c.load(); err != nil {
		return err
	}
	if err := c.finishJoins(ctx, s); err != nil {
		return err
	}
	known, err := c.cfg.Profile.Inbox()
	if err != nil {
		return err
	}
	var at profile.Inbox
	if known != nil {
		at = *known
	}
	head := uint64(0)                  // up to where it is read: what comes meanwhile is told by push, and a server could have more without end
	recounted, rewound := false, false // each once: a server could say so for ever
	for {
		reply, err := wire.Call(ctx, s, wire.InboxFetch{After: at.Processed - unsure(at), Acknowledged: at.Acknowledged})
		if err != nil {
			return err
		}
		if known == nil { // from here on, what was acknowledged and is not known is the work of another copy of this profile
			known = &profile.Inbox{Processed: reply.Acknowledged, Acknowledged: reply.Acknowledged}
			at = *known
			if err := c.cfg.Profile.Change(func(tx *profile.Tx) error { return tx.SetInbox(at) }); err != nil {
				return err
			}
		}
		if !recounted && (reply.Acknowledged < at.Acknowledged || reply.Head < at.Processed || another(at, reply.Rows)) {
			if at, err = c.recount(min(reply.Acknowledged, reply.Head)); err != nil {
				return err
			}
			recounted = true
			continue // this reply begins after rows that are not those of before
		}
		if !rewound && reply.Acknowledged > at.Processed {
			if at, err = c.outdated(ctx, s, reply.Acknowledged); err != nil {
				return err
			}
			rewound = true
			continue
		}
		before := at.Processed
		err = c.takeRows(ctx, s, reply.Rows, &at)
		if errors.Is(err, errOutdated) && !rewound {
			if at, err = c.outdated(ctx, s, reply.Acknowledged); err == nil {
				rewound = true
				continue
			}
		}
		if err == nil {
			err = c.acknowledge(ctx, s, reply, &at)
		}
		head = cmp.Or(head, reply.Head)
		if err != nil || at.Processed == before || at.Processed >= head { // the same rows may come for ever
			return err
		}
	}
}

// unsure is 1 where a server that was restored may have given the number of the row that was read last to another one, as neither head nor acknowledgement would
// tell: that row is looked at once more.
func unsure(at profile.Inbox) uint64 {
	if at.Processed > at.Acknowledged && at.Last != [16]byte{} {
		return 1
	}
	return 0
}

// another reports whether rows begin with another one than that which was read last, under its number.
func another(at profile.Inbox, rows []wire.InboxRow) bool {
	return unsure(at) == 1 && len(rows) > 0 && rows[0].Sequence == at.Processed && rows[0].ID != at.Last
}

// acknowledge tells the server what of a reply needs to be kept for this device no longer.
func (c *Client) acknowledge(ctx context.Context, s *session, reply wire.InboxFetchReply, at *profile.Inbox) error {
	if reply.Lapsed && !s.lapsed {
		s.lapsed = true
		c.notice("lapsed", "this device was away for so long that messages were dropped before it could read them")
		if err := c.missedRows(); err != nil {
			return err
		}
	}
	if reply.Lapsed && len(reply.Rows) == 0 {
		if reply.Head > at.Processed {
			at.Processed, at.Last = reply.Head, [16]byte{} // there is nothing more to wait for
		}
		if err := c.cfg.Profile.Change(func(tx *profile.Tx) error { return tx.SetInbox(*at) }); err != nil {
			return err
		}
	}
	if at.Processed <= at.Acknowledged {
		return nil
	}
	if _, err := wire.Call(ctx, s, wire.InboxAck{Sequence: at.Processed}); err != nil {
		return err
	}
	at.Acknowledged = at.Processed
	return c.cfg.Profile.Change(func(tx *profile.Tx) error { return tx.SetInbox(*at) })
}

// missedRows has all conversations compared with the hub, because rows of the inbox were dropped: which ones, nobody knows any more.
func (c *Client) missedRows() error {
	st := &step{}
	for _, ch := range c.chats {
		if ch.Standing != Ended {
			ch.Gap = true
			st.unsettle(ch)
		}
	}
	return c.save(st)
}

// outdated notes that this profile is an older copy of itself: a newer one read on. Copies that were made and restored between two sessions
// the session counter tells; this tells of those within one.
func (c *Client) outdated(ctx context.Context, s *session, acknowledged uint64) (profile.Inbox, error) {
	c.notice("old-copy", textOldCopy)
	at := profile.Inbox{Processed: acknowledged, Acknowledged: acknowledged}
	if err := c.cfg.Profile.Rewind(s.reply.Counter); err != nil {
		return at, err
	}
	if err := c.cfg.Profile.Change(func(tx *profile.Tx) error { return tx.SetInbox(at) }); err != nil {
		return at, err
	}
	c.unload()
	if err := c.load(); err != nil {
		return at, err
	}
	return at, c.replenish(ctx, s, true)
}

// recount goes back to where a restored server is. What it counts from there on is new.
func (c *Client) recount(acknowledged uint64) (profile.Inbox, error) {
	c.notice("server-restored", "the server was restored from a copy that is older than what this device has seen: messages of the time between may be lost, and it is told what is known here")
	at := profile.Inbox{Processed: acknowledged, Acknowledged: acknowledged}
	st := &step{}
	for _, ch := range c.chats {
		ch.Sequence = uncounted
		st.touch(ch)
		if ch.Standing != Ended { // it may have forgotten who left
			ch.Gap = true
			st.unsettle(ch)
		}
	}
	st.do(func(tx *profile.Tx) error { return tx.SetInbox(at) })
	return at, c.save(st)
}

// takeRows takes rows of the inbox. They become durable together, or, where one needs the network, in parts.
func (c *Client) takeRows(ctx context.Context, s *session, rows []wire.InboxRow, at *profile.Inbox) error {
	st := &step{}
	for _, r := range rows {
		if r.Sequence <= at.Processed {
			continue
		}
		if err := c.takeRow(ctx, s, st, r); err != nil {
			c.unload() // what is in memory is not stored
			return err
		}
		at.Processed, at.Last = r.Sequence, r.ID
	}
	if len(rows) == 0 {
		return nil
	}
	for _, ch := range c.chats {
		c.tellLost(st, ch)
	}
	now := *at
	st.do(func(tx *profile.Tx) error { return tx.SetInbox(now) })
	return c.save(st)
}

func (c *Client) takeRow(ctx context.Context, s *session, st *step, r wire.InboxRow) error {
	ch := c.chats[r.Channel]
	switch r.Kind {
	case wire.InboxKindWelcome:
		return c.takeWelcome(ctx, s, st, ch, r)
	case wire.InboxKindMessage:
		return c.takeMessage(st, ch, r)
	case wire.InboxKindCommit:
		return c.takeCommit(ctx, s, st, ch, r)
	case wire.InboxKindGap:
		if ch != nil {
			ch.Gap = true
			if ch.Sequence == uncounted || ch.Sequence < r.ChannelSequence {
				ch.Sequence = numbered(r.ChannelSequence)
			}
			st.unsettle(ch)
			st.notice(ch, r.Time, "gap", "messages were dropped by the server because too many waited for this account")
		}
	case wire.InboxKindLeft:
		return c.takeFarewell(st, ch, r)
	case wire.InboxKindRemoved:
		return c.takeRemoved(st, ch, r)
	}
	return nil
}

// uncounted is the Sequence of a conversation whose rows a restored server numbers anew, from nobody knows where on.
const uncounted = math.MaxUint64

// numbered is a number that a server gave, as the Sequence of a conversation: no server can say that its rows are uncounted.
func numbered(sequence uint64) uint64 { return min(sequence, uncounted-1) }

// follow notes a row's number in the channel, and tells of numbers that are missing. It reports false for a row from before this device
// was there, or one that it took before.
func (c *Client) follow(st *step, ch *chat, r wire.InboxRow) bool {
	if ch.Sequence != uncounted && r.ChannelSequence <= ch.Sequence {
		return false
	}
	if r.ChannelSequence > 0 {
		c.missed(st, ch, r.ChannelSequence-1, r.Time)
	}
	ch.Sequence = numbered(r.ChannelSequence)
	st.follow(ch)
	return true
}

// missed tells of numbers up to one that no row came for: messages, receipts and changes, nobody can tell which. Who has to join anew is told of all
// that at once, when that is done.
func (c *Client) missed(st *step, ch *chat, upTo uint64, at time.Time) {
	if ch.Sequence == uncounted || upTo <= ch.Sequence || ch.Standing != Active && ch.Standing != Suspect {
		return
	}
	n := int(min(upTo-ch.Sequence, math.MaxInt32))
	st.notice(ch, at, "gap", "the server dropped up to %s that this device had not fetched", counted(n, "message"))
}

func (c *Client) takeMessage(st *step, ch *chat, r wire.InboxRow) error {
	if ch == nil || ch.Standing == Joining || ch.Standing == Ended {
		return nil // from before this device was there, or after
	}
	if !c.follow(st, ch, r) {
		return nil
	}
	if err := c.open(st, ch); err != nil {
		return err
	}
	if len(r.Payload) == 0 && ch.group != nil {
		own, err := c.takeEcho(st, ch, r)
		if err == nil && !own {
			ch.late++
		}
		return err
	}
	if ch.group == nil {
		return c.cannotRead(st, ch, r)
	}
	text, records, err := ch.group.Receive(r.Payload)
	switch {
	case errors.Is(err, conversation.ErrKnown):
		_, err := c.takeEcho(st, ch, r)
		return err
	case errors.Is(err, conversation.ErrUnreadable):
		return c.cannotRead(st, ch, r)
	case err != nil:
		return err
	}
	st.records(ch.ID, records)
	if text == nil {
		return nil // a proposal
	}
	c.keepProbe(ch.ID, r.Payload)
	return c.show(st, ch, r, text)
}

// cannotRead counts a message that cannot be read, unless this device wrote it.
func (c *Client) cannotRead(st *step, ch *chat, r wire.InboxRow) error {
	own, err := c.takeEcho(st, ch, r)
	if err == nil && !own {
		ch.lost++
	}
	return err
}

// errOutdated says that this device sent something of which this profile knows nothing.
var errOutdated = errors.New("this profile is an older copy of itself")

// takeEcho takes the row of a message of this device, which tells where that comes in its conversation. It reports false for one of anybody else, and fails
// with errOutdated where its program knows nothing of the message: what its newer state used must not be used again.
func (c *Client) takeEcho(st *step, ch *chat, r wire.InboxRow) (bool, error) {
	own, err := c.cfg.Profile.Account()
	if err != nil || r.From == nil || r.From.Device != own.Device.ID() {
		return false, err
	}
	e, err := c.cfg.Profile.Message(ch.ID, own.User, r.ID)
	switch {
	case err != nil:
		return false, err
	case e == nil && ch.group != nil:
		return false, errOutdated
	case e == nil:
		return false, nil
	}
	if e.Device == r.From.Device && hasPlace(e.Kind) {
		st.told = true
		st.do(func(tx *profile.Tx) error { return place(tx, e.Position) })
	}
	return true, nil
}

// show adds a message to the history.
func (c *Client) show(st *step, ch *chat, r wire.InboxRow, text *conversation.Text) error {
	m, err := wire.Unmarshal[wire.Message](text.Content)
	if err != nil {
		st.notice(ch, r.Time, "malformed", "%s sent something that cannot be read: its program is faulty", text.From.User)
		return nil
	}
	if state, err := c.known(text.From.User); err != nil {
		return err
	} else if state != nil && state.Revoked(text.From.Device) {
		st.notice(ch, r.Time, "revoked-device", "a message of a device that %s revoked was left out", text.From.User)
		return nil
	}
	switch b := m.Body.(type) {
	case wire.TypingBody:
		return nil // it is of the moment, and that is over
	case wire.ReceiptBody:
		return c.takeReceipt(st, ch, r, text.From.User, b)
	}
	owe, err := c.owes(ch, text.From.User)
	if err != nil {
		return err
	}
	e := profile.Entry{Channel: ch.ID, Time: r.Time, State: Received, Sender: text.From.User, Device: text.From.Device, ID: m.ID, Content: text.Content}
	own, err := c.cfg.Profile.Account()
	if err != nil {
		return err
	}
	lasting(&e, &m, own.User, c.cfg.Clock())
	if kindOf(m.Body) == profile.KindCover {
		e.Content, e.Timer, e.Expires = nil, 0, time.Time{}
	}
	c.ceased(e.Channel, e.Sender)
	st.told = true
	st.do(func(tx *profile.Tx) error {
		err := add(tx, &e, m.Body)
		if err == nil && e.Position != 0 && e.Sender == own.User {
			err = keepNone(tx, e.Position, e.Kind)
		}
		if err != nil || e.Position == 0 || !owe || !e.Kind.Line() && e.Kind != profile.KindCover {
			return err
		}
		return tx.Owe(e.Position, false)
	})
	return nil
}

// tellLost tells of messages that could not be read, in a line for each reason.
func (c *Client) tellLost(st *step, ch *chat) {
	if ch.lost > 0 {
		st.notice(ch, c.cfg.Clock(), "unreadable", "%s cannot be read on this device: it was away for too long, or lost its keys", counted(ch.lost, "message"))
	}
	if ch.late > 0 {
		st.notice(ch, c.cfg.Clock(), "late", "%s had disappeared before this device could fetch it", counted(ch.late, "message"))
	}
	ch.lost, ch.late = 0, 0
}

// chatFor returns a chat for a channel, a new one where there is none.
func (c *Client) chatFor(ch *chat, id qpq.ChannelID) *chat {
	if ch == nil {
		ch = &chat{Channel: profile.Channel{ID: id, Standing: Joining, Updated: c.cfg.Clock()}}
		c.chats[id] = ch
	}
	return ch
}
