package sqlite_test

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/store/sqlite"
	"github.com/quicproquo/qpq/store/storetest/disk"
)

// crowd is an engine whose writer is held up by one update while a hundred that can wait come.
type crowd struct {
	*sqlite.Engine
	release chan struct{}
	ran     atomic.Int64 // of those that can wait
	wg      sync.WaitGroup
}

// each is how many rows an update that can wait changes, and many how many such updates there are.
const each, many = 40, 100

// gather makes a crowd. During is called by each update that can wait, as the one with a number in the order in which they run.
func gather(t *testing.T, during func(ran int64)) *crowd {
	t.Helper()
	c := &crowd{Engine: open(t, diskConfig(disk.New(t, 1))), release: make(chan struct{})}
	running := make(chan struct{})
	c.wg.Go(func() {
		_ = c.Update(background, func(store.Tx) error {
			close(running)
			<-c.release
			return nil
		})
	})
	<-running
	for i := range many {
		c.wg.Go(func() {
			err := c.UpdateLater(background, func(tx store.Tx) error {
				during(c.ran.Add(1))
				for n := range each {
					if err := insertItem(tx, i, n); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	c.waiting(many)
	return c
}

// waiting returns when so many updates are queued.
func (c *crowd) waiting(n int) {
	for c.Stats().Queued < n {
		runtime.Gosched()
	}
}

// hurry runs an update that somebody waits for. It must come before all but so many of those that can wait.
func (c *crowd) hurry(t *testing.T, most int64) {
	c.wg.Go(func() {
		err := c.Update(background, func(tx store.Tx) error {
			if n := c.ran.Load(); n > most {
				t.Errorf("%d others that can wait came first, at most %d are expected", n, most)
			}
			return insertItem(tx, -1, 0)
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// done waits for all updates, and checks that no commit had too many of those that can wait, and that commits grew while nobody waited.
func (c *crowd) done(t *testing.T) {
	t.Helper()
	c.wg.Wait()
	s := c.Stats()
	if c.ran.Load() != many || s.Updates != many+2 || s.Commits < 20 || s.Commits > 35 {
		t.Errorf("%d ran: %+v", c.ran.Load(), s)
	}
}

// TestLater: an update that somebody waits for is not behind a hundred that can wait, and these are carried out too, many in a commit.
func TestLater(t *testing.T) {
	t.Parallel()
	c := gather(t, func(int64) {})
	c.hurry(t, 0)
	c.waiting(many + 1)
	close(c.release)
	c.done(t)
}

// TestLaterYields: an update that comes while others that can wait are being carried out is in the next commit, and theirs ends soon.
func TestLaterYields(t *testing.T) {
	t.Parallel()
	var c *crowd
	c = gather(t, func(ran int64) {
		if ran == 3 {
			c.hurry(t, 4)
			c.waiting(1) // all others are the writer's already
		}
	})
	close(c.release)
	c.done(t)
}

// TestLaterHasNoSync: what can wait is synced with the next of the updates that others wait for, where one came a moment ago, and is answered then; by itself
// where none comes, and at once where none came. Who reads sees it before.
func TestLaterHasNoSync(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := disk.New(t, 1)
		e := open(t, diskConfig(d))
		var began int
		var answered atomic.Int64
		later := func() {
			began++
			n := began
			go func() {
				if err := e.UpdateLater(background, func(tx store.Tx) error { return insertItem(tx, 1, n) }); err != nil {
					t.Error(err)
				}
				answered.Add(1)
			}()
		}
		awaited := func() { fill(t, e, int(e.Stats().Commits), 1) }
		step := func(what string, do func(), commits, syncs, answers int) {
			t.Helper()
			c, s, a := int(e.Stats().Commits), d.Syncs(), int(answered.Load())
			do()
			synctest.Wait()
			if c, s, a = int(e.Stats().Commits)-c, d.Syncs()-s, int(answered.Load())-a; c != commits || s != syncs || a != answers {
				t.Errorf("%s: %d commits, %d syncs, %d answers; want %d, %d, %d", what, c, s, a, commits, syncs, answers)
			}
			if n := items(t, e, "1"); n != began {
				t.Errorf("%s: %d items are seen, want %d", what, n, began)
			}
		}
		step("nobody else came: synced at once, after the log's header", later, 1, 2, 1)
		step("somebody waits", awaited, 1, 1, 0)
		step("one came a moment ago: no sync", later, 1, 0, 0)
		step("another: none either", later, 1, 0, 0)
		step("the next is synced: all are answered", awaited, 1, 1, 2)
		step("one came a moment ago", later, 1, 0, 0)
		step("none comes", func() { time.Sleep(sqlite.LongWait) }, 0, 1, 1)
		step("none came for long", later, 1, 1, 1)
		step("somebody waits", awaited, 1, 1, 0)
		step("one came a moment ago", later, 1, 0, 0)
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		if synctest.Wait(); answered.Load() != int64(began) {
			t.Errorf("%d answers when the store is closed, want %d", answered.Load(), began)
		}
	})
}

// losing returns a disk whose syncs fail while it is armed, and whose database is not to be written while something is lost.
func losing(t *testing.T) (d *disk.Disk, armed, lost *atomic.Bool) {
	d, armed, lost = disk.New(t, 1), new(atomic.Bool), new(atomic.Bool)
	d.Before = func(op disk.Op) error {
		if op.Kind == disk.Sync && armed.Load() {
			return syscall.EIO
		}
		if op.Kind == disk.Write && op.File == "/qpq.db" && lost.Load() {
			t.Error("the database gets what the log may lose")
		}
		return nil
	}
	return d, armed, lost
}

// TestCopySyncFails: where the sync fails with which a copy begins, what it was for is not copied either before the writer has written it again.
func TestCopySyncFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, armed, lost := losing(t)
		e := open(t, diskConfig(d))
		fill(t, e, 0, 1)
		synctest.Wait()
		go func() { _ = e.UpdateLater(background, func(tx store.Tx) error { return insertItem(tx, 1, 1) }) }() // it is told, or not
		synctest.Wait()
		armed.Store(true)
		e.Copy()
		armed.Store(false)
		lost.Store(true)
		e.Copy()
		lost.Store(false)
		time.Sleep(sqlite.LongWait + sqlite.Retry)
		synctest.Wait()
		d.PowerLoss()
		e = open(t, diskConfig(d))
		if n := items(t, e, "1"); n != 1 {
			t.Errorf("%d items are there, want 1", n)
		}
	})
}

// TestLaterKeepsItsOwn: what became of an update itself is told, though the commit that it was part of is synced later, whether that fails or not.
func TestLaterKeepsItsOwn(t *testing.T) {
	t.Parallel()
	for _, fails := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			d := disk.New(t, 1)
			var armed atomic.Bool
			d.Before = func(op disk.Op) error {
				if op.Kind == disk.Sync && armed.Load() {
					return syscall.EIO
				}
				return nil
			}
			e := open(t, diskConfig(d))
			fill(t, e, 0, 1)
			armed.Store(fails)
			own := errors.New("own")
			var all sync.WaitGroup
			all.Go(func() { _ = e.UpdateLater(background, func(tx store.Tx) error { return insertItem(tx, 1, 1) }) })
			all.Go(func() {
				if err := e.UpdateLater(background, func(store.Tx) error { return own }); !errors.Is(err, own) {
					t.Errorf("its own error became %v", err)
				}
			})
			all.Go(func() {
				defer func() {
					if recover() == nil {
						t.Error("its panic was forgotten")
					}
				}()
				_ = e.UpdateLater(background, func(store.Tx) error { panic(own) })
			})
			all.Wait()
			armed.Store(false)
			if n := e.Stats().Deferred; n == 0 {
				t.Error("no commit was synced later")
			}
		})
	}
}

// items returns how many items of an account are seen.
func items(t *testing.T, e *sqlite.Engine, account string) (n int) {
	t.Helper()
	err := e.View(background, func(tx store.Tx) error {
		return tx.Query(func(store.Row) error { n++; return nil }, `SELECT 1 FROM vault_items WHERE account = $1`, account)
	})
	if err != nil {
		t.Error(err)
	}
	return n
}

// TestLaterSyncFails: who waits for a sync that fails is told. What was committed is made durable by the next that does not, of another commit or a second later,
// and before that none of it is copied to the database.
func TestLaterSyncFails(t *testing.T) {
	t.Parallel()
	for name, next := range map[string]func(t *testing.T, e *sqlite.Engine){
		"a commit":     func(t *testing.T, e *sqlite.Engine) { fill(t, e, 20, 1) },
		"another sync": func(*testing.T, *sqlite.Engine) { time.Sleep(sqlite.Retry) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, armed, lost := losing(t)
				e := open(t, diskConfig(d))
				fillCopied(t, e, 20)
				armed.Store(true)
				err := e.UpdateLater(background, func(tx store.Tx) error { return insertItem(tx, 1, 1) })
				if qpq.KindOf(err) != qpq.Unavailable || qpq.CodeOf(err) != "store-failing" {
					t.Errorf("told %v", err)
				}
				if s := e.Stats(); s.CommitErrors != 1 || s.Failed != 1 || s.Deferred != 1 {
					t.Errorf("%+v", s)
				}
				armed.Store(false)
				lost.Store(true)
				e.Copy() // which is told of the sync that failed
				e.Copy()
				lost.Store(false)
				next(t, e)
				synctest.Wait()
				d.PowerLoss()
				e = open(t, diskConfig(d))
				if n := items(t, e, "1"); n != 1 {
					t.Errorf("%d items are there, want 1", n)
				}
			})
		})
	}
}

func insertItem(tx store.Tx, i, n int) error {
	_, err := tx.Exec(`INSERT INTO vault_items (account, item, version, value) VALUES ($1, $2, 0, $3)`, fmt.Sprint(i), fmt.Sprint(n), []byte{})
	return err
}
