package sqlite_test

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ncruces/go-sqlite3"

	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/store/storetest/disk"
)

// putItems stores so many items of 3,000 bytes.
func putItems(tx store.Tx, account string, n int) error {
	for i := range n {
		value := bytes.Repeat([]byte{byte(i)}, 3000)
		if _, err := tx.Exec(`INSERT INTO vault_items (account, item, version, value) VALUES ($1, $2, $3, $4)`, account, fmt.Sprintf("%06d", i), int64(i), value); err != nil {
			return err
		}
	}
	return nil
}

// wantItems fails unless all items of an account are as they were stored, and so many.
func wantItems(t *testing.T, tx store.Tx, account string, want int) {
	t.Helper()
	n := 0
	err := tx.Query(func(r store.Row) error {
		var version int64
		var value []byte
		err := r.Scan(&version, &value)
		if version != int64(n) || !bytes.Equal(value, bytes.Repeat([]byte{byte(n)}, 3000)) {
			t.Errorf("item %d of %s is number %d, with %d bytes", n, account, version, len(value))
		}
		n++
		return err
	}, `SELECT version, value FROM vault_items WHERE account = $1 ORDER BY item`, account)
	if err != nil || n != want {
		t.Errorf("%d items of %s, want %d: %v", n, account, want, err)
	}
}

// TestGatheredWrites counts how often a commit writes to the log.
func TestGatheredWrites(t *testing.T) {
	t.Parallel()
	d := disk.New(t, 1)
	var writes atomic.Int64
	d.Before = func(op disk.Op) error {
		if op.Kind == disk.Write && strings.HasSuffix(op.File, "-wal") {
			writes.Add(1)
		}
		return nil
	}
	e := open(t, diskConfig(d))
	before := writes.Load()
	if err := e.Update(background, func(tx store.Tx) error { return putItems(tx, "alice", 100) }); err != nil {
		t.Fatal(err)
	}
	if n := writes.Load() - before; n > 12 { // 120 pages of 4 KiB and their headers, 64 KiB at a time
		t.Errorf("a commit of 300 KB wrote %d times, at most 12 are expected", n)
	}
}

// TestMoreThanTheCache has transactions go to the log in parts, from where they are read while they go on, one of which is undone.
func TestMoreThanTheCache(t *testing.T) {
	t.Parallel()
	const n = 8000 // 24 MB, of which the cache holds 16
	d := disk.New(t, 1)
	e := open(t, diskConfig(d))
	undo := errors.New("undo")
	for _, c := range []struct {
		account string
		end     error
	}{{"alice", nil}, {"bob", undo}, {"carol", nil}} {
		err := e.Update(background, func(tx store.Tx) error {
			if err := putItems(tx, c.account, n); err != nil {
				return err
			}
			wantItems(t, tx, c.account, n)
			return c.end
		})
		if !errors.Is(err, c.end) {
			t.Errorf("%s: %v, want %v", c.account, err, c.end)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	d.PowerLoss()
	e = open(t, diskConfig(d))
	for account, want := range map[string]int{"alice": n, "bob": 0, "carol": n} {
		if err := e.View(background, func(tx store.Tx) error { wantItems(t, tx, account, want); return nil }); err != nil {
			t.Error(err)
		}
	}
	if err := e.Check(background); err != nil {
		t.Error(err)
	}
}

// failOnce returns a disk on which the next write to the log fails, once it is armed.
func failOnce(t *testing.T, fault error) (d *disk.Disk, armed *atomic.Bool) {
	d, armed = disk.New(t, 1), new(atomic.Bool)
	d.Before = func(op disk.Op) error {
		if op.Kind == disk.Write && strings.HasSuffix(op.File, "-wal") && armed.CompareAndSwap(true, false) {
			return fault
		}
		return nil
	}
	return d, armed
}

// copyItems stores a few items of an account for another one.
func copyItems(tx store.Tx, from, to string) error {
	_, err := tx.Exec(`INSERT INTO vault_items (account, item, version, value)
		SELECT $2, item, version, value FROM vault_items WHERE account = $1 AND version < 3 ORDER BY item`, from, to)
	return err
}

// TestFullWhileRead has the disk fail when a transaction that is larger than the cache reads what it wrote: what is acknowledged is whole.
func TestFullWhileRead(t *testing.T) {
	t.Parallel()
	const n = 8000
	for name, fault := range map[string]error{"disk full": sqlite3.FULL, "read-only": sqlite3.READONLY, "I/O error": sqlite3.IOERR_WRITE} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, armed := failOnce(t, fault)
			e := open(t, diskConfig(d))
			err := e.Update(background, func(tx store.Tx) error {
				if err := putItems(tx, "alice", n); err != nil {
					return err
				}
				armed.Store(true)
				_ = copyItems(tx, "alice", "zoe") // who asks goes on
				return nil
			})
			if err == nil {
				err = e.View(background, func(tx store.Tx) error { wantItems(t, tx, "alice", n); return nil })
			}
			if damaged := e.Check(background); damaged != nil {
				t.Errorf("%v; the update: %v", damaged, err)
			}
		})
	}
}

// TestFullForAnother has the disk fail for the second of two updates in one transaction that is larger than the cache.
func TestFullForAnother(t *testing.T) {
	t.Parallel()
	const n = 8000
	d, armed := failOnce(t, sqlite3.FULL)
	e := open(t, diskConfig(d))
	running, release := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		_ = e.Update(background, func(store.Tx) error { close(running); <-release; return nil })
	})
	<-running
	var first error
	all.Go(func() {
		first = e.Update(background, func(tx store.Tx) error { return putItems(tx, "alice", n) })
	})
	for e.Stats().Queued < 1 {
		runtime.Gosched()
	}
	all.Go(func() {
		_ = e.Update(background, func(tx store.Tx) error {
			if _, err := tx.Exec(`INSERT INTO mailboxes (account, last, dropped, size) VALUES ('zoe', 1, 1, 1)`); err != nil {
				return err
			}
			armed.Store(true)
			return copyItems(tx, "alice", "zoe")
		})
	})
	for e.Stats().Queued < 2 {
		runtime.Gosched()
	}
	close(release)
	all.Wait()
	if first == nil {
		if err := e.View(background, func(tx store.Tx) error { wantItems(t, tx, "alice", n); return nil }); err != nil {
			t.Error(err)
		}
	}
	if err := e.Check(background); err != nil {
		t.Errorf("%v; the first update: %v", err, first)
	}
}
