package client

import (
	"context"

	"github.com/quicproquo/qpq/wire"
)

// What the server says by itself.

// hints are what the server said by itself, besides what came to the inbox, until listen acts on it.
type hints struct {
	account  chan struct{} // has room for one: the account may have a newer state
	packages chan struct{} // has room for one: key packages may run low
	fleeting chan wire.EphemeralPush
}

func newHints() hints {
	return hints{make(chan struct{}, 1), make(chan struct{}, 1), make(chan wire.EphemeralPush, 16)}
}

// pushed takes what the server says by itself. It must not block: of what nobody stores the rest is lost while much waits, and of all else nothing is.
func (s *session) pushed(payload []byte) {
	p, err := wire.Unmarshal[wire.Push](payload)
	if err != nil {
		return
	}
	switch e := p.Event.(type) {
	case wire.SupersededPush:
		s.over.Store(true)
	case wire.InboxPush:
		s.arrived.Add(e)
		s.kick()
		if e.Sequence == 0 { // pushes were left out, of whatever kind
			note(s.hints.account)
			note(s.hints.packages)
		}
	case wire.AccountPush:
		if account := s.account.Load(); account == nil || e.User == account.User {
			note(s.hints.account)
		}
	case wire.KeyPackagesPush:
		note(s.hints.packages)
	case wire.EphemeralPush:
		select {
		case s.hints.fleeting <- e:
		default:
		}
	}
}

// note leaves a word in a channel that has room for one, if none is there.
func note(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// listen acts on what the server says until the connection ends.
func (c *Client) listen(s *session) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		<-s.Done()
		cancel()
	}()
	for ctx.Err() == nil {
		if err := c.act(ctx, s); err != nil && ctx.Err() == nil {
			c.notice("background", err.Error())
		}
	}
}

// act waits for something that the server says, and does what is due then. Guests do nothing.
func (c *Client) act(ctx context.Context, s *session) error {
	act := func() error { return nil }
	select {
	case <-ctx.Done():
	case <-s.hints.account:
		act = func() error { return c.catchUp(ctx, s) }
	case <-s.hints.packages:
		act = func() error { return c.replenish(ctx, s, false) }
	case e := <-s.hints.fleeting:
		act = func() error { return c.takeEphemeral(ctx, e) }
	}
	if s.account.Load() == nil {
		return nil
	}
	return act()
}
