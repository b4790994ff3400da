package client

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/conversation"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/wire"
)

// Messages that disappear. How long they stay is part of what the group agrees on; when a message was read, each device knows for itself.

// The bounds of a timer.
const (
	minTimer = time.Second
	maxTimer = 366 * 24 * time.Hour
)

// SetTimer has what is said in a conversation from now on disappear so long after it was read, by its sender's devices after it was sent; 0 has it
// stay. In a group it takes an admin.
func (c *Client) SetTimer(ctx context.Context, id qpq.ChannelID, after time.Duration) error {
	return c.Amend(ctx, Amendment{Conversation: id, Kind: AmendTimer, Timer: after})
}

func checkTimer(after time.Duration) error {
	if after != 0 && (after < minTimer || after > maxTimer || after%time.Second != 0) {
		return qpq.E(qpq.Invalid, "bad-timer", fmt.Sprintf("messages cannot disappear after %s: it takes whole seconds, from a second to a year", after))
	}
	return nil
}

func timing(after time.Duration) func(*conversation.Group) (conversation.Change, error) {
	return func(g *conversation.Group) (conversation.Change, error) {
		policy := g.Conversation().Policy
		if timerOf(policy) == after {
			return conversation.Change{}, errNothing
		}
		policy.TimerSeconds = uint32(after / time.Second)
		return conversation.Change{Policy: &policy}, nil
	}
}

func timerOf(p wire.ChannelPolicy) time.Duration { return time.Duration(p.TimerSeconds) * time.Second }

// noticeTimer tells of another timer.
func (st *step) noticeTimer(ch *chat, at time.Time, by qpq.UserID, after time.Duration) {
	if after == 0 {
		st.notice(ch, at, "timer", "%s has messages stay from now on", by)
		return
	}
	st.notice(ch, at, "timer", "%s has messages disappear from now on, %s after they were read", by, Span(after))
}

// Span returns a time as people write it, in the largest unit that it is a multiple of.
func Span(d time.Duration) string {
	for _, u := range []struct {
		length time.Duration
		name   string
	}{{7 * 24 * time.Hour, "week"}, {24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		if n := d / u.length; n > 0 && d%u.length == 0 {
			return counted(int(n), u.name)
		}
	}
	return counted(int(d/time.Second), "second")
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// alarm wakes the client when the next message disappears.
type alarm struct {
	mu    sync.Mutex
	timer *time.Timer
}

// set has f called at a time; the zero time is never.
func (a *alarm) set(in time.Duration, never bool, f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.timer != nil {
		a.timer.Stop()
	}
	a.timer = nil
	if !never {
		a.timer = time.AfterFunc(in, f)
	}
}

// expire forgets what has had its time, and comes back for what is next.
func (c *Client) expire() error {
	now := c.cfg.Clock()
	next, err := c.cfg.Profile.Expire(now)
	if err != nil {
		return err
	}
	c.alarm.set(next.Sub(now), next.IsZero(), func() {
		select {
		case <-c.closed:
			return
		default:
		}
		if c.expire() == nil {
			c.news.tell()
		}
	})
	return nil
}

// lasting notes on an entry how long its message stays.
func lasting(e *profile.Entry, m *wire.Message, own qpq.UserID, now time.Time) {
	e.Timer = time.Duration(m.ExpireSeconds) * time.Second
	if e.Timer > 0 && e.Sender == own && e.State == Received { // by another device of this account
		e.Expires = now.Add(e.Timer)
		if e.Time.Before(now) { // a server that says that it comes from the future could have it stay for ever
			e.Expires = e.Time.Add(e.Timer)
		}
	}
}
