package client

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/wire"
)

// What others learn of this person besides what is said: receipts, and when something is said.

// maxCover is how many messages without content are sent in an hour at most.
const maxCover = 360

// The names of settings.
const (
	settingReceipts = "receipts"
	settingCover    = "cover"
)

// Privacy is what a person chose for this device.
type Privacy struct {
	Receipts bool // sent in conversations of up to 32 accounts, but where SetReceipts chose otherwise
	Cover    int  // messages without content in an hour, on average, while Run is connected; 0 sends none
}

// Privacy returns what was chosen.
func (c *Client) Privacy() (Privacy, error) {
	var p Privacy
	receipts, err := c.cfg.Profile.Setting(qpq.ChannelID{}, settingReceipts)
	if err != nil {
		return p, err
	}
	cover, err := c.cfg.Profile.Setting(qpq.ChannelID{}, settingCover)
	if err != nil {
		return p, err
	}
	p.Receipts = receipts != "off"
	p.Cover, _ = strconv.Atoi(cover) // what cannot be read is none
	p.Cover = min(max(p.Cover, 0), maxCover)
	return p, nil
}

// SetPrivacy keeps a choice.
func (c *Client) SetPrivacy(p Privacy) error {
	if p.Cover < 0 || p.Cover > maxCover {
		return qpq.E(qpq.Invalid, "bad-rate", fmt.Sprintf("%d messages an hour cannot be sent for cover: it takes 0 to %d", p.Cover, maxCover))
	}
	receipts, cover := "", ""
	if !p.Receipts {
		receipts = "off"
	}
	if p.Cover > 0 {
		cover = strconv.Itoa(p.Cover)
	}
	err := c.cfg.Profile.Change(func(tx *profile.Tx) error {
		if err := tx.SetSetting(qpq.ChannelID{}, settingReceipts, receipts); err != nil {
			return err
		}
		return tx.SetSetting(qpq.ChannelID{}, settingCover, cover)
	})
	c.receipting.Clear()
	c.kick()
	return err
}

// cover sends a message without content where one is due, in a conversation drawn by lot. It goes as any other does; its receivers drop it. The
// caller holds chatting.
func (c *Client) cover(ctx context.Context, s *session) error {
	p, err := c.Privacy()
	if err != nil {
		return err
	}
	now := c.cfg.Clock()
	switch {
	case p.Cover == 0:
		c.covering = covering{}
		return nil
	case c.covering.rate != p.Cover || c.covering.session != s:
		c.covering = covering{session: s, rate: p.Cover, next: now.Add(gap(p.Cover))}
		return nil
	case now.Before(c.covering.next):
		return nil
	}
	c.covering.next = now.Add(gap(p.Cover))
	var among []*chat
	for _, ch := range c.chats {
		if ch.Standing == Active && ch.group != nil && len(ch.group.Conversation().Members) <= maxReceipted {
			among = append(among, ch)
		}
	}
	if len(among) == 0 {
		return nil
	}
	own, err := c.cfg.Profile.Account()
	if err != nil {
		return err
	}
	m := wire.Message{Sent: now, Body: wire.CoverBody{}}
	e := profile.Entry{Channel: among[rand.N(len(among))].ID, Time: now, State: Queued, Sender: own.User, Device: own.Device.ID()}
	if err := c.cfg.Profile.Change(func(tx *profile.Tx) error { return addQueued(tx, &e, &m) }); err != nil {
		return err
	}
	return c.flush(ctx, s)
}

// covering is when the next message without content is due.
type covering struct {
	session *session
	rate    int
	next    time.Time
}

// gap draws how long until the next one, of so many an hour: exponentially distributed, so that nothing can be told from when the last one was.
func gap(rate int) time.Duration {
	return time.Duration(-math.Log(1-rand.Float64()) * float64(time.Hour) / float64(rate))
}

// coverIn returns how long until the next message without content, less than 0 where none is due.
func (c *Client) coverIn() time.Duration {
	if c.covering.rate == 0 {
		return -1
	}
	return max(c.covering.next.Sub(c.cfg.Clock()), 0)
}
