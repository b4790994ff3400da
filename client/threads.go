package client

import (
	"cmp"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/profile"
)

// Thread is what answers a message, and what answers that.
type Thread struct {
	Root    Entry // the message that it began with
	Replies int
	Unread  int       // replies of others that were not read
	Last    time.Time // of the newest reply
}

// Threads returns up to limit threads of a conversation, those with the newest replies first.
func (c *Client) Threads(id qpq.ChannelID, limit int) ([]Thread, error) {
	stored, err := c.cfg.Profile.Threads(id, limit)
	if err != nil {
		return nil, err
	}
	positions := make([]int64, len(stored))
	for i, t := range stored {
		positions[i] = t.Root
	}
	at, err := c.at(positions)
	if err != nil {
		return nil, err
	}
	list := make([]Thread, 0, len(stored))
	for _, t := range stored {
		if root, ok := at[t.Root]; ok {
			list = append(list, Thread{root, t.Replies, t.Unread, t.Newest})
		}
	}
	return list, nil
}

// ThreadOf returns the first message of the thread of a message: that itself where it answers none.
func (c *Client) ThreadOf(e *Entry) Ref {
	if e.Message.Root != nil {
		return *e.Message.Root
	}
	return e.Ref()
}

// Replies returns up to limit messages of a thread before a position, the newest last, without the one that it began with. A position of 0
// stands for the end.
func (c *Client) Replies(root Ref, before int64, limit int) ([]Entry, error) {
	if err := c.expire(); err != nil {
		return nil, err
	}
	return c.read(c.cfg.Profile.Replies(root.Position, cmp.Or(before, 1<<62), limit))
}

// MarkThreadRead notes that a thread was read up to a reply, whatever else there is in its conversation. Senders are told as by MarkRead.
func (c *Client) MarkThreadRead(id qpq.ChannelID, root Ref, position int64) error {
	owe, err := c.Receipts(id)
	if err != nil {
		return err
	}
	now := c.cfg.Clock()
	if err := c.cfg.Profile.Change(func(tx *profile.Tx) error { return tx.SetThreadRead(root.Position, position, owe, now) }); err != nil {
		return err
	}
	c.news.tell()
	if owe {
		c.owing.CompareAndSwap(0, now.UnixMilli())
		c.kick()
	}
	return nil
}
