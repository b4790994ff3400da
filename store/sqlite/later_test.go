package sqlite_test

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

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

func insertItem(tx store.Tx, i, n int) error {
	_, err := tx.Exec(`INSERT INTO vault_items (account, item, version, value) VALUES ($1, $2, 0, $3)`, fmt.Sprint(i), fmt.Sprint(n), []byte{})
	return err
}
