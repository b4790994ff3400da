package client

import (
	"context"
	"slices"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/wire"
)

// Receipts that members send one another: that a message is on a device, and that it was read. They are messages as any other, but that nobody
// sees them, and that none is sent for them.

// maxReceipted is how many accounts a conversation has at most in which receipts are sent unless the person chose.
const maxReceipted = 32

// maxReceipt is how many messages a receipt confirms (wire/messages.capnp).
const maxReceipt = 256

// receiptDelay is how long receipts wait for others to go with them.
const receiptDelay = time.Second

// receiptLife is how long a receipt waits on this device: then nobody needs it any more.
const receiptLife = 7 * 24 * time.Hour

// Receipts reports whether this account tells the others of a conversation what it had and read: as SetReceipts chose, and otherwise in all
// conversations of up to 32 accounts.
func (c *Client) Receipts(id qpq.ChannelID) (bool, error) {
	v, err := c.Conversation(id)
	if err != nil {
		return false, err
	}
	return c.receipted(id, len(v.Members))
}

// SetReceipts chooses whether this device sends receipts in a conversation.
func (c *Client) SetReceipts(id qpq.ChannelID, on bool) error {
	value := "off"
	if on {
		value = "on"
	}
	err := c.cfg.Profile.Change(func(tx *profile.Tx) error { return tx.SetSetting(id, settingReceipts, value) })
	c.receipting.Delete(id)
	return err
}

func (c *Client) receipted(id qpq.ChannelID, members int) (bool, error) {
	chosen, ok := c.receipting.Load(id)
	if !ok {
		value, err := c.cfg.Profile.Setting(id, settingReceipts)
		if err != nil {
			return false, err
		}
		if value == "" {
			if value, err = c.cfg.Profile.Setting(qpq.ChannelID{}, settingReceipts); err != nil {
				return false, err
			}
		}
		c.receipting.Store(id, value)
		chosen = value
	}
	return chosen == "on" || chosen == "" && members <= maxReceipted, nil
}

// owes reports whether the sender of a message that comes is told that it is here.
func (c *Client) owes(ch *chat, sender qpq.UserID) (bool, error) {
	own, err := c.cfg.Profile.Account()
	if err != nil || own.User == sender || ch.group == nil {
		return false, err
	}
	owe, err := c.receipted(ch.ID, len(ch.group.Conversation().Members))
	if owe {
		c.owing.CompareAndSwap(0, c.cfg.Clock().UnixMilli())
	}
	return owe, err
}

// takeReceipt notes what another device had or read: of another account, what this one wrote; of this account, what others wrote.
func (c *Client) takeReceipt(st *step, ch *chat, r wire.InboxRow, from qpq.UserID, b wire.ReceiptBody) error {
	own, err := c.cfg.Profile.Account()
	if err != nil {
		return err
	}
	read := b.Kind == wire.ReceiptKindRead
	if !read && b.Kind != wire.ReceiptKindDelivered {
		return nil
	}
	confirmed := profile.Receipt{User: from, Delivered: r.Time}
	if read {
		confirmed.Read = r.Time
	}
	id, now := ch.ID, c.cfg.Clock()
	st.told = true
	st.do(func(tx *profile.Tx) error {
		for _, ref := range b.Messages {
			e, err := find(tx, id, &ref)
			switch {
			case err != nil:
				return err
			case e == nil:
			case from != own.User && e.Sender == own.User:
				err = tx.Confirm(e.Position, confirmed)
			case from == own.User && e.Sender != own.User:
				err = tx.Settle(e.Position, read)
				if err == nil && read {
					err = readElsewhere(tx, e, now)
				}
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return nil
}

// readElsewhere notes that another device of this account read a message. Of a reply only its thread was read up to there: that can be read alone, and what
// nobody saw of the conversation must neither count as read, nor begin to disappear.
func readElsewhere(tx *profile.Tx, e *profile.Entry, now time.Time) error {
	if e.Root != 0 {
		return tx.SetThreadRead(e.Root, e.Position, false, now)
	}
	return tx.SetSeen(e.Channel, e.Position, false, now)
}

// sendReceipts sends the receipts that are due: at once, or once they waited for others to go with them. The caller holds chatting.
func (c *Client) sendReceipts(ctx context.Context, s *session, now bool) error {
	if !now && c.confirmed == s && c.receiptsIn() != 0 {
		return nil
	}
	c.owing.Store(0) // before looking: who owes from here on is not missed
	for {
		owed, err := c.cfg.Profile.Owed(4 * maxReceipt)
		if err != nil {
			return err
		}
		if len(owed) == 0 {
			break
		}
		if err := c.receipt(owed); err != nil {
			return err
		}
		if err := c.flush(ctx, s); err != nil {
			return err
		}
	}
	c.confirmed = s
	return nil
}

// dropStale drops receipts that wait for too long, on each connection before any is sent.
func (c *Client) dropStale(s *session) error {
	if c.confirmed == s {
		return nil
	}
	stale := c.cfg.Clock().Add(-receiptLife)
	return c.cfg.Profile.Change(func(tx *profile.Tx) error { return tx.DropStale(stale) })
}

// receiptsIn returns how long until receipts are to be sent: 0 where that is now, and less where there is nothing to send.
func (c *Client) receiptsIn() time.Duration {
	since := c.owing.Load()
	if since == 0 {
		return -1
	}
	return max(receiptDelay-c.cfg.Clock().Sub(time.UnixMilli(since)), 0)
}

// receipt queues receipts for messages, those of one conversation and kind together.
func (c *Client) receipt(owed []profile.Owed) error {
	own, err := c.cfg.Profile.Account()
	if err != nil {
		return err
	}
	type group struct {
		channel qpq.ChannelID
		read    bool
	}
	groups := map[group][]profile.Owed{}
	var order []group
	for _, o := range owed {
		g := group{o.Channel, o.Read}
		if groups[g] == nil {
			order = append(order, g)
		}
		groups[g] = append(groups[g], o)
	}
	return c.cfg.Profile.Change(func(tx *profile.Tx) error {
		for _, g := range order {
			for part := range slices.Chunk(groups[g], maxReceipt) {
				if err := c.queueReceipt(tx, own, g.channel, g.read, part); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func (c *Client) queueReceipt(tx *profile.Tx, own *profile.Account, id qpq.ChannelID, read bool, owed []profile.Owed) error {
	body := wire.ReceiptBody{Kind: wire.ReceiptKindDelivered}
	if read {
		body.Kind = wire.ReceiptKindRead
	}
	for _, o := range owed {
		body.Messages = append(body.Messages, wire.MessageRef{Sender: o.Sender, ID: o.ID})
		if err := tx.Settle(o.Position, o.Read); err != nil {
			return err
		}
	}
	if ch := c.chats[id]; ch == nil || ch.Standing == Ended {
		return nil // there is nobody to tell
	}
	m := wire.Message{Sent: c.cfg.Clock(), Body: body}
	e := profile.Entry{Channel: id, Time: m.Sent, State: Queued, Sender: own.User, Device: own.Device.ID()}
	return addQueued(tx, &e, &m)
}
