package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/wire"
)

// chain reads the account states of a user that follow a known one, and verifies them. It fails with qpq.Damaged and
// code "rolled-back" where the server's newest is older than the known one.
func chain(ctx context.Context, s *session, user qpq.UserID, known *identity.AccountState) (*identity.AccountState, error) {
	for {
		var version uint64
		if known != nil {
			version = known.Version
		}
		reply, err := wire.Call(ctx, s, wire.AccountLookup{User: user, After: version})
		if qpq.CodeOf(err) == wire.CodeUserUnknown {
			return nil, qpq.Wrap(qpq.NotFound, wire.CodeUserUnknown, fmt.Sprintf("there is no user %s: check the name", user), err)
		}
		if err != nil {
			return nil, unreachable(s.address, err)
		}
		switch {
		case reply.Newest < version:
			return known, qpq.E(qpq.Damaged, "rolled-back", fmt.Sprintf(
				"the server shows version %d of the account %s, and this device knows version %d: the server was restored from an old copy, or hides something; ask who runs it", reply.Newest, user, version))
		case known == nil && reply.Newest == 0:
			return nil, qpq.E(qpq.Invalid, "bad-chain", fmt.Sprintf("the server shows no version of the account %s at all", user))
		case reply.Newest == version:
			return known, nil
		case len(reply.States) == 0:
			return nil, qpq.E(qpq.Invalid, "bad-chain", fmt.Sprintf("the server leaves out versions of the account %s", user))
		}
		if known, err = identity.VerifyChain(known, reply.States); err != nil {
			return nil, qpq.Wrap(qpq.Invalid, "bad-chain", fmt.Sprintf("the server shows a false history of the account %s: %v", user, err), err)
		}
		if known.User != user {
			return nil, qpq.E(qpq.Invalid, "bad-chain", fmt.Sprintf("the server answered for %s with the account of %s", user, known.User))
		}
	}
}

// ownState returns the newest state of the own account, remembers it, and tells of devices that the person does not know of.
// Where this device is no part of the account yet, or no longer, it goes by what an earlier device of the profile knew.
func (c *Client) ownState(ctx context.Context, s *session, user qpq.UserID) (*identity.AccountState, error) {
	account, err := c.cfg.Profile.Account()
	if errors.Is(err, profile.ErrNoAccount) {
		known, err := c.cfg.Profile.Contact(user)
		if err != nil {
			return nil, err
		}
		return chain(ctx, s, user, known)
	}
	if err != nil {
		return nil, err
	}
	state, err := chain(ctx, s, user, account.State)
	if qpq.CodeOf(err) == "rolled-back" && c.giveBack(ctx, s, account) {
		state, err = chain(ctx, s, user, account.State)
	}
	if err != nil {
		return nil, err
	}
	if err := c.cfg.Profile.SetState(state); err != nil {
		return nil, err
	}
	return state, c.tell(state, account.Device.ID())
}

// giveBack publishes the newest account state that this device knows to a server that lost just this one, being restored from a copy.
// It reports whether the chain is worth another look. Where more than one is missing, or one that rotates keys, which no device
// holds, that is for people to settle.
func (c *Client) giveBack(ctx context.Context, s *session, account *profile.Account) bool {
	known := account.State
	if known.Version < 2 {
		return false
	}
	reply, err := wire.Call(ctx, s, wire.AccountLookup{User: known.User, After: known.Version - 2})
	if err != nil || len(reply.States) != 1 {
		return false
	}
	newest, err := identity.ParseAccountState(reply.States[0])
	if err != nil || identity.CheckNext(newest, known) != nil || newest.Key != known.Key || !bytes.Equal(newest.VaultKey, known.VaultKey) {
		return false
	}
	keys, err := wraps(ctx, s, account, newest)
	if err != nil {
		return false
	}
	_, err = wire.Call(ctx, s, wire.AccountPublish{State: known.Bytes(), Keys: keys})
	if err == nil {
		c.notice("given-back", fmt.Sprintf("the server had lost version %d of your account, as after a restore from an old copy, and this device gave it back; ask who runs it what else is missing", known.Version))
	}
	return err == nil || errors.Is(err, qpq.Conflict) // another device may have been faster
}

// wraps returns the vault's keys that go with the state that follows newest: the server's own, and the vault key sealed to each
// device that is new; nil where there is none.
func wraps(ctx context.Context, s *session, account *profile.Account, newest *identity.AccountState) (*wire.VaultKeys, error) {
	reply, err := wire.Call(ctx, s, wire.VaultKeysGet{})
	if err != nil {
		return nil, err
	}
	vault, err := account.Device.OpenVault(newest, reply.Keys.WrapFor(account.Device.ID()))
	if err != nil {
		return nil, err
	}
	defer vault.Wipe()
	keys, added := reply.Keys, false
	keys.Version, keys.Devices = reply.Keys.Version+1, nil
	for _, d := range account.State.Devices {
		wrap := reply.Keys.WrapFor(d.ID())
		if before := newest.Device(d.ID()); before == nil || !bytes.Equal(before.EncryptionKey, d.EncryptionKey) {
			added = true
			if wrap, err = vault.WrapFor(d.Request()); err != nil {
				return nil, err
			}
		}
		keys.Devices = append(keys.Devices, wire.DeviceWrap{Device: d.ID(), Wrap: wrap})
	}
	if !added {
		return nil, nil
	}
	return &keys, nil
}

// tell tells of devices of the account that the person does not know of, each once.
func (c *Client) tell(state *identity.AccountState, own qpq.DeviceID) error {
	if c.cfg.Notice == nil {
		return nil // another time
	}
	for _, d := range state.Devices {
		told, err := c.cfg.Profile.Told(d.ID())
		if err != nil {
			return err
		}
		if told {
			continue
		}
		if d.ID() != own {
			c.notice("device-added", fmt.Sprintf("the device %s was added to your account; if that was not you, revoke it and change the password", d.ID().Short()))
		}
		if err := c.cfg.Profile.SetTold(d.ID()); err != nil {
			return err
		}
	}
	return nil
}

// know notes that the person knows of all devices of a state: those that were there before this one, and those that it takes in.
func (c *Client) know(state *identity.AccountState) error {
	for _, d := range state.Devices {
		if err := c.cfg.Profile.SetTold(d.ID()); err != nil {
			return err
		}
	}
	return nil
}

// catchUp learns what became of the own account since the last session.
func (c *Client) catchUp(ctx context.Context, s *session) error {
	before, err := c.cfg.Profile.Account()
	if err != nil {
		return err
	}
	state, err := c.ownState(ctx, s, before.User)
	if qpq.CodeOf(err) == "rolled-back" {
		c.notice("rolled-back", err.Error())
		return nil
	}
	if err != nil {
		return err
	}
	if state.Device(before.Device.ID()) == nil {
		return qpq.E(qpq.Denied, wire.CodeDeviceUnknown, "this device was revoked: log in again to make it a new one")
	}
	c.warnExpiry(state, before.Device.ID())
	return nil
}

// Lookup returns the newest account state of somebody, verified from the newest that this device knows of.
func (c *Client) Lookup(ctx context.Context, user qpq.UserID) (*identity.AccountState, error) {
	known, err := c.cfg.Profile.Contact(user)
	if err != nil {
		return nil, err
	}
	s, err := c.member(ctx)
	if err != nil {
		return nil, err
	}
	state, err := chain(ctx, s, user, known)
	if err != nil {
		return nil, unreachable(s.address, err)
	}
	if err := c.cfg.Profile.SetContact(state); err != nil {
		return nil, err
	}
	c.contacts.Store(user, state)
	return state, nil
}

// Whoami is what is known of the own account and of the server.
type Whoami struct {
	User         qpq.UserID
	Device       qpq.DeviceID
	Name         string // of the device
	Devices      int
	StateVersion uint64
	Admin        bool
	Server       string // its address
	Software     string
	Carrier      string // what the connection runs over
	Fingerprint  []byte // of the server's key, empty where an authority vouches for it
}

// Whoami connects and says who one is.
func (c *Client) Whoami(ctx context.Context) (*Whoami, error) {
	s, err := c.member(ctx)
	if err != nil {
		return nil, err
	}
	account, err := c.cfg.Profile.Account()
	if err != nil {
		return nil, err
	}
	name, err := c.cfg.Profile.DeviceName(account.Device.ID())
	if err != nil {
		return nil, err
	}
	pin, err := c.cfg.Profile.Pin(s.address)
	return &Whoami{
		User: account.User, Device: account.Device.ID(), Name: name, Devices: len(account.State.Devices), StateVersion: account.State.Version,
		Admin: s.reply.Admin, Server: s.address, Software: s.info.Software, Carrier: s.Peer().Carrier, Fingerprint: pin,
	}, err
}

// Delete deletes the account: its groups are left first, so that their members are told; then at the server nothing but a tombstone of the
// name remains, and in the profile nothing.
func (c *Client) Delete(ctx context.Context, with Credentials) error {
	if err := c.account.take(ctx); err != nil {
		return err
	}
	defer c.account.give()
	s, err := c.member(ctx)
	if err != nil {
		return err
	}
	user := s.account.Load().User
	p, err := c.prove(ctx, s, user, with)
	if err != nil {
		return unreachable(s.address, err)
	}
	p.key.Wipe()
	if err := c.leaveGroups(ctx); err != nil {
		return err
	}
	return c.erase(ctx, user)
}

// erase has the server forget the account, and then the profile. No round of Run and no acknowledgement is under way meanwhile, which would
// be told that this device is none any more.
func (c *Client) erase(ctx context.Context, user qpq.UserID) error {
	if err := c.chatting.take(ctx); err != nil {
		return err
	}
	defer c.chatting.give()
	s, err := c.member(ctx)
	if err != nil {
		return err
	}
	if err := s.arrived.settle(ctx); err != nil {
		return err
	}
	if err := c.cfg.Profile.SetStatus(profile.Deleting); err != nil {
		return err
	}
	_, err = wire.Call(ctx, s, wire.AccountDelete{User: user})
	switch {
	case err == nil || errors.Is(err, qpq.NotFound):
		err := c.cfg.Profile.Forget()
		_ = s.Close() // it was the account's: who stays connected learns that there is none any more
		return err
	case lost(err): // did it take place? the next connection finds out
		_ = s.Close()
		if _, again := c.member(ctx); errors.Is(again, profile.ErrNoAccount) {
			return nil
		}
		return unreachable(s.address, err)
	}
	return errors.Join(err, c.cfg.Profile.SetStatus(profile.Enrolled))
}
