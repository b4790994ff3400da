package client

import (
	"context"
	"fmt"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/wire"
)

// What is to be viewed once. Devices keep a placeholder (Gone is Viewed): receivers once it was viewed, its sender once the server has it.

// SendOnce queues a text that others view once.
func (c *Client) SendOnce(ctx context.Context, id qpq.ChannelID, text string) (MessageID, error) {
	if err := checkText(text); err != nil {
		return MessageID{}, err
	}
	return c.Send(ctx, id, wire.ViewOnceBody{Text: text})
}

var errOwnOnce = qpq.E(qpq.Denied, "own-once", "what is to be viewed once, others view")

// ViewText gives the text of a message that is to be viewed once to show, and then forgets it. Where show fails it stays.
func (c *Client) ViewText(id qpq.ChannelID, message Ref, show func(text string) error) error {
	e, err := c.line(id, message)
	if err != nil {
		return err
	}
	b, ok := e.Message.Body.Body.(wire.ViewOnceBody)
	switch {
	case !ok:
		return qpq.E(qpq.Invalid, "not-once", fmt.Sprintf("the message %s is not to be viewed once: history shows it", message.ID.Short()))
	case e.Message.Own:
		return errOwnOnce
	case b.File != nil:
		return qpq.E(qpq.Invalid, "is-file", fmt.Sprintf("the message %s is a file: say where it is to be saved", message.ID.Short()))
	}
	if err := show(b.Text); err != nil {
		return err
	}
	err = c.cfg.Profile.Change(func(tx *profile.Tx) error { return tx.Wipe(message.Position, Viewed) })
	c.news.tell()
	return err
}

// sentOnce returns what this account sent to be viewed once: what is gone here others may have still. It fails with gone where it is none of that.
func (c *Client) sentOnce(message Ref, gone error) (*Entry, error) {
	e, err := c.At(message.Position)
	if err == nil && (e == nil || e.Message == nil || !e.Message.Own || e.Message.Gone != Viewed) {
		err = gone
	}
	return e, err
}

// keepNone forgets what is to be viewed once and was sent by this account: as the last of a change that adds it, or notes that it was sent.
func keepNone(tx *profile.Tx, position int64, kind Kind) error {
	if kind != KindViewOnce {
		return nil
	}
	return tx.Wipe(position, Viewed)
}
