package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/wire"
)

// linkPoll is how long one call waits for the other device.
const linkPoll = 50 * time.Second

// Linking is a device being linked, seen from the one that is in the account already.
type Linking struct {
	Code    *identity.LinkCode // to be typed into the new device
	Expires time.Time

	c       *Client
	sealed  []byte
	request *identity.DeviceRequest
}

// LinkStart makes a code for a new device. It ends the code made before.
func (c *Client) LinkStart(ctx context.Context) (*Linking, error) {
	code, err := identity.NewLinkCode(random)
	if err != nil {
		return nil, err
	}
	reply, err := call(ctx, c, wire.LinkCreate{Rendezvous: code.Rendezvous()})
	if err != nil {
		return nil, err
	}
	return &Linking{Code: code, Expires: reply.Expires, c: c}, nil
}

// Wait waits for the new device and returns what it says of itself. It fails with qpq.NotFound when the code has expired.
func (l *Linking) Wait(ctx context.Context) (*identity.DeviceRequest, error) {
	s, err := l.c.member(ctx)
	if err != nil {
		return nil, err
	}
	for l.sealed == nil {
		reply, err := call(ctx, l.c, wire.LinkTake{Rendezvous: l.Code.Rendezvous(), WaitSeconds: uint16(linkPoll / time.Second)})
		if err != nil {
			return nil, err
		}
		if len(reply.Sealed) > 0 {
			l.sealed = reply.Sealed
		}
	}
	l.request, err = l.Code.OpenRequest(s.account.Load().User, l.sealed)
	if err != nil {
		return nil, qpq.Wrap(qpq.Denied, "bad-link", "what came under the link code was not made by who knows it: begin anew with a new code", err)
	}
	return l.request, nil
}

// Approve takes the new device into the account and tells it so.
func (l *Linking) Approve(ctx context.Context, with Credentials) error {
	c := l.c
	return c.change(ctx, with, func(s *session, u *unlocked) error {
		state := u.state
		if state.Device(l.request.ID()) == nil {
			if !c.cfg.Clock().Before(l.Expires) { // the new device no longer waits, and could never come in
				return qpq.E(qpq.NotFound, wire.CodeLinkUnknown, "the link code has expired meanwhile: begin anew with a new one")
			}
			next, keys, err := u.add(c, l.request)
			if err != nil {
				return err
			}
			if _, err := wire.Call(ctx, s, wire.AccountPublish{State: next.Bytes(), Keys: keys}); err != nil {
				return err
			}
			if err := errors.Join(c.cfg.Profile.SetState(next), c.know(next)); err != nil {
				return err
			}
			state = next
		}
		answer, err := l.Code.SealAnswer(random, l.sealed, state)
		if err != nil {
			return err
		}
		_, err = wire.Call(ctx, s, wire.LinkAnswer{Rendezvous: l.Code.Rendezvous(), Sealed: answer})
		return err
	})
}

// LinkJoin makes this device one of an account, by a code that another of its devices shows. It waits until a person approves there;
// what was interrupted goes on with the same code.
// Its id, which the other device shows, is told to waiting.
func (c *Client) LinkJoin(ctx context.Context, user string, code *identity.LinkCode, deviceName string, waiting func(qpq.DeviceID)) (*Whoami, error) {
	if err := c.account.take(ctx); err != nil {
		return nil, err
	}
	defer c.account.give()
	s, id, err := c.begins(ctx, user)
	if err != nil {
		return nil, err
	}
	account, err := c.linking(s, id, code)
	if err != nil {
		return nil, err
	}
	if _, err := wire.Call(ctx, s, wire.LinkOffer{Rendezvous: code.Rendezvous(), Sealed: account.Link.Sealed}); err != nil {
		return nil, c.undo(s, unreachable(s.address, err))
	}
	waiting(account.Device.ID())
	for {
		reply, err := wire.Call(ctx, s, wire.LinkWait{Rendezvous: code.Rendezvous(), WaitSeconds: uint16(linkPoll / time.Second)})
		if lost(err) && ctx.Err() == nil {
			if s, err = c.connection(ctx, id); err != nil {
				return nil, err
			}
			if s.account.Load() != nil { // settled by the new connection
				break
			}
			continue
		}
		if err != nil {
			return nil, c.undo(s, unreachable(s.address, err))
		}
		if len(reply.Sealed) > 0 {
			if err := c.linked(ctx, s, account, reply.Sealed); err != nil {
				return nil, unreachable(s.address, err)
			}
			break
		}
	}
	return c.named(ctx, s, deviceName)
}

// linking returns the state of a link by a code: the one begun before, or a new one, durable before anything is sent.
func (c *Client) linking(s *session, user qpq.UserID, code *identity.LinkCode) (*profile.Account, error) {
	before, err := c.cfg.Profile.Account()
	if err == nil && before.User == user && before.Link != nil && before.Link.Code.Reveal() == code.Reveal() {
		return before, nil
	}
	if err != nil && !errors.Is(err, profile.ErrNoAccount) {
		return nil, err
	}
	device, err := identity.NewDeviceKey(random)
	if err != nil {
		return nil, err
	}
	request, err := device.Request(user, suites)
	if err != nil {
		return nil, err
	}
	sealed, err := code.SealRequest(random, request)
	if err != nil {
		return nil, err
	}
	a := &profile.Account{User: user, Server: s.address, Device: device, Status: profile.Linking, Link: &profile.Link{Code: code, Sealed: sealed}}
	return a, c.cfg.Profile.SetAccount(a)
}

// settleLink finds out what became of a link that was interrupted.
func (c *Client) settleLink(ctx context.Context, s *session, account *profile.Account) error {
	reply, err := wire.Call(ctx, s, wire.LinkWait{Rendezvous: account.Link.Code.Rendezvous()})
	switch {
	case qpq.CodeOf(err) == wire.CodeLinkUnknown:
		if err := c.cfg.Profile.Leave(); err != nil {
			return err
		}
		c.notice("interrupted", fmt.Sprintf("linking this device to %s had been interrupted, and its code no longer counts: begin anew with a new one", account.User))
		return nil
	case err != nil || len(reply.Sealed) == 0:
		return unreachable(s.address, err)
	}
	return c.linked(ctx, s, account, reply.Sealed)
}

// linked takes the answer of the other device.
func (c *Client) linked(ctx context.Context, s *session, account *profile.Account, answer []byte) error {
	request, err := account.Device.Request(account.User, suites)
	if err != nil {
		return err
	}
	state, err := account.Link.Code.OpenAnswer(account.Link.Sealed, request, answer)
	if err != nil {
		return c.undo(s, qpq.Wrap(qpq.Denied, "bad-link", "what came under the link code was not made by who knows it: begin anew with a new code", err))
	}
	return c.enrolled(ctx, s, state)
}

// named gives this device its name, and says who one is now.
func (c *Client) named(ctx context.Context, s *session, name string) (*Whoami, error) {
	if name != "" {
		if err := c.RenameDevice(ctx, s.account.Load().Device.ID(), name); err != nil {
			return nil, err
		}
	}
	return c.Whoami(ctx)
}
