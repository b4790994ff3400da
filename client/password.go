package client

import (
	"context"

	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/opaque"
	"github.com/quicproquo/qpq/wire"
)

// ChangePassword replaces the password, and the recovery code where another is given. Other devices go on working, and need
// not be online.
func (c *Client) ChangePassword(ctx context.Context, old, new Credentials) error {
	if err := new.Password.Strong(); err != nil {
		return err
	}
	return c.change(ctx, old, func(s *session, u *unlocked) error {
		started, request, err := opaque.StartRegistration(c.opaque(), new.Password.text)
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
		_, err = wire.Call(ctx, s, wire.PasswordFinish{Record: registered.Record, Keys: keys})
		return err
	})
}
