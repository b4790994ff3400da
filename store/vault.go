package store

import (
	"context"
	"fmt"

	"github.com/quicproquo/qpq"
)

// VaultItem is one sealed value of an account's vault: the vault itself, the account key, the vault
// key wrapped to a device, and so on. The store cannot open any and gives the names no meaning.
type VaultItem struct {
	Name    string
	Version int64  // read: 1 for the first value; written: the version to replace, 0 for none
	Value   []byte // written: nil removes the item
}

// Vault returns all items of an account's vault in order of name, NotFound if there is no such account.
func (s *Store) Vault(ctx context.Context, name string) (items []VaultItem, err error) {
	err = s.view(ctx, "read a vault", func(tx Tx) error {
		if err := needAccount(tx, name); err != nil {
			return err
		}
		items = nil
		return tx.Query(func(r Row) error {
			var v VaultItem
			err := r.Scan(&v.Name, &v.Version, &v.Value)
			items = append(items, v)
			return err
		}, selectVault, name)
	})
	return items, err
}

// PutVault replaces, adds and removes items, all or none. It returns Conflict with code "vault-moved"
// if an item is not of the version that was to be replaced.
func (s *Store) PutVault(ctx context.Context, name string, items []VaultItem) error {
	return s.ChangeAccount(ctx, AccountChange{Name: name, Vault: items})
}

func putVault(tx Tx, name string, items []VaultItem) error {
	for _, v := range items {
		moved := qpq.E(qpq.Conflict, "vault-moved", fmt.Sprintf("the vault item %q is no longer of version %d: "+
			"read the vault again and repeat the change", v.Name, v.Version))
		var err error
		switch {
		case v.Value == nil:
			err = must(tx, moved, deleteVaultItem, name, v.Name, v.Version)
		case v.Version == 0:
			err = must(tx, moved, insertVaultItem, name, v.Name, v.Value)
		default:
			err = must(tx, moved, updateVaultItem, name, v.Name, v.Version, v.Value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

const (
	selectVault     = `SELECT item, version, value FROM vault_items WHERE account = $1 ORDER BY item`
	insertVaultItem = `INSERT INTO vault_items (account, item, version, value) VALUES ($1, $2, 1, $3) ON CONFLICT (account, item) DO NOTHING`
	updateVaultItem = `UPDATE vault_items SET version = version + 1, value = $4 WHERE account = $1 AND item = $2 AND version = $3`
	deleteVaultItem = `DELETE FROM vault_items WHERE account = $1 AND item = $2 AND version = $3`
)
