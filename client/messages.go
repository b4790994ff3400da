package client

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/identity"
)

// unreadPage is how many entries Unread reads together.
const unreadPage = 128

// Self returns the account and the device that the profile is signed in as. It asks no server, and fails with qpq.NotFound where nobody is.
func (c *Client) Self() (qpq.UserID, qpq.DeviceID, error) {
	own, err := c.cfg.Profile.Account()
	if err != nil {
		return qpq.UserID{}, qpq.DeviceID{}, err
	}
	return own.User, own.Device.ID(), nil
}

// ParseUser reads the name of a user as people of the own domain write it: with or without the domain.
func (c *Client) ParseUser(name string) (qpq.UserID, error) {
	if strings.Contains(name, "@") {
		return identity.ParseUser(name)
	}
	own, _, err := c.Self()
	if err != nil {
		return qpq.UserID{}, err
	}
	return identity.ParseUser(name + "@" + own.Domain)
}

// News returns a channel that is closed when entries were added or have changed since the call.
func (c *Client) News() <-chan struct{} { return c.news.next() }

// Newest returns the position of the newest entry of all conversations, 0 where there is none.
func (c *Client) Newest() (int64, error) { return c.cfg.Profile.Newest() }

// Unread gives entries that were not read yet to f, in order, of one conversation or, where the id is zero, of all, and marks them as
// read. One for which f fails stays unread, and ends it; so does a crash for those that f had last. Calls take turns: no entry is given to two.
func (c *Client) Unread(ctx context.Context, id qpq.ChannelID, f func(Entry) error) error {
	if err := c.reading.take(ctx); err != nil {
		return err
	}
	defer c.reading.give()
	if err := c.expire(); err != nil {
		return err
	}
	for {
		list, err := c.read(c.cfg.Profile.Unread(id, unreadPage))
		if err != nil || len(list) == 0 {
			return err
		}
		given := map[qpq.ChannelID]int64{}
		for _, e := range list {
			if err = f(e); err != nil {
				break
			}
			given[e.Channel] = e.Position
		}
		for channel, position := range given {
			err = errors.Join(err, c.MarkRead(channel, position))
		}
		if err != nil {
			return err
		}
	}
}

// leastPrefix is how many characters of a short id a person writes at least.
const leastPrefix = 3

// Message returns the message of a conversation that a person means: by its id, or by what Short makes of it, or the beginning of that. It fails
// with qpq.NotFound, and with qpq.Conflict where it may be one of several.
func (c *Client) Message(id qpq.ChannelID, name string) (*Entry, error) {
	name = strings.ToLower(name)
	prefix, err := hex.DecodeString(name)
	if err != nil || len(prefix) != len(MessageID{}) {
		whole := name + strings.Repeat("a", max(8-len(name), 0)) // its first bytes are those of the id
		if prefix, err = shortID.DecodeString(whole); err != nil || len(name) < leastPrefix || len(name) > 8 {
			return nil, qpq.E(qpq.Invalid, "bad-message-id", fmt.Sprintf("%q is no id of a message: history shows them", name))
		}
		prefix = prefix[:len(name)*5/8]
	}
	if err := c.expire(); err != nil {
		return nil, err
	}
	stored, err := c.cfg.Profile.Messages(id, prefix, 256)
	if err == nil && len(name) <= 8 {
		stored = slices.DeleteFunc(stored, func(e profile.Entry) bool { return !strings.HasPrefix(MessageID(e.ID).Short(), name) })
	}
	list, err := c.read(stored, err)
	switch {
	case err != nil:
		return nil, err
	case len(list) == 0:
		return nil, qpq.E(qpq.NotFound, "message-unknown", fmt.Sprintf("there is no message %s in this conversation on this device", name))
	case len(list) > 1:
		return nil, qpq.E(qpq.Conflict, "ambiguous", fmt.Sprintf("%s may be one of several messages: write more of its id", name))
	}
	return &list[0], nil
}

// Sent returns a message of this account, with what became of it. It fails with qpq.NotFound.
func (c *Client) Sent(id qpq.ChannelID, message MessageID) (*Entry, error) {
	own, _, err := c.Self()
	if err != nil {
		return nil, err
	}
	e, err := c.cfg.Profile.Message(id, own, message)
	if err != nil {
		return nil, err
	}
	if e == nil {
		return nil, qpq.E(qpq.NotFound, "message-unknown", "there is no such message")
	}
	list, err := c.read([]profile.Entry{*e}, nil)
	if err != nil {
		return nil, err
	}
	return &list[0], nil
}
