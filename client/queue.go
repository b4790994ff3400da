package client

import (
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/wire"
)

// enqueue has a message wait to be sent. One that can go out at once is encrypted in the same transaction: a disk that takes it need not take it
// twice. While this device is offline nothing is: what waits for long, or is given up, would use up keys.
func (c *Client) enqueue(e *profile.Entry, m *wire.Message) error {
	if !c.live.Load() || !c.chatting.try() {
		return c.cfg.Profile.Change(func(tx *profile.Tx) error { return addQueued(tx, e, m) })
	}
	defer c.chatting.give()
	ch := c.sendable(e)
	used := false
	err := c.cfg.Profile.Change(func(tx *profile.Tx) error {
		if err := addQueued(tx, e, m); err != nil || ch == nil || tx.Dropped() != c.dropped {
			return err
		}
		used = true
		out, err := ch.group.Encrypt(e.Content)
		if err != nil {
			return err
		}
		if err := tx.PutGroup(ch.ID, stored(out.Records)); err != nil {
			return err
		}
		return tx.SetCiphertext(e.Position, ch.Epoch, out.Message)
	})
	switch {
	case err != nil && used:
		c.unload() // it is ahead of what is stored
	case used:
		delete(c.fleeting, ch.ID)
	}
	return err
}

// sendable returns the chat of an entry if a message can be encrypted there as it stands, else nil. The caller holds chatting.
func (c *Client) sendable(e *profile.Entry) *chat {
	ch := c.chats[e.Channel]
	if ch == nil || c.reload.Load() || ch.Standing != Active || ch.group == nil || ch.group.Waiting() || ch.void() {
		return nil
	}
	if e.Timer != timerOf(ch.group.Conversation().Policy) {
		return nil
	}
	return ch
}
