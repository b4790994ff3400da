package client

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/conversation"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/opaque"
	"github.com/quicproquo/qpq/wire"
)

// suites are the MLS cipher suites of devices: the post-quantum hybrid one alone, since classical key packages of a device
// that has it would be refused.
var suites = []uint16{uint16(conversation.Suite)}

// Registration is what signing up takes.
type Registration struct {
	User       string // name, or name@domain
	Password   Password
	Recovery   *identity.RecoveryCode // nil for none
	Token      wire.Secret            // where the server asks for one
	DeviceName string
}

// Register signs somebody up, with this device as the first one.
func (c *Client) Register(ctx context.Context, r Registration) (*Whoami, error) {
	if err := c.account.take(ctx); err != nil {
		return nil, err
	}
	defer c.account.give()
	if err := r.Password.strong(); err != nil {
		return nil, err
	}
	s, user, err := c.begins(ctx, r.User)
	if err != nil {
		return nil, err
	}
	if err := c.register(ctx, s, user, r); err != nil {
		return nil, unreachable(s.address, err)
	}
	return c.Whoami(ctx)
}

// MayRegister connects, and fails where Register would for a reason that is known before anything is sent of the person.
func (c *Client) MayRegister(ctx context.Context, user string) error {
	s, _, err := c.begins(ctx, user)
	if err == nil && s.info.Registration == wire.RegistrationClosed {
		err = errClosed
	}
	return err
}

var errClosed = qpq.E(qpq.Denied, wire.CodeRegistrationClosed, "nobody can sign up at this server: ask who runs it")

// begins connects to make this device one of an account. A bare name is one of the server reached.
func (c *Client) begins(ctx context.Context, name string) (*session, qpq.UserID, error) {
	var user qpq.UserID
	var err error
	if strings.Contains(name, "@") {
		user, err = identity.ParseUser(name)
	} else {
		_, err = identity.NormaliseName(name)
	}
	if err != nil {
		return nil, user, err
	}
	s, err := c.connection(ctx, user)
	if err != nil {
		return nil, user, err
	}
	if account := s.account.Load(); account != nil {
		return nil, user, qpq.E(qpq.Exists, "signed-in", fmt.Sprintf("this profile is signed in as %s: use another one with --profile", account.User))
	}
	if user.IsZero() {
		user, err = identity.ParseUser(name + "@" + s.info.Domain)
	} else if user.Domain != s.info.Domain {
		err = qpq.E(qpq.NotFound, wire.CodeWrongDomain, fmt.Sprintf("%s is not at home at %s, which serves %s: name another server with --server", user, s.address, s.info.Domain))
	}
	return s, user, err
}

func (c *Client) register(ctx context.Context, s *session, user qpq.UserID, r Registration) error {
	if s.info.Registration == wire.RegistrationClosed {
		return errClosed
	}
	started, request, err := opaque.StartRegistration(c.opaque(nil), r.Password.text)
	if err != nil {
		return err
	}
	reply, err := wire.Call(ctx, s, wire.RegisterStart{User: user, Token: r.Token, Request: request})
	if err != nil {
		return err
	}
	registered, err := started.Finish(reply.Response, identities(user))
	if err != nil {
		return err
	}
	defer clear(registered.ExportKey)
	key, err := identity.NewPasswordKey(user, registered.ExportKey, r.Recovery)
	if err != nil {
		return err
	}
	defer key.Wipe()
	n, err := c.newAccount(user, key, r.Recovery != nil)
	if err != nil {
		return err
	}
	defer n.vault.Wipe()
	// From here on the device may be part of an account, whether or not an answer comes.
	if err := c.cfg.Profile.SetAccount(&profile.Account{User: user, Server: s.address, Device: n.device, State: n.state, Status: profile.Enrolling}); err != nil {
		return err
	}
	_, err = wire.Call(ctx, s, wire.RegisterFinish{User: user, Token: r.Token, Record: registered.Record, State: n.state.Bytes(), Keys: n.keys})
	if err != nil {
		return c.undo(s, err)
	}
	if err := c.enrolled(ctx, s, n.state); err != nil || r.DeviceName == "" {
		return err
	}
	return c.nameDevice(ctx, s, n.vault, user, n.device.ID(), r.DeviceName)
}

// undo forgets an enrolment that the server refused. Where no answer came it stays, and is settled by the next connection: this one, which knows
// nobody, ends.
func (c *Client) undo(s *session, err error) error {
	if lost(err) {
		_ = s.Close()
		return err
	}
	return errors.Join(err, c.cfg.Profile.Leave())
}

// newDevice is a device on its way into an account.
type newDevice struct {
	device *identity.DeviceKey
	vault  *identity.VaultKey
	state  *identity.AccountState
	keys   wire.VaultKeys
}

// newAccount makes all keys of a new account. The account key is wiped when it has signed.
func (c *Client) newAccount(user qpq.UserID, password *identity.PasswordKey, recovery bool) (*newDevice, error) {
	device, err := identity.NewDeviceKey(random)
	if err != nil {
		return nil, err
	}
	request, err := device.Request(user, suites)
	if err != nil {
		return nil, err
	}
	account, err := identity.NewAccountKey(random)
	if err != nil {
		return nil, err
	}
	defer account.Wipe()
	vault, err := identity.NewVaultKey(random)
	if err != nil {
		return nil, err
	}
	state, err := identity.NewAccount(account, request, vault, c.cfg.Clock())
	if err != nil {
		return nil, err
	}
	keys, err := wire.SealKeys(random, state, 1, wire.Secrets{Password: password, Account: account, Vault: vault, Recovery: recovery})
	return &newDevice{device, vault, state, keys}, err
}

// confirm notes that this device is part of the account, whose newest state is given.
func (c *Client) confirm(state *identity.AccountState) error {
	if err := c.cfg.Profile.Confirm(state); err != nil {
		return err
	}
	return c.know(state)
}

// enrolled settles a device that the account has taken in by a state, on the connection that it learnt so on.
func (c *Client) enrolled(ctx context.Context, s *session, state *identity.AccountState) error {
	err := c.enter(ctx, s, state)
	if err != nil { // what is due at the beginning of a session still is
		_ = s.Close()
	}
	return err
}

func (c *Client) enter(ctx context.Context, s *session, state *identity.AccountState) error {
	if err := c.confirm(state); err != nil {
		return err
	}
	account, err := c.cfg.Profile.Account()
	if err != nil {
		return err
	}
	if err := c.authenticate(ctx, s, account); err != nil {
		return err
	}
	return c.settle(ctx, s)
}
