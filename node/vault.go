package node

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/wire"
)

// Items that the server itself keeps in a vault, beside those of clients. No client's item has a slash.
const (
	itemKeys = "/keys" // the encoded wire.VaultKeys; its version is theirs
	itemSet  = "/set"  // replaced whenever an item is added: so nobody rotates a vault that gains an item meanwhile
)

// vault is what the store holds of one account's vault.
type vault struct {
	keys  wire.VaultKeys
	set   int64 // version of itemSet
	items map[string]store.VaultItem
	names []string // of items, in order
	size  int      // bytes of all items
}

// newVault returns the items of a new account's vault.
func newVault(keys wire.VaultKeys) ([]store.VaultItem, error) {
	b, err := wire.Marshal(keys)
	if err != nil {
		return nil, err
	}
	return []store.VaultItem{{Name: itemKeys, Value: b}, {Name: itemSet, Value: []byte{1}}}, nil
}

func (s *Server) readVault(ctx context.Context, name string) (*vault, error) {
	list, err := s.cfg.Store.Vault(ctx, name)
	if err != nil {
		return nil, contract(err)
	}
	v := &vault{items: map[string]store.VaultItem{}}
	for _, item := range list {
		switch item.Name {
		case itemKeys:
			if v.keys, err = wire.Unmarshal[wire.VaultKeys](item.Value); err != nil || v.keys.Version != uint64(item.Version) {
				return nil, qpq.Wrap(qpq.Damaged, "store-damaged", "the server's record of the vault is damaged", err)
			}
		case itemSet:
			v.set = item.Version
		default:
			v.items[item.Name] = item
			v.names = append(v.names, item.Name)
			v.size += len(item.Value)
		}
	}
	return v, nil
}

// replaceKeys returns the item that puts new keys in place of those of v, if they fit a state.
func (v *vault) replaceKeys(keys wire.VaultKeys, state *identity.AccountState) (store.VaultItem, error) {
	if err := keys.Check(state, v.keys.Version); err != nil {
		return store.VaultItem{}, err
	}
	b, err := wire.Marshal(keys)
	return store.VaultItem{Name: itemKeys, Version: int64(v.keys.Version), Value: b}, err
}

// replaceItems returns the items that put all of a vault anew, under a new vault key.
func (s *Server) replaceItems(v *vault, items []wire.VaultItem) ([]store.VaultItem, error) {
	out := []store.VaultItem{{Name: itemSet, Version: v.set, Value: []byte{1}}}
	seen, size := map[string]bool{}, 0
	for _, item := range items {
		before, ok := v.items[item.Name]
		if !ok || seen[item.Name] || item.Version != uint64(before.Version)+1 {
			return nil, errVaultMoved
		}
		if err := s.checkItem(item); err != nil {
			return nil, err
		}
		seen[item.Name] = true
		size += len(item.Sealed)
		out = append(out, store.VaultItem{Name: item.Name, Version: before.Version, Value: item.Sealed})
	}
	if len(seen) != len(v.items) {
		return nil, errVaultMoved
	}
	return out, s.checkSize(size)
}

var errVaultMoved = qpq.E(qpq.Conflict, wire.CodeVaultConflict, "the items that came are not those of the vault, each one version newer: read the vault again and redo the change")

func (s *Server) vaultKeysGet(ctx context.Context, c *conn, _ wire.VaultKeysGet) (wire.VaultKeysGetReply, error) {
	user, _ := c.who()
	v, err := s.readVault(ctx, user.Name)
	if err != nil {
		return wire.VaultKeysGetReply{}, err
	}
	if !c.hasPassword(time.Now()) {
		v.keys.AccountKey, v.keys.PasswordWrap = nil, nil
	}
	return wire.VaultKeysGetReply{Keys: v.keys}, nil
}

func (s *Server) vaultGet(ctx context.Context, c *conn, q wire.VaultGet) (wire.VaultGetReply, error) {
	user, _ := c.who()
	v, err := s.readVault(ctx, user.Name)
	if err != nil {
		return wire.VaultGetReply{}, err
	}
	r := wire.VaultGetReply{KeysVersion: v.keys.Version}
	if len(q.Names) == 0 {
		for _, name := range v.names {
			r.Items = append(r.Items, wire.VaultItem{Name: name, Version: uint64(v.items[name].Version)})
		}
		return r, nil
	}
	if c.hasPassword(time.Now()) {
		s.frozen.freeze(user.Name, time.Now()) // to be sealed anew under another key
	}
	seen := map[string]bool{}
	for _, name := range q.Names {
		if item, ok := v.items[name]; ok && !seen[name] {
			seen[name] = true
			r.Items = append(r.Items, wire.VaultItem{Name: name, Version: uint64(item.Version), Sealed: item.Value})
		}
	}
	return r, nil
}

func (s *Server) vaultPut(ctx context.Context, c *conn, q wire.VaultPut) (wire.VaultPutReply, error) {
	var none wire.VaultPutReply
	if err := s.checkItem(q.Item); err != nil {
		return none, err
	}
	user, _ := c.who()
	if now := time.Now(); !c.hasPassword(now) && s.frozen.is(user.Name, now) {
		return none, qpq.E(qpq.Unavailable, "vault-frozen", "the vault is being sealed anew by another device: try again in a moment")
	}
	v, err := s.readVault(ctx, user.Name)
	if err != nil {
		return none, err
	}
	before, exists := v.items[q.Item.Name]
	if exists && uint64(before.Version) == q.Item.Version && bytes.Equal(before.Value, q.Item.Sealed) {
		return none, nil // a repetition
	}
	if q.KeysVersion != v.keys.Version || q.Item.Version != uint64(before.Version)+1 {
		return none, qpq.E(qpq.Conflict, wire.CodeVaultConflict, fmt.Sprintf(
			"the vault's keys are at version %d and the item %q at %d: read both again and redo the change", v.keys.Version, q.Item.Name, before.Version))
	}
	if err := s.checkSize(v.size - len(before.Value) + len(q.Item.Sealed)); err != nil {
		return none, err
	}
	change := []store.VaultItem{{Name: q.Item.Name, Version: before.Version, Value: q.Item.Sealed}}
	if !exists {
		if len(v.items) >= s.limits.VaultItems {
			return none, qpq.E(qpq.Exhausted, "vault-full", fmt.Sprintf("a vault holds at most %d items here", s.limits.VaultItems))
		}
		change = append(change, store.VaultItem{Name: itemSet, Version: v.set, Value: []byte{1}})
	}
	return none, contract(s.cfg.Store.PutVault(ctx, user.Name, change))
}

// checkItem fails where an item has a name that none may have, or is too large.
func (s *Server) checkItem(item wire.VaultItem) error {
	if strings.Trim(item.Name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return qpq.E(qpq.Invalid, "bad-item", fmt.Sprintf("%q is no name of a vault item: it takes lower-case letters, digits and hyphens", item.Name))
	}
	if len(item.Sealed) == 0 {
		return qpq.E(qpq.Invalid, "bad-item", fmt.Sprintf("the vault item %q is empty: seal an empty content instead", item.Name))
	}
	if len(item.Sealed) > s.limits.VaultItem {
		return qpq.E(qpq.TooLarge, "item-too-large", fmt.Sprintf("the vault item %q has %d bytes, and the limit is %d", item.Name, len(item.Sealed), s.limits.VaultItem))
	}
	return nil
}

// checkSize fails where a vault could not be sealed anew in one frame any more.
func (s *Server) checkSize(size int) error {
	if size > s.limits.VaultSize {
		return qpq.E(qpq.Exhausted, "vault-full", fmt.Sprintf("a vault holds at most %d bytes here", s.limits.VaultSize))
	}
	return nil
}
