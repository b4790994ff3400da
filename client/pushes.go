package client

import (
	"context"

	"github.com/quicproquo/qpq/wire"
)

// What the server says by itself.

// pushed takes what the server says by itself. It must not block, so what nobody takes in time is lost; pushes are hints.
func (s *session) pushed(payload []byte) {
	p, err := wire.Unmarshal[wire.Push](payload)
	if err != nil {
		return
	}
	switch e := p.Event.(type) {
	case wire.SupersededPush:
		s.over.Store(true)
	case wire.InboxPush: // never lost, however many others wait
		s.arrived.add(e)
		s.kick()
		return
	}
	select {
	case s.events <- p.Event:
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
	for {
		select {
		case <-s.Done():
			return
		case event := <-s.events:
			if err := c.act(ctx, s, event); err != nil && ctx.Err() == nil {
				c.notice("background", err.Error())
			}
		}
	}
}

func (c *Client) act(ctx context.Context, s *session, event wire.PushEvent) error {
	account := s.account.Load()
	if account == nil {
		return nil
	}
	switch e := event.(type) {
	case wire.KeyPackagesPush:
		return c.replenish(ctx, s, false)
	case wire.EphemeralPush:
		return c.takeEphemeral(ctx, e)
	case wire.AccountPush:
		if e.User == account.User {
			return c.catchUp(ctx, s)
		}
	}
	return nil
}
