package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/wire"
)

// maxBackoff is how many times Config.Backoff a client waits at most before it tries to connect again.
const maxBackoff = 120

// rounds is how often a connected client looks whether something is due.
const rounds = 15 * time.Minute

// Run stays connected until ctx is done: it receives what comes, sends what is queued, and connects again, after waits that
// grow, when a connection ends. That it is offline, and that it is connected again, is told once each (notices "offline" and "online"). It
// returns nil when ctx is done, and an error where trying again is of no use: nobody
// is signed in, the device was revoked, or another program took over. Of several calls one does the work; when it ends, another one
// goes on.
func (c *Client) Run(ctx context.Context) error {
	if c.running.take(ctx) != nil {
		return nil
	}
	defer c.running.give()
	wait, away := c.cfg.Backoff, false
	for ctx.Err() == nil {
		began := c.cfg.Clock()
		err := c.stay(ctx, func() {
			if away {
				c.notice("online", "connected again")
			}
			away = false
		})
		if ctx.Err() != nil {
			break
		}
		if hopeless(err) {
			return err
		}
		if _, none := c.cfg.Profile.Account(); errors.Is(none, profile.ErrNoAccount) { // it was deleted meanwhile
			return none
		}
		if c.cfg.Clock().Sub(began) > maxBackoff*c.cfg.Backoff {
			wait = c.cfg.Backoff
		}
		if !away {
			away = true
			c.notice("offline", err.Error())
		}
		c.rest(ctx, wait)
		wait = min(2*wait, maxBackoff*c.cfg.Backoff)
	}
	return nil
}

// rest waits before another try to connect: a random part of the wait, so that the clients of a server that restarts do not all come at
// once. It ends sooner, but not at once, when there is something to send, or somebody else has connected.
func (c *Client) rest(ctx context.Context, wait time.Duration) {
	least := c.cfg.Backoff/2 + rand.N(c.cfg.Backoff/2+1)
	select {
	case <-time.After(least):
	case <-ctx.Done():
		return
	}
	select {
	case <-time.After(wait/2 + rand.N(wait/2+1) - least):
	case <-c.wake:
	case <-ctx.Done():
	}
}

// stay connects, calls connected after the first round, and goes on until the connection ends.
func (c *Client) stay(ctx context.Context, connected func()) error {
	s, err := c.member(ctx)
	if err != nil {
		return err
	}
	select {
	case <-c.wake: // the first round is about to be gone
	default:
	}
	ticker := time.NewTicker(rounds)
	defer ticker.Stop()
	ctx, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel()
	defer c.live.Store(false)
	for {
		if err := c.round(ctx, s, false); err != nil {
			return err
		}
		connected()
		c.live.Store(true)
		c.goOn(ctx, &work)
		var again <-chan time.Time
		if wait := s.again.Load(); wait > 0 {
			again = time.After(time.Duration(wait))
		}
		select {
		case <-c.wake:
		case <-again:
		case <-ticker.C:
			s.compared.Store(false)
			s.arrived.Miss()
		case <-s.Done():
			if s.superseded() {
				return errSuperseded
			}
			return qpq.E(qpq.Unavailable, "connection-lost", "the connection to "+s.address+" was lost")
		case <-ctx.Done():
			return nil
		}
	}
}

// Sync connects, receives all there is, and sends all that is queued.
func (c *Client) Sync(ctx context.Context) error {
	s, err := c.member(ctx)
	if err != nil {
		return err
	}
	return c.round(ctx, s, true)
}

// round receives all there is, does what is due, and sends what is queued. Receipts may wait for others, but in the last round of several.
func (c *Client) round(ctx context.Context, s *session, last bool) error {
	if err := c.chatting.take(ctx); err != nil {
		return err
	}
	defer c.chatting.give()
	if err := c.arrive(ctx, s, last); err != nil {
		return unreachable(s.address, err)
	}
	if err := c.care(ctx, s); err != nil {
		return unreachable(s.address, err)
	}
	if err := c.expire(); err != nil {
		return err
	}
	err := c.flush(ctx, s)
	if err == nil {
		err = c.sendReceipts(ctx, s, last)
	}
	if err == nil && !last {
		err = c.cover(ctx, s)
	}
	ack, ackErr := c.ackIn(s)
	s.again.Store(int64(c.putOff(ack)))
	return unreachable(s.address, errors.Join(err, ackErr))
}

// putOff returns how long until something is due that was put off, 0 if nothing was. ack is for how long acknowledgements are put off.
func (c *Client) putOff(ack time.Duration) (wait time.Duration) {
	now := c.cfg.Clock()
	for _, ch := range c.chats {
		for _, until := range []time.Time{ch.after, ch.turn} {
			if d := until.Sub(now); d > 0 && (wait == 0 || d < wait) {
				wait = d
			}
		}
	}
	for _, d := range []time.Duration{c.receiptsIn(), c.coverIn(), ack} {
		if d >= 0 && (wait == 0 || d < wait) {
			wait = max(d, time.Millisecond)
		}
	}
	return wait
}

// kick has Run go another round.
func (c *Client) kick() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// hopeless reports whether to connect again is of no use.
func hopeless(err error) bool {
	switch qpq.CodeOf(err) {
	case wire.CodeDeviceUnknown, errSuperseded.Code, wire.CodeWrongDomain, "protocol", "closed":
		return true
	}
	return errors.Is(err, profile.ErrNoAccount) || errors.Is(err, qpq.Damaged) && qpq.CodeOf(err) == "profile-damaged"
}
