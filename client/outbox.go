package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/wire"
)

// outboxPage is how many waiting messages are looked at together.
const outboxPage = 64

// SendText queues a text. It is durable when SendText returns, and goes out by Run or Sync.
func (c *Client) SendText(ctx context.Context, id qpq.ChannelID, text string) (MessageID, error) {
	if err := checkText(text); err != nil {
		return MessageID{}, err
	}
	return c.Send(ctx, id, wire.TextBody{Text: text, Mentions: c.mentioned(id, text)})
}

// checkText fails unless a message can have a text.
func checkText(text string) error {
	if strings.TrimSpace(text) == "" {
		return qpq.E(qpq.Invalid, "empty-message", "the message is empty: write something")
	}
	if strings.Contains(text, "\x00") || !utf8.ValidString(text) {
		return qpq.E(qpq.Invalid, "no-text", "the message has bytes that are no text: send it as a file")
	}
	if len(text) > maxText {
		return qpq.E(qpq.TooLarge, "message-too-large", fmt.Sprintf("the message has %d bytes, and %d are allowed: send it in parts, or as a file", len(text), maxText))
	}
	return nil
}

// maxText is the most bytes that a text has (wire/messages.capnp).
const maxText = 65536

// Wait returns when the hub of a conversation has accepted a message of this account: then it is durable there. It fails with the
// reason where the message was refused for good, and where ctx is done.
func (c *Client) Wait(ctx context.Context, id qpq.ChannelID, message MessageID) error {
	own, err := c.cfg.Profile.Account()
	if err != nil {
		return err
	}
	for {
		news := c.news.next()
		e, err := c.cfg.Profile.Message(id, own.User, message)
		switch {
		case err != nil:
			return err
		case e == nil:
			return qpq.E(qpq.NotFound, "message-unknown", "there is no such message")
		case e.State == Failed && e.Gone != There:
			return qpq.E(qpq.NotFound, "message-gone", "it was not sent: the message is gone")
		case e.State == Failed:
			return qpq.E(qpq.Denied, "not-sent", "the server refused the message: the history says why")
		case e.State != Queued:
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return qpq.Wrap(qpq.Unavailable, "cancelled", "the message is queued, and was not sent yet", ctx.Err())
		}
	}
}

// maxOutbox is how many messages Outbox lists.
const maxOutbox = 10_000

// Outbox returns the messages that wait on this device, in the order in which they were queued. Each conversation sends its own in that order, with the
// changes that were asked for (Amendments) in between; what the group needs first goes before them, and receipts after all.
func (c *Client) Outbox() ([]Entry, error) {
	return c.read(c.cfg.Profile.Waiting(maxOutbox))
}

// ClearOutbox gives up the messages and the changes that wait in a conversation, or, where the id is zero, in all, and returns how many those were. What
// is just being sent is not among them, nor is a change that may have been made already.
func (c *Client) ClearOutbox(ctx context.Context, id qpq.ChannelID) (messages, amendments int, err error) {
	if err := c.chatting.take(ctx); err != nil {
		return 0, 0, err
	}
	defer c.chatting.give()
	list, err := c.cfg.Profile.Waiting(maxOutbox)
	if err != nil {
		return 0, 0, err
	}
	asked, err := c.cfg.Profile.Amendments()
	if err != nil {
		return 0, 0, err
	}
	err = c.cfg.Profile.Change(func(tx *profile.Tx) error {
		for _, a := range asked {
			if !id.IsZero() && a.Channel != id || a.Slot != 0 {
				continue
			}
			amendments++
			if err := tx.DropAmendment(a.ID); err != nil {
				return err
			}
		}
		for _, e := range list {
			if !id.IsZero() && e.Channel != id {
				continue
			}
			messages++
			if err := c.giveUp(tx, &e); err != nil {
				return err
			}
		}
		return nil
	})
	c.news.tell()
	return messages, amendments, err
}

// flush makes the changes that wait and sends what is queued: in each conversation what people see in the order in which they asked for it and said it,
// then the rest. The caller holds chatting.
func (c *Client) flush(ctx context.Context, s *session) error {
	if err := c.dropStale(s); err != nil {
		return err
	}
	o := &order{held: map[qpq.ChannelID]bool{}}
	for again := true; again; {
		var err error
		if o.newest, err = c.cfg.Profile.Newest(); err != nil {
			return err
		}
		if err := c.amendWaiting(ctx, s, o); err != nil {
			return err
		}
		if err := c.flushOnly(ctx, s, false, o); err != nil {
			return err
		}
		again = false
		for id := range o.upTo { // what was said before a change is sent now
			again = again || !o.held[id]
		}
	}
	return c.flushOnly(ctx, s, true, o)
}

// order says what goes out before what.
type order struct {
	held   map[qpq.ChannelID]bool  // conversations that have to wait
	upTo   map[qpq.ChannelID]int64 // conversations with a change that waits: up to which position goes out before it
	newest int64                   // position of the newest entry when it was looked what changes wait: of later messages it is not known what goes before them
}

// later reports whether a message has to wait.
func (o *order) later(m profile.Outgoing) bool {
	last, some := o.upTo[m.Channel]
	return o.held[m.Channel] || m.Kind.Seen() && (m.Position > o.newest || some && m.Position > last)
}

// flushOnly sends those that people see, or the others. The order tells which have to wait, and learns which conversations have to.
func (c *Client) flushOnly(ctx context.Context, s *session, hidden bool, order *order) error {
	for after := int64(0); ; {
		if err := c.load(); err != nil {
			return err
		}
		list, err := c.cfg.Profile.Outbox(hidden, after, outboxPage)
		if err != nil || len(list) == 0 {
			return err
		}
		for _, o := range list {
			after = o.Position
			if order.later(o) {
				continue
			}
			sent, err := c.sendOne(ctx, s, o)
			if err != nil && c.ends(ctx, err) {
				return err
			}
			if err != nil { // it holds up nobody else
				c.notice("conversation", fmt.Sprintf("a message of the conversation %s could not be sent yet: %v", o.Channel, err))
			}
			order.held[o.Channel] = !sent
		}
	}
}

// ends reports whether an error is of the connection, or of this device as a whole, not of one conversation.
func (c *Client) ends(ctx context.Context, err error) bool {
	return lost(err) || ctx.Err() != nil || errors.Is(err, qpq.Unavailable) || errors.Is(err, qpq.RateLimited) || errors.Is(err, profile.ErrNoAccount) || qpq.CodeOf(err) == "profile-damaged"
}

// sendOne sends a message that waits. It reports false where it has to wait longer.
func (c *Client) sendOne(ctx context.Context, s *session, o profile.Outgoing) (bool, error) {
	for range tries {
		ch := c.chats[o.Channel]
		switch {
		case ch != nil && ch.Standing == Ended:
			return true, c.refused(s, o, ch, errNotMember)
		case ch == nil || ch.Standing != Active:
			return false, nil
		}
		err := c.encrypt(ctx, s, ch, &o)
		if errors.Is(err, errJoining) { // what is stored of the group turned out to be lost
			if err := c.heal(ctx, s, &step{}, o.Channel); err != nil {
				return false, err
			}
			continue
		}
		if err != nil {
			return false, err
		}
		request := wire.Send{Channel: o.Channel, ID: o.ID, Payload: o.Ciphertext, Blobs: blobsOf(o)}
		if request.TTLSeconds, err = ttl(ch, o); err != nil {
			return false, err
		}
		reply, err := wire.Call(ctx, s, request)
		switch {
		case err == nil && !wire.VerifyMessage(ch.founding.HubKey, request, reply):
			return false, qpq.E(qpq.Damaged, "bad-receipt", "the server's receipt for a message is not signed by it: the message stays queued")
		case err == nil:
			return true, c.settled(s, o, Accepted, reply)
		case qpq.CodeOf(err) == wire.CodeMessageIDReused: // an earlier try got through, with another ciphertext
			return true, c.settled(s, o, Accepted, wire.SendReply{Time: c.cfg.Clock()})
		case errors.Is(err, qpq.StaleEpoch):
			o.Ciphertext = nil
			head := ch.Head
			if err := c.receive(ctx, s); err != nil {
				return false, err
			}
			if err := c.astray(ctx, s, o.Channel, head); err != nil {
				return false, err
			}
			if err := c.care(ctx, s); err != nil {
				return false, err
			}
		case errors.Is(err, qpq.NotFound), errors.Is(err, qpq.TooLarge), errors.Is(err, qpq.Invalid), errors.Is(err, qpq.Denied):
			return true, c.refused(s, o, ch, err)
		default:
			return false, err
		}
	}
	return false, nil
}

// ttl returns for how many seconds the server keeps a message, 0 for as long as it keeps any. Receipts are of use later too, and stay. A message without
// content goes as one with content would: the server could tell them apart otherwise.
func ttl(ch *chat, o profile.Outgoing) (uint32, error) {
	switch {
	case o.Kind.Seen():
		return uint32(o.Timer / time.Second), nil
	case o.Kind != profile.KindCover || len(ch.Conversation) == 0:
		return 0, nil
	}
	agreed, err := wire.Unmarshal[wire.Conversation](ch.Conversation)
	return agreed.Policy.TimerSeconds, err
}

// encrypt gives a waiting message its ciphertext. It is durable, with the group's state after it, before it can be sent.
func (c *Client) encrypt(ctx context.Context, s *session, ch *chat, o *profile.Outgoing) error {
	if o.Ciphertext != nil && o.Epoch == ch.Epoch {
		return nil
	}
	st := &step{}
	if err := c.open(st, ch); err != nil {
		return err
	}
	if ch.group == nil {
		return errors.Join(errJoining, c.save(st))
	}
	if ch.group.Waiting() || ch.void() { // nobody encrypts to those who left, nor in an epoch that the hub may take nothing for
		if err := c.tidy(ctx, s, ch); err != nil {
			return err
		}
		if ch = c.chats[ch.ID]; ch == nil || ch.group == nil {
			return errJoining
		}
	}
	if err := c.retime(st, ch, o); err != nil {
		return err
	}
	out, err := ch.group.Encrypt(o.Content)
	if err != nil {
		return fmt.Errorf("encrypt a message: %w", err)
	}
	st.records(ch.ID, out.Records)
	position, epoch := o.Position, ch.Epoch
	st.do(func(tx *profile.Tx) error { return tx.SetCiphertext(position, epoch, out.Message) })
	if err := c.save(st); err != nil {
		return err
	}
	o.Epoch, o.Ciphertext = epoch, out.Message
	delete(c.fleeting, ch.ID)
	return nil
}

// retime has a message that waits disappear as the group agrees on now: it may have been written before this device knew.
func (c *Client) retime(st *step, ch *chat, o *profile.Outgoing) error {
	timer := timerOf(ch.group.Conversation().Policy)
	if timer == o.Timer || !o.Kind.Seen() {
		return nil
	}
	m, err := wire.Unmarshal[wire.Message](o.Content)
	if err != nil {
		return err
	}
	m.ExpireSeconds = uint32(timer / time.Second)
	if o.Content, err = wire.Marshal(m); err != nil {
		return err
	}
	o.Timer = timer
	position, content := o.Position, o.Content
	st.do(func(tx *profile.Tx) error { return tx.SetTimer(position, content, timer) })
	return nil
}

// settled notes that a message waits no longer.
func (c *Client) settled(s *session, o profile.Outgoing, state MessageState, reply wire.SendReply) error {
	ch, taken := c.chats[o.Channel], false
	err := c.cfg.Profile.Change(func(tx *profile.Tx) (err error) {
		if taken, err = takeOwn(tx, ch, o.ID, reply); err != nil {
			return err
		}
		err = errors.Join(tx.SetEntry(o.Position, state, reply.Time, c.cfg.Clock()), tx.Dequeue(o.Position), tx.Empty(o.Position))
		if err == nil && taken && hasPlace(o.Kind) { // what others did may have been read since it was queued
			err = place(tx, o.Position)
		}
		if err == nil && state == Accepted {
			err = keepNone(tx, o.Position, o.Kind)
		}
		return err
	})
	switch {
	case err == nil && taken:
		ch.Sequence = reply.Sequence
	case state == Accepted:
		s.arrived.Miss()
	}
	c.news.tell()
	return err
}

// refused notes that a message cannot be sent.
func (c *Client) refused(s *session, o profile.Outgoing, ch *chat, why error) error {
	st := &step{}
	if o.Kind.Seen() {
		st.notice(ch, c.cfg.Clock(), "not-sent", "a message was not sent: %v", why)
	}
	st.do(func(tx *profile.Tx) error { return tx.Undo(o.Position) })
	if err := c.save(st); err != nil {
		return err
	}
	return c.settled(s, o, Failed, wire.SendReply{Time: c.cfg.Clock()})
}
