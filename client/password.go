package client

import (
	"context"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/opaque"
	"github.com/quicproquo/qpq/wire"
)

// ChangePassword replaces the password, and the recovery code where another is given. Other devices go on working, and need
// not be online.
func (c *Client) ChangePassword(ctx context.Context, old, new Credentials) error {
	if err := new.Password.strong(); err != nil {
		return err
	}
	sent := false
	err := c.change(ctx, old, func(s *session, u *unlocked) error {
		started, request, err := opaque.StartRegistration(c.opaque(nil), new.Password.text)
		if err != nil {
			return err
		}
		reply, err := wire.Call(ctx, s, wire.PasswordStart{Request: request})
		if err != nil {
			return err
		}
		registered, err := started.Finish(reply.Response, identities(u.state.User))
		if err != nil {
			return err
		}
		defer clear(registered.ExportKey)
		key, err := identity.NewPasswordKey(u.state.User, registered.ExportKey, new.Recovery)
		if err != nil {
			return err
		}
		defer key.Wipe()
		next := *u
		next.password, next.recovery = key, new.Recovery != nil
		keys, err := next.seal(u.state)
		if err != nil {
			return err
		}
		sent = true
		_, err = wire.Call(ctx, s, wire.PasswordFinish{Record: registered.Record, Keys: keys})
		return err
	})
	if sent && lost(err) {
		return c.whichPassword(ctx, new, err)
	}
	return err
}

// whichPassword finds out whether a change took place whose answer was lost.
func (c *Client) whichPassword(ctx context.Context, new Credentials, cause error) error {
	s, err := c.member(ctx)
	if err == nil {
		var p *proof
		if p, err = c.prove(ctx, s, s.account.Load().User, new); err == nil {
			p.key.Wipe()
			return nil
		}
	}
	if qpq.CodeOf(err) == wire.CodeLoginFailed {
		return qpq.Wrap(qpq.Unavailable, "not-changed", "the connection was lost before the server took the new password: the old one still counts; try again", cause)
	}
	return qpq.Wrap(qpq.Unavailable, "unknown-password", "the connection was lost while the password was changed, and the server cannot be asked whether it was: try the new one first", cause)
}
