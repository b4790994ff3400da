package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/conversation"
	"github.com/quicproquo/qpq/identity"
)

// What is known of accounts.

// known returns the newest account state that this device knows of, nil if there is none.
func (c *Client) known(u qpq.UserID) (*identity.AccountState, error) {
	if state, ok := c.contacts.Load(u); ok {
		return state.(*identity.AccountState), nil
	}
	account, err := c.cfg.Profile.Account()
	if err != nil {
		return nil, err
	}
	if account.User == u {
		return account.State, nil
	}
	state, err := c.cfg.Profile.Contact(u)
	if err == nil && state != nil {
		c.contacts.Store(u, state)
	}
	return state, err
}

// self returns this device as conversations see it.
func (c *Client) self() (conversation.Self, error) {
	account, err := c.cfg.Profile.Account()
	if err != nil {
		return conversation.Self{}, err
	}
	return conversation.Self{Device: account.Device, Account: account.State}, nil
}

// learning runs f, and looks up accounts whose devices it does not know, until it knows all or there is nothing to learn.
func (c *Client) learning(ctx context.Context, s *session, f func() error) error {
	for {
		err := f()
		var unknown *conversation.UnknownDevices
		if !errors.As(err, &unknown) {
			return err
		}
		learnt := false
		asked := map[qpq.UserID]bool{}
		for _, d := range unknown.Devices {
			if asked[d.User] {
				continue
			}
			asked[d.User] = true
			more, lookup := c.learn(ctx, s, d.User)
			if errors.Is(lookup, qpq.NotFound) {
				_, known := c.gone.LoadOrStore(d.User, true)
				more, lookup = !known, nil
			}
			if lookup != nil {
				return lookup
			}
			learnt = learnt || more
		}
		if !learnt {
			return fmt.Errorf("%w: %w", conversation.ErrVoid, err)
		}
	}
}

// learn looks an account up and reports whether there was something newer than what was known.
func (c *Client) learn(ctx context.Context, s *session, u qpq.UserID) (bool, error) {
	before, err := c.known(u)
	if err != nil {
		return false, err
	}
	var after *identity.AccountState
	if own := s.account.Load(); own != nil && own.User == u {
		after, err = c.ownState(ctx, s, u)
	} else {
		after, err = c.Lookup(ctx, u)
	}
	if err != nil {
		return false, err
	}
	return before == nil || after.Version > before.Version, nil
}
