package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/wire"
)

// Login makes this device one of an account, by its password. A profile whose device the server no longer lets in becomes a new one.
func (c *Client) Login(ctx context.Context, user string, with Credentials, deviceName string) (*Whoami, error) {
	if err := c.account.take(ctx); err != nil {
		return nil, err
	}
	defer c.account.give()
	s, id, err := c.begins(ctx, user)
	if qpq.CodeOf(err) == wire.CodeDeviceUnknown {
		s, id, err = c.beginsAnew(ctx, user)
	}
	if err != nil {
		return nil, err
	}
	if err := c.login(ctx, s, id, with, deviceName); err != nil {
		return nil, unreachable(s.address, err)
	}
	return c.Whoami(ctx)
}

// beginsAnew gives up a device that was revoked, so that another takes its place in the profile.
func (c *Client) beginsAnew(ctx context.Context, user string) (*session, qpq.UserID, error) {
	account, err := c.cfg.Profile.Account()
	if err != nil {
		return nil, qpq.UserID{}, err
	}
	if id, err := identity.ParseUser(user); user != account.User.Name && (err != nil || id != account.User) {
		return nil, qpq.UserID{}, qpq.E(qpq.Exists, "signed-in", fmt.Sprintf("this profile is that of %s: use another one with --profile", account.User))
	}
	if err := c.cfg.Profile.Leave(); err != nil {
		return nil, qpq.UserID{}, err
	}
	if err := c.connecting.take(ctx); err != nil {
		return nil, qpq.UserID{}, err
	}
	if c.server == "" {
		c.server = account.Server
	}
	c.connecting.give()
	return c.begins(ctx, user)
}

func (c *Client) login(ctx context.Context, s *session, user qpq.UserID, with Credentials, deviceName string) error {
	p, err := c.prove(ctx, s, user, with)
	if err != nil {
		return err
	}
	defer p.key.Wipe()
	for range tries {
		if err = c.enrol(ctx, s, p, deviceName); !errors.Is(err, qpq.Conflict) {
			return err
		}
	}
	return err
}

// enrol adds a new device to the account whose password was proved.
func (c *Client) enrol(ctx context.Context, s *session, p *proof, deviceName string) error {
	u, err := c.unlock(ctx, s, p)
	if err != nil {
		return err
	}
	defer u.account.Wipe()
	defer u.vault.Wipe()
	device, err := identity.NewDeviceKey(random)
	if err != nil {
		return err
	}
	request, err := device.Request(p.user, suites)
	if err != nil {
		return err
	}
	next, keys, err := u.add(c, request)
	if err != nil {
		return err
	}
	if err := c.cfg.Profile.SetAccount(&profile.Account{User: p.user, Server: s.address, Device: device, State: next, Status: profile.Enrolling}); err != nil {
		return err
	}
	if _, err := wire.Call(ctx, s, wire.AccountPublish{State: next.Bytes(), Keys: keys}); err != nil {
		return c.undo(s, err)
	}
	if err := c.enrolled(ctx, s, next); err != nil || deviceName == "" {
		return err
	}
	return c.nameDevice(ctx, s, u.vault, p.user, device.ID(), deviceName)
}

// add returns the next state of the account, with one more device, and the keys of the vault that belong to it.
func (u *unlocked) add(c *Client, request *identity.DeviceRequest) (*identity.AccountState, *wire.VaultKeys, error) {
	next, err := u.state.Next(identity.Change{Now: c.now(u.state), Key: u.account, Add: []*identity.DeviceRequest{request}})
	if errors.Is(err, qpq.Exhausted) {
		return nil, nil, qpq.Wrap(qpq.Exhausted, "too-many-devices", fmt.Sprintf("an account has at most %d devices: revoke one first", identity.MaxDevices), err)
	}
	if err != nil {
		return nil, nil, err
	}
	keys, err := u.seal(next)
	return next, &keys, err
}
