package sqlite_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ncruces/go-sqlite3"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/store/sqlite"
	"github.com/quicproquo/qpq/store/storetest/disk"
)

// TestFaults lets the disk fail at every operation in turn, for good: callers learn what is wrong, what
// was acknowledged stays, and the store works again when the disk does.
func TestFaults(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault error
		kind  qpq.Kind
		code  string
	}{
		"disk full": {sqlite3.FULL, qpq.Exhausted, "disk-full"},
		"read-only": {sqlite3.READONLY, qpq.Unavailable, "disk-read-only"},
		"I/O error": {sqlite3.IOERR_WRITE, qpq.Unavailable, "store-failing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			faults := 0
			for at := range int64(40) {
				if failAt(t, at, c.fault, c.kind, c.code) {
					faults++
				}
			}
			if faults < 20 {
				t.Errorf("the disk failed in only %d of 40 runs", faults)
			}
		})
	}
}

// failAt runs transfers on a disk whose operation number at, counted from the first transfer, and all
// later ones fail. It reports whether a transfer failed.
func failAt(t *testing.T, at int64, fault error, kind qpq.Kind, code string) (failed bool) {
	t.Helper()
	d, l := disk.New(t, uint64(at)), &ledger{acked: map[int]bool{}}
	var armed, healed atomic.Bool
	var ops atomic.Int64
	var synced atomic.Bool // what failed last was a sync
	d.Before = func(op disk.Op) error {
		if armed.Load() && !healed.Load() && ops.Add(1) > at {
			synced.Store(op.Kind == disk.Sync)
			return fault
		}
		return nil
	}
	e := open(t, diskConfig(d))
	armed.Store(true)
	for range 30 {
		if err := l.transfer(e); err != nil {
			canBe := (synced.Load() || (l.tried-1)%later == later-1) && qpq.KindOf(err) == qpq.Unavailable // it may be there
			if failed = true; qpq.KindOf(err) != kind && !canBe || qpq.CodeOf(err) != code {
				t.Fatalf("fault at %d: %v is %v %q", at, err, qpq.KindOf(err), qpq.CodeOf(err))
			}
			if err := l.audit(e); err != nil {
				t.Fatalf("fault at %d, while it lasts: %v", at, err)
			}
		}
	}
	healed.Store(true)
	if err := l.transfer(e); err != nil {
		t.Fatalf("fault at %d: a healed disk: %v", at, err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = open(t, diskConfig(d))
	if err := l.audit(e); err != nil {
		t.Fatalf("fault at %d, after a restart: %v", at, err)
	}
	if err := e.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	return failed
}

// TestUnsure: a commit of which all is in the file when its sync fails may be there after a kill, and its caller is told of an error after which that may be so; one that
// could not be written is not there, whatever is written after it.
func TestUnsure(t *testing.T) {
	t.Parallel()
	for i, c := range []struct {
		fails disk.Kind
		kind  qpq.Kind
		there int
	}{{disk.Sync, qpq.Unavailable, 1}, {disk.Write, qpq.Exhausted, 0}} {
		d := disk.New(t, uint64(i))
		var armed atomic.Bool
		d.Before = func(op disk.Op) error {
			if op.Kind == c.fails && op.File == "/qpq.db-wal" && armed.Load() {
				return sqlite3.FULL
			}
			return nil
		}
		e := open(t, diskConfig(d))
		fill(t, e, 0, 1)
		armed.Store(true)
		err := e.Update(background, func(tx store.Tx) error { return insertItem(tx, 1, 1) })
		if qpq.KindOf(err) != c.kind || qpq.CodeOf(err) != "disk-full" {
			t.Errorf("%s: %v is %v", c.fails, err, qpq.KindOf(err))
		}
		armed.Store(false)
		d.Crash()
		e = open(t, diskConfig(d))
		if n := items(t, e, "1"); n != c.there {
			t.Errorf("%s: %d items are there after a kill, want %d", c.fails, n, c.there)
		}
	}
}

// TestSharedCommits holds every commit at its sync until all callers that are not in it wait in the
// queue, as a slow disk would, and counts syncs.
func TestSharedCommits(t *testing.T) {
	t.Parallel()
	const callers, each = 256, 8
	d := disk.New(t, 1)
	var e *sqlite.Engine
	var working, ran atomic.Int64
	d.Before = func(op disk.Op) error {
		for op.Kind == disk.Sync && working.Load() > 0 {
			s := e.Stats()
			if inCommit := ran.Load() - int64(s.Updates); int64(s.Queued)+inCommit >= working.Load() {
				break
			}
			runtime.Gosched()
		}
		return nil
	}
	e = open(t, diskConfig(d))
	before := d.Syncs()
	working.Store(callers)
	insert := func(i, n int) error {
		return e.Update(background, func(tx store.Tx) error {
			ran.Add(1)
			_, err := tx.Exec(`INSERT INTO mailboxes (account, last, dropped, size) VALUES ($1, $2, 0, 0)`, fmt.Sprint(i, n), int64(n))
			return err
		})
	}
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			defer working.Add(-1)
			for n := range each {
				if err := insert(i, n); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	s := e.Stats()
	if s.Updates != callers*each || s.Failed != 0 || s.Queued != 0 || s.LargestBatch < callers/2 || s.CommitTime == 0 {
		t.Errorf("stats: %+v", s)
	}
	if syncs := d.Syncs() - before; syncs*1000 > 60*callers*each {
		t.Errorf("%d syncs for %d updates, more than 60 in a thousand", syncs, callers*each)
	}
}

// TestDamage: a file that is no database, and one whose middle was overwritten.
func TestDamage(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "qpq.db")
	e := open(t, sqlite.Config{Path: path})
	l := &ledger{acked: map[int]bool{}}
	for range 100 {
		if err := l.transfer(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, append(append(bytes.Clone(whole[:len(whole)/2]), make([]byte, 8192)...), whole[len(whole)/2+8192:]...))
	e = open(t, sqlite.Config{Path: path})
	if err := e.Check(t.Context()); qpq.KindOf(err) != qpq.Damaged {
		t.Errorf("check of an overwritten file: %v", err)
	}
	_ = e.Close()
	write(t, path, bytes.Repeat([]byte("not a database "), 1000))
	if _, err := sqlite.Open(t.Context(), sqlite.Config{Path: path}); qpq.KindOf(err) != qpq.Damaged {
		t.Errorf("opening a file that is no database: %v", err)
	}
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestWithdrawn cancels a caller that waits behind a blocked commit: it returns at once and its update
// never happens.
func TestWithdrawn(t *testing.T) {
	t.Parallel()
	e := open(t, sqlite.Config{Path: filepath.Join(t.TempDir(), "qpq.db"), Queue: 1})
	running, release := make(chan struct{}), make(chan struct{})
	first := make(chan error)
	go func() {
		first <- e.Update(background, func(store.Tx) error {
			close(running)
			<-release
			return nil
		})
	}()
	<-running
	results := make(chan error)
	ctx, cancel := context.WithCancel(t.Context())
	for range 3 { // one is queued, two wait for room
		go func() {
			results <- e.Update(ctx, func(store.Tx) error { t.Error("a withdrawn update ran"); return nil })
		}()
	}
	for e.Stats().Queued == 0 {
		runtime.Gosched()
	}
	cancel()
	for range 3 {
		if err := <-results; qpq.KindOf(err) != qpq.Unavailable || qpq.CodeOf(err) != "cancelled" {
			t.Errorf("a withdrawn update returned %v", err)
		}
	}
	close(release)
	if err := <-first; err != nil {
		t.Error(err)
	}
}
