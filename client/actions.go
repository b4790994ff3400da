package client

import (
	"context"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/wire"
)

// What one message does to another: replies, reactions, edits, deletions.

// maxEmoji is the most bytes that an emoji has (wire/messages.capnp).
const maxEmoji = 64

// Reply queues a text that answers a message, in its thread.
func (c *Client) Reply(ctx context.Context, id qpq.ChannelID, to Ref, text string) (MessageID, error) {
	if err := checkText(text); err != nil {
		return MessageID{}, err
	}
	target, err := c.line(id, to)
	if err != nil {
		return MessageID{}, err
	}
	body := wire.ReplyBody{Target: to.wire(), Root: new(to.wire()), Text: text, Mentions: c.mentioned(id, text)}
	if root := target.Message.Root; root != nil {
		body.Root = new(root.wire())
	}
	return c.Send(ctx, id, body)
}

// React queues a reaction to a message: an emoji is put on it, or, where remove is true, taken off.
func (c *Client) React(ctx context.Context, id qpq.ChannelID, to Ref, emoji string, remove bool) (MessageID, error) {
	if !reaction(emoji) {
		return MessageID{}, qpq.E(qpq.Invalid, "bad-emoji", fmt.Sprintf("%q is no reaction: write one emoji, or a short word", emoji))
	}
	if _, err := c.line(id, to); err != nil {
		return MessageID{}, err
	}
	return c.Send(ctx, id, wire.ReactionBody{Target: to.wire(), Emoji: emoji, Remove: remove})
}

// reaction reports whether something can be put on a message: one word that can be shown, in which emoji may be joined to one, as families are.
func reaction(text string) bool {
	shown := strings.ReplaceAll(text, "\u200d", "")
	return shown != "" && len(text) <= maxEmoji && !strings.ContainsFunc(text, unicode.IsSpace) && qpq.Printable(shown) == shown
}

// EditMessage queues a new text for a message of this account. What it said before stays on the devices that had it, marked as edited.
func (c *Client) EditMessage(ctx context.Context, id qpq.ChannelID, message Ref, text string) (MessageID, error) {
	if err := checkText(text); err != nil {
		return MessageID{}, err
	}
	e, err := c.ownLine(id, message, "edited")
	if err != nil {
		return MessageID{}, err
	}
	if !editable(e.Message.Kind) {
		return MessageID{}, qpq.E(qpq.Invalid, "no-text", fmt.Sprintf("the message %s has no text that could be edited", message.ID.Short()))
	}
	return c.Send(ctx, id, wire.EditBody{Target: message.wire(), Text: text, Mentions: c.mentioned(id, text)})
}

// DeleteMessage queues that a message of this account is forgotten by all devices. On this one it is at once. Where the client is connected the server
// forgets its file at once too, and else in its time.
func (c *Client) DeleteMessage(ctx context.Context, id qpq.ChannelID, message Ref) (MessageID, error) {
	e, err := c.ownLine(id, message, "deleted")
	if qpq.CodeOf(err) == "message-gone" {
		e, err = c.sentOnce(message, err)
	}
	if err != nil {
		return MessageID{}, err
	}
	sent, err := c.Send(ctx, id, wire.DeleteBody{Target: message.wire()})
	if b, _ := fileOf(e.Message.Body.Body); err == nil && b != nil {
		c.dropNow(ctx, id, b)
	}
	return sent, err
}

// Edits returns what a message said, the oldest first; the last one is in force. Of one that was never edited that is one text.
func (c *Client) Edits(message Ref) ([]Entry, error) {
	e, err := c.cfg.Profile.At([]int64{message.Position})
	if err != nil {
		return nil, err
	}
	original, ok := e[message.Position]
	if !ok {
		return nil, qpq.E(qpq.NotFound, "message-unknown", "there is no such message")
	}
	edits, err := c.cfg.Profile.Edits(message.Position)
	if err != nil {
		return nil, err
	}
	original.Edit = 0 // as it was
	return c.read(append([]profile.Entry{original}, edits...), nil)
}

func (r Ref) wire() wire.MessageRef { return wire.MessageRef{Sender: r.Sender, ID: r.ID} }

// line returns the line of a history that a person refers to, which is there still.
func (c *Client) line(id qpq.ChannelID, r Ref) (*Entry, error) {
	e, err := c.At(r.Position)
	switch {
	case err != nil:
		return nil, err
	case e == nil || e.Channel != id || e.Message == nil || !e.Message.Kind.Line():
		return nil, qpq.E(qpq.NotFound, "message-unknown", "there is no such message in this conversation on this device")
	case e.Message.Gone != There:
		return nil, qpq.E(qpq.NotFound, "message-gone", fmt.Sprintf("the message %s is gone", r.ID.Short()))
	}
	return e, nil
}

func (c *Client) ownLine(id qpq.ChannelID, r Ref, what string) (*Entry, error) {
	e, err := c.line(id, r)
	if err == nil && !e.Message.Own {
		err = qpq.E(qpq.Denied, "not-own", fmt.Sprintf("the message %s is of %s, and can be %s by nobody else", r.ID.Short(), r.Sender, what))
	}
	return e, err
}

func editable(k Kind) bool { return k == KindText || k == KindReply || k == KindFile }

// Send queues a message of whatever kind. It is durable when Send returns, and goes out by Run or Sync, in the order of calls.
func (c *Client) Send(_ context.Context, id qpq.ChannelID, body wire.MessageBody) (MessageID, error) {
	e, m, err := c.compose(id, body)
	if err != nil {
		return MessageID{}, err
	}
	if err := c.enqueue(e, m); err != nil {
		return MessageID{}, err
	}
	c.news.tell()
	c.kick()
	return m.ID, nil
}

// compose returns a message of this device as of now, and its entry, if it can be sent to a conversation.
func (c *Client) compose(id qpq.ChannelID, body wire.MessageBody) (*profile.Entry, *wire.Message, error) {
	own, ch, err := c.maySend(id)
	if err != nil {
		return nil, nil, err
	}
	m := &wire.Message{Sent: c.cfg.Clock(), Body: body}
	if len(ch.Conversation) > 0 {
		agreed, err := wire.Unmarshal[wire.Conversation](ch.Conversation)
		if err != nil {
			return nil, nil, err
		}
		m.ExpireSeconds = agreed.Policy.TimerSeconds
	}
	e := &profile.Entry{Channel: id, Time: m.Sent, State: Queued, Sender: own.User, Device: own.Device.ID()}
	lasting(e, m, own.User, m.Sent)
	return e, m, nil
}

// maySend returns the own account and a conversation that something can be sent to.
func (c *Client) maySend(id qpq.ChannelID) (*profile.Account, *profile.Channel, error) {
	own, err := c.cfg.Profile.Account()
	if err != nil {
		return nil, nil, err
	}
	ch, err := c.cfg.Profile.Channel(id)
	switch {
	case err != nil:
		return nil, nil, err
	case ch == nil:
		return nil, nil, qpq.E(qpq.NotFound, wire.CodeChannelUnknown, fmt.Sprintf("there is no conversation %s here", id))
	}
	if err := standing(&chat{Channel: *ch}); err != nil {
		return nil, nil, err
	}
	return own, ch, c.peerGone(ch)
}

// addQueued gives a message of this device an id, and has it wait to be sent.
func addQueued(tx *profile.Tx, e *profile.Entry, m *wire.Message) error {
	if _, err := io.ReadFull(random, m.ID[:]); err != nil {
		return err
	}
	content, err := wire.Marshal(*m)
	if err != nil {
		return err
	}
	e.ID, e.Content = m.ID, content
	if err := add(tx, e, m.Body); err != nil {
		return err
	}
	if e.Position == 0 {
		return qpq.E(qpq.NotFound, "message-gone", "the message that this is about is gone")
	}
	return tx.Enqueue(e.Position)
}

// add adds a message to the history, and has it take effect on others. Where there is nothing that it could be about, or its sender may not do
// that, it is left out: then its position stays 0.
func add(tx *profile.Tx, e *profile.Entry, body wire.MessageBody) error {
	e.Kind = kindOf(body)
	target, err := find(tx, e.Channel, targetOf(body))
	if err != nil {
		return err
	}
	switch b := body.(type) {
	case wire.ReplyBody:
		if err := thread(tx, e, target, b.Root); err != nil {
			return err
		}
	case wire.ReactionBody, wire.EditBody, wire.DeleteBody:
		if target == nil || target.Gone != profile.There && !(e.Kind == KindDelete && target.Gone == profile.Viewed) {
			return nil
		}
		if e.Kind != KindReaction && target.Sender != e.Sender {
			return trespass(tx, e, target)
		}
		if e.Kind == KindEdit && !editable(target.Kind) {
			return nil
		}
		e.Target = target.Position
	}
	if e.Position, err = tx.AddEntry(*e); err != nil || e.Position == 0 {
		return err
	}
	switch b := body.(type) {
	case wire.ReactionBody:
		return tx.React(*e, b.Emoji, b.Remove)
	case wire.EditBody:
		return tx.SetEdit(e.Target, e.Position)
	case wire.DeleteBody:
		return tx.Wipe(e.Target, profile.Deleted)
	}
	return nil
}

// place has the edit or the reaction at a position, of this device, take effect where it turns out to come in its conversation: after all that is known
// here, of which some came when it had taken effect already, and all devices have to agree on what was last. That is so once, or a server that hands the
// row out again would have it take effect over what was said since. What this device did after it to the same message comes after it everywhere, and stays.
func place(tx *profile.Tx, position int64) error {
	first, err := tx.Place(position)
	if err != nil || !first {
		return err
	}
	e, err := tx.EntryAt(position)
	if err != nil || e == nil || e.Gone != profile.There {
		return err
	}
	target, err := tx.EntryAt(e.Target)
	if err != nil || target == nil || target.Gone != profile.There {
		return err
	}
	later, err := tx.Since(*e)
	if err != nil {
		return err
	}
	m, err := wire.Unmarshal[wire.Message](e.Content)
	if err != nil {
		return err
	}
	switch b := m.Body.(type) {
	case wire.EditBody:
		if len(later) == 0 {
			return tx.SetEdit(e.Target, position)
		}
	case wire.ReactionBody:
		for _, l := range later {
			if since, err := wire.Unmarshal[wire.Message](l.Content); err != nil {
				return err
			} else if r, ok := since.Body.(wire.ReactionBody); ok && r.Emoji == b.Emoji {
				return nil
			}
		}
		return tx.React(*e, b.Emoji, b.Remove)
	}
	return nil
}

// hasPlace reports whether what entries of a kind do depends on what comes before them.
func hasPlace(k Kind) bool { return k == KindReaction || k == KindEdit }

// thread notes what a reply answers, and where its thread began: at what this device knows of, whatever the sender says.
func thread(tx *profile.Tx, e, target *profile.Entry, root *wire.MessageRef) error {
	if target != nil {
		e.Target, e.Root = target.Position, target.Position
		if target.Root != 0 {
			e.Root = target.Root
		}
		return nil
	}
	began, err := find(tx, e.Channel, root)
	if began != nil {
		e.Root = began.Position
	}
	return err
}

// find returns the line of a history that a message refers to, nil where it is not known here.
func find(tx *profile.Tx, id qpq.ChannelID, r *wire.MessageRef) (*profile.Entry, error) {
	if r == nil {
		return nil, nil
	}
	e, err := tx.Entry(id, r.Sender, r.ID)
	if err != nil || e == nil || !e.Kind.Line() {
		return nil, err
	}
	return e, nil
}

// targetOf returns which message another one is about, nil for none.
func targetOf(body wire.MessageBody) *wire.MessageRef {
	switch b := body.(type) {
	case wire.ReplyBody:
		return &b.Target
	case wire.ReactionBody:
		return &b.Target
	case wire.EditBody:
		return &b.Target
	case wire.DeleteBody:
		return &b.Target
	}
	return nil
}

// How many trespasses are told of among the newest entries of a conversation: somebody could fill it with them.
const (
	maxTrespasses = 8
	amongEntries  = 256
)

// trespass tells of somebody who would change what another one said.
func trespass(tx *profile.Tx, e, target *profile.Entry) error {
	const code = "not-own"
	told, err := tx.Noticed(e.Channel, code, amongEntries)
	if err != nil || told >= maxTrespasses {
		return err
	}
	what := "edit"
	if e.Kind == KindDelete {
		what = "delete"
	}
	text := fmt.Sprintf("%s tried to %s the message %s of %s: that was ignored", e.Sender, what, MessageID(target.ID).Short(), target.Sender)
	if told == maxTrespasses-1 {
		text += "; of further ones nothing is said for a while"
	}
	_, err = tx.AddEntry(profile.Entry{Channel: e.Channel, Time: e.Time, State: profile.Noticed, Code: code, Content: []byte(text)})
	return err
}
