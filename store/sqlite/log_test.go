package sqlite_test

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/store/sqlite"
	"github.com/quicproquo/qpq/store/storetest/disk"
)

// fill writes so many rows of eight pages.
func fill(t *testing.T, e *sqlite.Engine, from, rows int) {
	t.Helper()
	for n := range rows {
		err := e.Update(background, func(tx store.Tx) error {
			_, err := tx.Exec(`INSERT INTO vault_items (account, item, version, value) VALUES ($1, $2, 0, $3)`, "filler", fmt.Sprint(from+n), make([]byte, 30_000))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// fillCopied writes so many rows in a bubble, of which the log is being copied, and is not to be copied again at once. The last of them is not copied: where all are,
// the next commit begins a new log.
func fillCopied(t *testing.T, e *sqlite.Engine, rows int) {
	t.Helper()
	fill(t, e, 0, rows-1)
	synctest.Wait()
	fill(t, e, rows-1, 1)
}

// TestCommitsDoNotCheckpoint stops whatever is written to the database itself: updates are answered all the same, from the log alone.
func TestCommitsDoNotCheckpoint(t *testing.T) {
	t.Parallel()
	d := disk.New(t, 1)
	var armed atomic.Bool
	var once sync.Once
	began, release := make(chan struct{}), make(chan struct{})
	d.Before = func(op disk.Op) error {
		if armed.Load() && op.File == "/qpq.db" {
			once.Do(func() { close(began) })
			<-release
		}
		return nil
	}
	e := open(t, diskConfig(d))
	armed.Store(true)
	fill(t, e, 0, 10)
	<-began // more than that, and commits would wait for the log to begin anew
	fill(t, e, 10, 100)
	close(release)
	fill(t, e, 110, 100)
}

// TestCopyIsSynced: what is copied while a commit comes is synced beside the commits, once.
func TestCopyIsSynced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := disk.New(t, 1)
		var armed atomic.Bool
		var syncs atomic.Int64
		var once sync.Once
		began, release := make(chan struct{}), make(chan struct{})
		d.Before = func(op disk.Op) error {
			switch {
			case !armed.Load() || op.File != "/qpq.db":
			case op.Kind == disk.Sync:
				syncs.Add(1)
			case op.Kind == disk.Write:
				once.Do(func() { close(began) })
				<-release
			}
			return nil
		}
		e := open(t, diskConfig(d))
		armed.Store(true)
		fill(t, e, 0, 10)
		<-began
		fill(t, e, 10, 1)
		close(release)
		synctest.Wait()
		if n := syncs.Load(); n != 1 {
			t.Errorf("a copy was synced %d times, want 1", n)
		}
		fill(t, e, 11, 1)
		synctest.Wait()
		e.Copy()
		if n := syncs.Load(); n != 2 {
			t.Errorf("a copy and one of all were synced %d times, want 2", n)
		}
		armed.Store(false)
	})
}

// TestLostCopies has the sync of a part fail that was copied, and the log begin anew after it, or the store closed: nothing is lost by a loss of power.
func TestLostCopies(t *testing.T) {
	t.Parallel()
	for i, closed := range []bool{false, true} {
		for seed := uint64(i); seed < 20; seed += 2 {
			synctest.Test(t, func(t *testing.T) { loseCopies(t, disk.New(t, seed), closed) })
		}
	}
}

func loseCopies(t *testing.T, d *disk.Disk, closed bool) {
	var armed atomic.Bool
	d.Before = func(op disk.Op) error {
		if op.Kind == disk.Sync && op.File == "/qpq.db" && armed.CompareAndSwap(true, false) {
			return sqlite3.IOERR_FSYNC
		}
		return nil
	}
	e := open(t, diskConfig(d))
	fillCopied(t, e, 20)
	done := make(chan struct{})
	go func() {
		_ = e.View(background, func(tx store.Tx) error {
			err := tx.Query(func(store.Row) error { return nil }, `SELECT 1 FROM vault_items`)
			<-done
			return err
		})
	}()
	synctest.Wait()
	fill(t, e, 20, 20)
	synctest.Wait()
	armed.Store(true)
	e.Copy() // as far as nobody reads older pages
	if armed.Load() {
		t.Fatal("no copy was synced by itself")
	}
	close(done)
	synctest.Wait()
	want := 40
	if closed {
		_ = e.Close()
	} else {
		time.Sleep(time.Second)
		fill(t, e, 40, 8)
		synctest.Wait()
		if s := e.Stats(); s.LogStarts != 1 {
			t.Errorf("what was lost is not copied again: %+v", s)
		}
		fill(t, e, 48, 1) // over the log
		want = 49
	}
	d.PowerLoss()
	e = open(t, diskConfig(d))
	if err := e.Check(background); err != nil {
		t.Errorf("closed %v: %v", closed, err)
	}
	if n := items(t, e, "filler"); n != want {
		t.Errorf("closed %v: %d items are left, want %d", closed, n, want)
	}
}

// TestLogIsBounded has a disk that copies nothing before the log is as long as it may be: commits wait then, and it begins anew.
func TestLogIsBounded(t *testing.T) {
	t.Parallel()
	d := disk.New(t, 1)
	var e *sqlite.Engine
	var armed atomic.Bool
	d.Before = func(op disk.Op) error {
		for op.File == "/qpq.db" && armed.Load() && e.Stats().LogPages < sqlite.Longest {
			runtime.Gosched()
		}
		return nil
	}
	e = open(t, diskConfig(d))
	armed.Store(true)
	most := 0
	for rows := 0; e.Stats().LogStarts < 2; rows += 10 {
		if fill(t, e, rows, 10); rows > 5000 {
			t.Fatalf("the log does not begin anew: %+v", e.Stats())
		}
		most = max(most, e.Stats().LogPages)
	}
	armed.Store(false)
	if most < sqlite.Longest*9/10 || most > sqlite.Longest+100 {
		t.Errorf("the log had up to %d pages, and commits wait at %d", most, sqlite.Longest)
	}
	if size := len(d.Image()["/qpq.db-wal"]); size > (sqlite.Longest+100)*(4096+24) {
		t.Errorf("the log's file has %d bytes", size)
	}
}

// TestLogThatIsRead: whoever reads an old state for long keeps the log from beginning anew, and nobody from committing.
func TestLogThatIsRead(t *testing.T) {
	t.Parallel()
	e := open(t, diskConfig(disk.New(t, 1)))
	fill(t, e, 0, 1)
	rows := 1
	err := e.View(background, func(tx store.Tx) error {
		if _, err := count(tx); err != nil {
			return err
		}
		for ; e.Stats().LogPages < 2*sqlite.Longest; rows += 10 {
			fill(t, e, rows, 10)
		}
		if n, err := count(tx); err != nil || n != 1 {
			t.Errorf("the reader sees %d rows, %v", n, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for began := e.Stats().LogStarts; e.Stats().LogStarts == began; rows += 10 {
		if fill(t, e, rows, 10); rows > 10_000 {
			t.Fatalf("the log does not begin anew: %+v", e.Stats())
		}
	}
}

func count(tx store.Tx) (n int64, err error) {
	return n, tx.Query(func(r store.Row) error { return r.Scan(&n) }, `SELECT count(*) FROM vault_items`)
}

// TestLogAtRest: what is in the log when nothing is to be done any more is copied, though it is not much.
func TestLogAtRest(t *testing.T) {
	d := disk.New(t, 1)
	synctest.Test(t, func(t *testing.T) {
		e, err := sqlite.Open(background, diskConfig(d))
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		fill(t, e, 0, 10)
		if s := e.Stats(); s.LogPages == 0 || s.LogStarts > 0 {
			t.Errorf("after ten rows: %+v", s)
		}
		time.Sleep(3 * sqlite.Quiet)
		if s := e.Stats(); s.LogPages != 0 || s.LogStarts != 1 {
			t.Errorf("at rest: %+v", s)
		}
	})
}
