package client

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/conversation"
	"github.com/quicproquo/qpq/wire"
)

// TypingLasts is how long a member is shown as typing after the last word of it.
const TypingLasts = 10 * time.Second

// typists are those who write just now. Nobody stores it.
type typists struct {
	mu    sync.Mutex
	until map[qpq.ChannelID]map[qpq.UserID]time.Time
}

// set notes until when somebody writes; the zero time that it is over. It reports whether that changed who does.
func (t *typists) set(id qpq.ChannelID, u qpq.UserID, until, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	typed := t.until[id][u].After(now)
	if until.IsZero() {
		delete(t.until[id], u)
		return typed
	}
	if t.until == nil {
		t.until = map[qpq.ChannelID]map[qpq.UserID]time.Time{}
	}
	if t.until[id] == nil {
		t.until[id] = map[qpq.UserID]time.Time{}
	}
	t.until[id][u] = until
	return !typed
}

// Typing returns who writes in a conversation just now, by user.
func (c *Client) Typing(id qpq.ChannelID) []qpq.UserID {
	now := c.cfg.Clock()
	c.typists.mu.Lock()
	defer c.typists.mu.Unlock()
	maps.DeleteFunc(c.typists.until[id], func(_ qpq.UserID, until time.Time) bool { return !until.After(now) })
	return slices.SortedFunc(maps.Keys(c.typists.until[id]), func(a, b qpq.UserID) int { return cmp.Compare(a.String(), b.String()) })
}

// ceased notes that somebody does not write any more.
func (c *Client) ceased(id qpq.ChannelID, u qpq.UserID) {
	c.typists.set(id, u, time.Time{}, c.cfg.Clock())
}

// SendTyping tells the others of a conversation that this person began or ceased to write. It is of the moment: whoever is not connected never
// learns of it. To go on, it is said again within TypingLasts. Where receipts are off, nobody is told.
func (c *Client) SendTyping(ctx context.Context, id qpq.ChannelID, active bool) error {
	if on, err := c.Receipts(id); err != nil || !on {
		return err
	}
	m := wire.Message{Sent: c.cfg.Clock(), Body: wire.TypingBody{Active: active}}
	content, err := wire.Marshal(m)
	if err != nil {
		return err
	}
	s, err := c.member(ctx)
	if err != nil {
		return err
	}
	payload, err := c.encryptEphemeral(ctx, id, content)
	if err != nil || payload == nil {
		return err
	}
	_, err = wire.Call(ctx, s, wire.SendEphemeral{Channel: id, Payload: payload})
	return unreachable(s.address, err)
}

// maxFleeting is how often in a row a device sends what nobody stores: half of the messages that receivers of a later one may lack (mls.Config). Who lacks
// more can read nothing of this device any more, until its keys change.
const maxFleeting = 500

// encryptEphemeral encrypts what nobody stores, nil where this device is not in the group, or said too much of that since something that is kept.
func (c *Client) encryptEphemeral(ctx context.Context, id qpq.ChannelID, content []byte) ([]byte, error) {
	if err := c.chatting.take(ctx); err != nil {
		return nil, err
	}
	defer c.chatting.give()
	if err := c.load(); err != nil {
		return nil, err
	}
	ch := c.chats[id]
	if ch == nil || ch.Standing != Active || c.fleeting[id] >= maxFleeting {
		return nil, nil
	}
	st := &step{}
	if err := c.open(st, ch); err != nil || ch.group == nil || ch.group.Waiting() {
		return nil, errors.Join(err, c.save(st))
	}
	out, err := ch.group.Encrypt(content)
	if err != nil {
		return nil, err
	}
	st.records(ch.ID, out.Records)
	if c.fleeting == nil {
		c.fleeting = map[qpq.ChannelID]int{}
	}
	c.fleeting[id]++
	return out.Message, c.save(st)
}

// takeEphemeral takes what nobody stores. What it is not for is left alone: a server could show as fleeting what it has to keep, and its key
// must not be used up then.
func (c *Client) takeEphemeral(ctx context.Context, e wire.EphemeralPush) error {
	if err := c.chatting.take(ctx); err != nil {
		return nil
	}
	defer c.chatting.give()
	if err := c.load(); err != nil {
		return err
	}
	ch := c.chats[e.Channel]
	if ch == nil || ch.Standing != Active {
		return nil
	}
	st := &step{}
	if err := c.open(st, ch); err != nil || ch.group == nil {
		return errors.Join(err, c.save(st))
	}
	text, records, err := ch.group.Receive(e.Payload)
	if errors.Is(err, conversation.ErrKnown) || errors.Is(err, conversation.ErrUnreadable) {
		return nil
	}
	var typing wire.TypingBody
	var m wire.Message
	if err == nil && text != nil {
		if m, err = wire.Unmarshal[wire.Message](text.Content); err == nil {
			var fleeting bool
			if typing, fleeting = m.Body.(wire.TypingBody); !fleeting {
				err = errNotFleeting
			}
		}
	}
	if err != nil || text == nil {
		ch.group.Wipe()
		ch.group = nil // it is read again as it is stored
		return nil
	}
	st.records(ch.ID, records)
	if err := c.save(st); err != nil {
		return err
	}
	return c.types(ch.ID, text.From.User, typing.Active, m.Sent)
}

var errNotFleeting = errors.New("a message that is to be kept came as one that is not")

// types notes that somebody began or ceased to write, at a time by his clock: a server may have kept it back until that was long over.
func (c *Client) types(id qpq.ChannelID, u qpq.UserID, active bool, at time.Time) error {
	own, err := c.cfg.Profile.Account()
	if err != nil || u == own.User {
		return err
	}
	now, until := c.cfg.Clock(), time.Time{}
	if active {
		lasts := min(TypingLasts, at.Add(TypingLasts).Sub(now))
		if lasts <= 0 {
			return nil
		}
		until = now.Add(lasts)
		time.AfterFunc(lasts, c.news.tell)
	}
	if c.typists.set(id, u, until, now) {
		c.news.tell()
	}
	return nil
}
