package client

import (
	"context"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/wire"
)

// vaultKey opens the vault by this device's own wrap. It returns the version of the vault's keys too. Keys and account state are
// read one after the other: where they do not belong together, and another device changed them in between, they are read again.
func (c *Client) vaultKey(ctx context.Context) (key *identity.VaultKey, version uint64, err error) {
	for range tries {
		before := version
		if key, version, err = c.readVaultKey(ctx); err == nil || version == before || version == 0 {
			break
		}
	}
	return key, version, err
}

// readVaultKey fails with the version of the keys where the newest account state is not the one that they belong to.
func (c *Client) readVaultKey(ctx context.Context) (*identity.VaultKey, uint64, error) {
	s, err := c.member(ctx)
	if err != nil {
		return nil, 0, err
	}
	account := s.account.Load()
	reply, err := call(ctx, c, wire.VaultKeysGet{})
	if err != nil {
		return nil, 0, err
	}
	state, err := c.ownState(ctx, s, account.User) // after the keys, which are not to be newer
	if err != nil {
		return nil, 0, unreachable(s.address, err)
	}
	key, err := account.Device.OpenVault(state, reply.Keys.WrapFor(account.Device.ID()))
	return key, reply.Keys.Version, err
}

var errOldVault = qpq.E(qpq.Damaged, "rolled-back", "the server shows an older vault than this device has seen: it was restored from an old copy, or hides something")

// VaultGet reads an item of the vault. It fails with qpq.NotFound, and with qpq.Damaged where the server shows an older
// version than this device has seen.
func (c *Client) VaultGet(ctx context.Context, name string) ([]byte, uint64, error) {
	key, _, err := c.vaultKey(ctx)
	if err != nil {
		return nil, 0, err
	}
	defer key.Wipe()
	reply, err := call(ctx, c, wire.VaultGet{Names: []string{name}})
	if err != nil {
		return nil, 0, err
	}
	seen, err := c.cfg.Profile.VaultVersion(name)
	if err != nil {
		return nil, 0, err
	}
	for _, item := range reply.Items {
		if item.Name != name {
			continue
		}
		if item.Version < seen {
			break
		}
		account, err := c.cfg.Profile.Account()
		if err != nil {
			return nil, 0, err
		}
		content, err := key.Open(account.User, name, item.Version, item.Sealed)
		if err != nil {
			return nil, 0, err
		}
		return content, item.Version, c.cfg.Profile.SetVaultVersion(name, item.Version)
	}
	if seen > 0 {
		return nil, 0, errOldVault
	}
	return nil, 0, qpq.E(qpq.NotFound, "no-item", "the vault has no item "+name)
}

// VaultPut writes an item of the vault in place of a version, 0 for a new one. It fails with qpq.Conflict where another device was first.
func (c *Client) VaultPut(ctx context.Context, name string, content []byte, replaces uint64) error {
	s, err := c.member(ctx)
	if err != nil {
		return err
	}
	key, version, err := c.vaultKey(ctx)
	if err != nil {
		return err
	}
	defer key.Wipe()
	sealed, err := key.Seal(random, s.account.Load().User, name, replaces+1, content)
	if err != nil {
		return err
	}
	_, err = call(ctx, c, wire.VaultPut{Item: wire.VaultItem{Name: name, Version: replaces + 1, Sealed: sealed}, KeysVersion: version})
	if err != nil {
		return err
	}
	return c.cfg.Profile.SetVaultVersion(name, replaces+1)
}
