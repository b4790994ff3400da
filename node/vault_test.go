package node

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/store/sqlite"
	"github.com/quicproquo/qpq/wire"
)

func copyStore(from, to string) error { return sqlite.Copy(from, to) }

func put(name string, version, keys uint64, sealed string) wire.VaultPut {
	return wire.VaultPut{Item: wire.VaultItem{Name: name, Version: version, Sealed: []byte(sealed)}, KeysVersion: keys}
}

func TestVaultItems(t *testing.T) {
	r := newRig(t, nil)
	l := r.dial()
	l.register("alice")
	call(l, put("contacts", 1, 1, "one"))
	call(l, put("contacts", 1, 1, "one")) // a repetition
	refused(l, put("contacts", 1, 1, "another"), qpq.Conflict, wire.CodeVaultConflict)
	refused(l, put("contacts", 3, 1, "three"), qpq.Conflict, wire.CodeVaultConflict)
	refused(l, put("contacts", 2, 2, "two"), qpq.Conflict, wire.CodeVaultConflict)
	call(l, put("contacts", 2, 1, "two"))
	call(l, put("access-keys", 1, 1, "keys"))

	list := call(l, wire.VaultGet{})
	if len(list.Items) != 2 || list.Items[0].Name != "access-keys" || list.Items[1].Version != 2 || list.Items[1].Sealed != nil || list.KeysVersion != 1 {
		t.Errorf("%+v", list)
	}
	got := call(l, wire.VaultGet{Names: []string{"contacts", "none", "contacts", "/keys"}})
	if len(got.Items) != 1 || !bytes.Equal(got.Items[0].Sealed, []byte("two")) {
		t.Errorf("%+v", got)
	}
	other := r.dial()
	other.register("bob")
	if items := call(other, wire.VaultGet{Names: []string{"contacts"}}).Items; len(items) != 0 {
		t.Errorf("somebody else's vault: %+v", items)
	}
}

func TestVaultIsBounded(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Limits.VaultItem, c.Limits.VaultItems, c.Limits.VaultSize = 100, 3, 250 })
	l := r.dial()
	l.register("alice")
	for _, name := range []string{"/keys", "Upper", "with space", "ü", "a/b"} {
		refused(l, put(name, 1, 1, "x"), qpq.Invalid, "bad-item")
	}
	refused(l, put("empty", 1, 1, ""), qpq.Invalid, "bad-item")
	full := string(make([]byte, 100))
	refused(l, put("large", 1, 1, full+"x"), qpq.TooLarge, "item-too-large")
	call(l, put("a", 1, 1, full))
	call(l, put("b", 1, 1, full))
	refused(l, put("c", 1, 1, full), qpq.Exhausted, "vault-full")
	call(l, put("c", 1, 1, "x"))
	refused(l, put("d", 1, 1, "x"), qpq.Exhausted, "vault-full")
	call(l, put("a", 2, 1, "less"))
}

// TestItemNeverMissesARotation lets items come in while the vault key is replaced: either the rotation saw
// the item, or one of the two is told to begin again.
func TestItemNeverMissesARotation(t *testing.T) {
	r := newRig(t, nil)
	alice := r.dial().register("alice")
	thief, _ := r.enrol(alice)
	l, other := r.dial(), r.enrolled(alice)
	export := l.login(alice)
	done := make(chan int)
	go func() {
		put1 := 0
		for i := range 20 {
			if _, err := wire.Call(t.Context(), other, put(fmt.Sprintf("item-%d", i), 1, 2, "sealed under the old key")); err == nil {
				put1++
			} else if !errors.Is(err, qpq.Conflict) {
				t.Error(err)
			}
		}
		done <- put1
	}()
	_, err := r.tryRevoke(alice, l, export, thief)
	before := <-done
	items := call(other, wire.VaultGet{})
	stale := 0
	for _, item := range items.Items {
		if item.Version == 1 {
			stale++
		}
	}
	if err == nil && stale > 0 {
		t.Errorf("%d of %d items are under the old vault key after the rotation", stale, before)
	}
}
