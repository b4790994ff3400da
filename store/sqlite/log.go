package sqlite

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"

	"github.com/quicproquo/qpq/internal/wal"
)

// A commit is durable once the log (SQLite's WAL) is synced; copying it to the database can wait. Left to itself, SQLite copies inside of a
// commit, with an fsync of all that was copied, and everybody waits. Here a goroutine copies beside the commits, on a connection of its own.
// It holds them up only to let the log begin anew, for which all of it must be in the database: when next to nothing is left to copy.
const (
	portion = 2000                  // pages that are worth copying at once, where many come
	little  = 60                    // pages that are worth copying where few come: their sync holds up those of commits for less
	pause   = 20 * time.Millisecond // before little is copied, or three times what copying took last: a slow disk has more to do than this
	few     = 10                    // pages a millisecond
	rest    = 100                   // pages that may be left to copy while commits are held up
	long    = 4000                  // pages after which the log is to begin anew
	longest = 8000                  // pages at which commits wait until it has
	quiet   = 10 * time.Second      // twice in a row without a commit in between, and the log begins anew however short it is
	yield   = 5                     // milliseconds for which held up commits wait for who reads the log
	passes  = 4                     // tries to copy faster than the log grows
)

// log empties SQLite's log.
type log struct {
	stats  *counters
	source *wal.Log      // as the writer has it open
	pages  atomic.Int64  // in the log, as of the last commit
	copied atomic.Int64  // of them, in the database
	latest atomic.Int64  // when something was copied, in nanoseconds of Unix time
	took   atomic.Int64  // in nanoseconds
	limit  atomic.Int64  // pages at which commits wait
	wake   chan struct{} // has room for one
	ended  chan struct{} // closed when keep has ended
	gate   sync.Mutex    // held by the writer for each transaction, and while the log is made to begin anew

	mu   sync.Mutex // after gate
	c    *conn
	own  *wal.Log // as c has it open
	size int64    // of a page
	file vfs.File // the database, as c has it open
	redo redo     // what is to be copied again
}

// openLog begins to empty the log on a connection that it owns.
func openLog(c *conn, source *wal.Log, stats *counters) (*log, error) {
	if err := c.db.Exec(fmt.Sprintf(`PRAGMA busy_timeout = %d`, yield)); err != nil {
		return nil, kinded(err)
	}
	if err := c.db.Exec(`SELECT 1 FROM sqlite_schema`); err != nil { // opens the log
		return nil, kinded(err)
	}
	own, err := wal.Of(c.db)
	if err != nil {
		return nil, kinded(err)
	}
	f, err := c.db.FileControl("main", sqlite3.FCNTL_FILE_POINTER)
	if err != nil {
		return nil, kinded(err)
	}
	size, err := pageSize(c)
	if err != nil {
		return nil, kinded(err)
	}
	l := &log{stats: stats, size: size, source: source, own: own, c: c, file: f.(vfs.File), wake: make(chan struct{}, 1), ended: make(chan struct{})}
	l.limit.Store(longest)
	go l.keep()
	return l, nil
}

// watch has a connection tell of each of its commits.
func (l *log) watch(c *conn) {
	c.db.WALHook(func(_ *sqlite3.Conn, _ string, pages int) error {
		before := l.pages.Swap(int64(pages))
		if int64(pages) < before { // it began anew
			l.copied.Store(0)
		}
		if before == 0 || int64(pages) < before || l.due() {
			l.nudge()
		}
		return nil
	})
}

// due reports whether there is enough to copy.
func (l *log) due() bool {
	left, since := l.left(), time.Duration(time.Now().UnixNano()-l.latest.Load())
	rested := since >= max(pause, 3*time.Duration(l.took.Load()))
	return left >= portion || left >= little && rested && left < few*since.Milliseconds()
}

// left returns how many pages are to be copied still. Where the log began anew while it was copied, all of it is.
func (l *log) left() int64 {
	pages, copied := l.pages.Load(), l.copied.Load()
	if copied > pages {
		return pages
	}
	return pages - copied
}

func (l *log) nudge() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// close lets what is under way end, and the connection, which is the last: it copies the whole log, and removes it. Where something may be lost it stays.
func (l *log) close() {
	close(l.wake)
	<-l.ended
	l.repair()
	if l.redo.any() || l.source.Lost() {
		_, _ = l.c.db.Config(sqlite3.DBCONFIG_NO_CKPT_ON_CLOSE, true) // fails for arguments alone
	}
	l.c.close()
}

// keep empties the log whenever it has grown, and when it does not grow any more.
func (l *log) keep() {
	defer close(l.ended)
	idle := time.NewTimer(quiet)
	defer idle.Stop()
	for seen := int64(-1); ; {
		select {
		case _, open := <-l.wake:
			if !open {
				return
			}
			l.shorten()
			idle.Reset(quiet)
		case <-idle.C:
			rested := func() bool { return l.pages.Load() == seen }
			if rested() {
				_ = l.copy() // stats have what failed
				l.hold(rested)
			}
			if seen = l.pages.Load(); seen > 0 {
				idle.Reset(quiet)
			}
		}
	}
}

// shorten copies what is worth copying, and lets a long log begin anew.
func (l *log) shorten() {
	for range passes {
		if !l.due() && (l.pages.Load() < long || l.left() <= rest) || l.copy() != nil {
			break
		}
	}
	l.repair()
	if l.ripe() {
		l.hold(l.ripe)
	}
}

// ripe reports whether the log is long, and little of it is left to copy.
func (l *log) ripe() bool { return l.pages.Load() >= long && l.left() < portion }

// hold holds up commits while the log is made to begin anew, if that is still called for once they are: meanwhile there may have been commits, one of which may
// have had it begin anew.
func (l *log) hold(still func() bool) {
	l.gate.Lock()
	defer l.gate.Unlock()
	if still() {
		l.beginAnew()
	}
}

// copy copies what is in the log as far as nobody reads older pages, while commits go on. SQLite syncs the database only where nothing was left to
// copy at the end; else it is synced here, for the sync would be left to beginAnew, while commits wait.
func (l *log) copy() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	began := time.Now()
	err := l.checkpoint(sqlite3.CHECKPOINT_PASSIVE, false)
	l.took.Store(int64(time.Since(began)))
	l.latest.Store(time.Now().UnixNano())
	l.stats.copied(err)
	return err
}

// beginAnew copies what is left, and has the next commit overwrite the log, unless somebody reads it. The caller holds gate.
func (l *log) beginAnew() {
	start := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.checkpoint(sqlite3.CHECKPOINT_RESTART, true)
	if err == nil {
		l.pages.Store(0)
		l.copied.Store(0)
		l.limit.Store(longest)
	} else {
		l.limit.Store(l.pages.Load() + longest)
	}
	l.stats.begun(err, time.Since(start))
}

// bound lets a log that has become too long begin anew. The writer calls it, holding gate, after each transaction.
func (l *log) bound() {
	if l.pages.Load() >= l.limit.Load() {
		l.beginAnew()
	}
}
