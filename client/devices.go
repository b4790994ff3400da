package client

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/wire"
)

// maxDeviceName is how many bytes a device's name has at most.
const maxDeviceName = 64

// renewBefore is how long before its end people are told to renew a certificate.
const renewBefore = 30 * 24 * time.Hour

// ErrOwnDevice is what RevokeDevice says about the device that it runs on.
var ErrOwnDevice error = qpq.E(qpq.Invalid, "own-device", "a device cannot revoke itself: revoke it from another one, or delete the account")

// Device is one device of the own account.
type Device struct {
	ID      qpq.DeviceID
	Name    string // empty if it was never named
	This    bool   // the one that asks
	Added   time.Time
	Seen    time.Time // when it last connected, to the day
	Expires time.Time // when its certificate ends
}

// Devices lists the devices of the account.
func (c *Client) Devices(ctx context.Context) ([]Device, error) {
	s, err := c.member(ctx)
	if err != nil {
		return nil, err
	}
	account := s.account.Load()
	vault, _, err := c.vaultKey(ctx)
	if err != nil {
		return nil, err
	}
	defer vault.Wipe()
	state, err := c.ownState(ctx, s, account.User)
	if err != nil {
		return nil, err
	}
	reply, err := call(ctx, c, wire.DevicesList{})
	if err != nil {
		return nil, err
	}
	var list []Device
	for _, certificate := range state.Devices { // the account says which devices there are, the server only what it saw of them
		d := Device{ID: certificate.ID(), This: certificate.ID() == account.Device.ID(), Added: certificate.NotBefore, Expires: certificate.NotAfter}
		if i := slices.IndexFunc(reply.Devices, func(e wire.DeviceEntry) bool { return e.Device == d.ID }); i >= 0 {
			entry := reply.Devices[i]
			d.Added, d.Seen = entry.Added, entry.Seen
			if d.Name, err = c.readName(ctx, s, vault, account.User, entry); err != nil {
				return nil, err
			}
		}
		list = append(list, d)
	}
	slices.SortFunc(list, func(a, b Device) int { return a.Added.Compare(b.Added) })
	return list, nil
}

// readName opens the name of a device. One that the vault's key of today does not open is from before a rotation
// that was interrupted: it is sealed anew, if this device remembers it.
func (c *Client) readName(ctx context.Context, s *session, vault *identity.VaultKey, user qpq.UserID, e wire.DeviceEntry) (string, error) {
	known, err := c.cfg.Profile.DeviceName(e.Device)
	if err != nil || len(e.SealedName) == 0 {
		return "", err
	}
	name, err := vault.Open(user, identity.DeviceNameItem(e.Device), 1, e.SealedName)
	if err == nil {
		return qpq.Printable(string(name)), c.cfg.Profile.SetDeviceName(e.Device, qpq.Printable(string(name)))
	}
	if known == "" {
		return "", nil
	}
	return known, c.nameDevice(ctx, s, vault, user, e.Device, known)
}

// FindDevice returns the device that people mean by its name or by the beginning of its id. It fails with qpq.NotFound, and
// with qpq.Invalid where several fit.
func (c *Client) FindDevice(ctx context.Context, text string) (Device, error) {
	list, err := c.Devices(ctx)
	if err != nil {
		return Device{}, err
	}
	var found []Device
	for _, d := range list {
		begins := len(text) >= 4 && (strings.HasPrefix(d.ID.Short(), text) || strings.HasPrefix(d.ID.String(), strings.ToLower(text)))
		if d.Name == text || begins {
			found = append(found, d)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return Device{}, qpq.E(qpq.NotFound, "no-device", fmt.Sprintf("your account has no device %q: list them with devices", text))
	}
	return Device{}, qpq.E(qpq.Invalid, "ambiguous-device", fmt.Sprintf("%d devices are called %q: use the id", len(found), text))
}

// RenameDevice names a device of the account. Only its own devices can read the name.
func (c *Client) RenameDevice(ctx context.Context, id qpq.DeviceID, name string) error {
	s, err := c.member(ctx)
	if err != nil {
		return err
	}
	vault, _, err := c.vaultKey(ctx)
	if err != nil {
		return err
	}
	defer vault.Wipe()
	return c.nameDevice(ctx, s, vault, s.account.Load().User, id, name)
}

func (c *Client) nameDevice(ctx context.Context, s *session, vault *identity.VaultKey, user qpq.UserID, id qpq.DeviceID, name string) error {
	name = strings.TrimSpace(name)
	if name == "" || len(name) > maxDeviceName || !utf8.ValidString(name) || qpq.Printable(name) != name || strings.ContainsAny(name, "\n\t") {
		return qpq.E(qpq.Invalid, "bad-device-name", fmt.Sprintf("%q is no name of a device: it takes 1 to %d bytes that can be shown", name, maxDeviceName))
	}
	sealed, err := vault.Seal(random, user, identity.DeviceNameItem(id), 1, []byte(name))
	if err != nil {
		return err
	}
	if _, err := wire.Call(ctx, s, wire.DeviceRename{Device: id, SealedName: sealed}); err != nil {
		return unreachable(s.address, err)
	}
	return c.cfg.Profile.SetDeviceName(id, name)
}

// RevokeDevice takes a device out of the account. The account key and the vault's key change with it, so that what the device
// may have kept opens nothing that is new.
func (c *Client) RevokeDevice(ctx context.Context, id qpq.DeviceID, with Credentials) error {
	names := map[qpq.DeviceID]string{}
	list, err := c.Devices(ctx) // remembers all names, to seal them under the new key
	if err != nil {
		return err
	}
	for _, d := range list {
		names[d.ID] = d.Name
	}
	err = c.change(ctx, with, func(s *session, u *unlocked) error {
		if id == s.account.Load().Device.ID() {
			return ErrOwnDevice
		}
		if u.state.Device(id) == nil {
			if u.state.Revoked(id) {
				return nil // by another device, or by a try of this one whose answer was lost
			}
			return qpq.E(qpq.NotFound, "no-device", fmt.Sprintf("your account has no device %s", id.Short()))
		}
		return c.revoke(ctx, s, u, id, names)
	})
	if err != nil {
		return err
	}
	if err := c.Sync(ctx); err != nil { // it gets nothing more from the server; now it is removed from the groups
		c.notice("background", fmt.Sprintf("the device was revoked; it is removed from conversations when this one is connected again: %v", err))
	}
	return nil
}

func (c *Client) revoke(ctx context.Context, s *session, u *unlocked, id qpq.DeviceID, names map[qpq.DeviceID]string) error {
	account, err := identity.NewAccountKey(random)
	if err != nil {
		return err
	}
	defer account.Wipe()
	vault, err := identity.NewVaultKey(random)
	if err != nil {
		return err
	}
	defer vault.Wipe()
	next, err := u.state.Next(identity.Change{Now: c.now(u.state), Key: u.account, Revoke: []qpq.DeviceID{id}, NewKey: account, Vault: vault})
	if err != nil {
		return err
	}
	items, err := c.resealVault(ctx, s, u, vault)
	if err != nil {
		return err
	}
	rotated := unlocked{state: next, keys: u.keys, password: u.password, recovery: u.recovery, account: account, vault: vault}
	keys, err := rotated.seal(next)
	if err != nil {
		return err
	}
	if _, err := wire.Call(ctx, s, wire.AccountPublish{State: next.Bytes(), Keys: &keys, Items: items}); err != nil {
		return err
	}
	if err := c.cfg.Profile.SetState(next); err != nil {
		return err
	}
	for _, d := range next.Devices {
		if name := names[d.ID()]; name != "" {
			if err := c.nameDevice(ctx, s, vault, next.User, d.ID(), name); err != nil {
				return err
			}
		}
	}
	return nil
}

// resealVault reads all items of the vault and seals them under a new key.
func (c *Client) resealVault(ctx context.Context, s *session, u *unlocked, vault *identity.VaultKey) ([]wire.VaultItem, error) {
	list, err := wire.Call(ctx, s, wire.VaultGet{})
	if err != nil || len(list.Items) == 0 {
		return nil, err
	}
	var names []string
	for _, item := range list.Items {
		names = append(names, item.Name)
	}
	full, err := wire.Call(ctx, s, wire.VaultGet{Names: names})
	if err != nil {
		return nil, err
	}
	var items []wire.VaultItem
	for _, item := range full.Items {
		seen, err := c.cfg.Profile.VaultVersion(item.Name)
		if err != nil {
			return nil, err
		}
		if item.Version < seen {
			return nil, errOldVault
		}
		content, err := u.vault.Open(u.state.User, item.Name, item.Version, item.Sealed)
		if err != nil { // any device can write one, and none must be able to stop its own revocation
			content = nil
			c.notice("vault-item-lost", fmt.Sprintf("the item %q of your vault could not be opened and was emptied: a device, or the server, had put something else there", item.Name))
		}
		sealed, err := vault.Seal(random, u.state.User, item.Name, item.Version+1, content)
		clear(content)
		if err != nil {
			return nil, err
		}
		items = append(items, wire.VaultItem{Name: item.Name, Version: item.Version + 1, Sealed: sealed})
	}
	return items, nil
}

// RenewDevices certifies all devices of the account for another year.
func (c *Client) RenewDevices(ctx context.Context, with Credentials) error {
	return c.change(ctx, with, func(s *session, u *unlocked) error {
		var requests []*identity.DeviceRequest
		for _, d := range u.state.Devices {
			requests = append(requests, d.Request())
		}
		next, err := u.state.Next(identity.Change{Now: c.now(u.state), Key: u.account, Add: requests})
		if err != nil {
			return err
		}
		same := func(a, b *identity.DeviceCertificate) bool { return bytes.Equal(a.Bytes(), b.Bytes()) }
		if slices.EqualFunc(next.Devices, u.state.Devices, same) {
			return nil // all were certified within this second
		}
		if _, err := wire.Call(ctx, s, wire.AccountPublish{State: next.Bytes()}); err != nil {
			return err
		}
		return c.cfg.Profile.SetState(next)
	})
}

// now returns the time for a state that follows another: never before that one's.
func (c *Client) now(before *identity.AccountState) time.Time {
	if now := c.cfg.Clock(); now.After(before.Created) {
		return now
	}
	return before.Created
}

// warnExpiry tells in time that the certificate of this device ends.
func (c *Client) warnExpiry(state *identity.AccountState, id qpq.DeviceID) {
	d := state.Device(id)
	if d == nil {
		return
	}
	if left := d.NotAfter.Sub(c.cfg.Clock()); left < renewBefore {
		c.notice("certificate-expires", fmt.Sprintf("the certificate of this device ends on %s, and nobody will add it to a conversation afterwards: renew it with devices renew", d.NotAfter.Format(time.DateOnly)))
	}
}
