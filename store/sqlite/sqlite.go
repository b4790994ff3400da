// Package sqlite keeps a server's store in one SQLite file: the backend of a server that runs alone.
//
// One goroutine writes. It turns all updates that wait into one transaction, and answers them once that
// is on the disk, so that many callers share one fsync. What can wait (UpdateLater) gets a share of each
// transaction; one of nothing else is synced with the next, or 20 ms later, where other updates come, and
// answered then. Readers have connections of their own and see the last commit (WAL
// mode). Another goroutine copies the log to the database, so that no commit waits for that.
package sqlite

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	"github.com/ncruces/go-sqlite3"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/internal/wal"
	"github.com/quicproquo/qpq/store"
)

// Config says where the store is and what it may use.
type Config struct {
	Path       string // required: the database file; SQLite puts others beside it
	Queue      int    // updates that may wait before callers block; zero means 4096
	VFS        string // name of the registered SQLite VFS to use; empty means the operating system's
	Migrations fs.FS  // nil means store.Migrations
}

// Engine is the store.Engine over one SQLite file.
type Engine struct {
	cfg      Config
	readers  chan *conn // idle reading connections; nil stands for one not opened yet
	queue    chan *update
	later    chan *update  // what can wait
	alone    int64         // transactions in a row that had nothing else; the writer's
	written  chan struct{} // closed when the writer has ended
	deferral *deferral     // the writer's
	log      *log
	stats    counters

	closing sync.RWMutex // held for reading while a call uses queue or readers
	closed  bool
}

// readers is how many connections read at the same time.
const readers = 4

// Open opens the store, making it or bringing its schema up to date, which copies it first. It
// returns Unsupported if the schema is newer than this program's, Damaged if the file is no database,
// Unavailable if it cannot be written.
func Open(ctx context.Context, cfg Config) (*Engine, error) {
	cfg.Queue = cmp.Or(cfg.Queue, 4096)
	e := &Engine{cfg: cfg, readers: make(chan *conn, readers), queue: make(chan *update, cfg.Queue), later: make(chan *update, cfg.Queue), written: make(chan struct{})}
	if err := e.prepare(ctx); err != nil {
		return nil, fmt.Errorf("open the store %s: %w", cfg.Path, e.explain(err))
	}
	w, err := e.connectWriter()
	if err != nil {
		return nil, fmt.Errorf("open the store %s: %w", cfg.Path, e.explain(err))
	}
	for range readers {
		e.readers <- nil
	}
	go e.write(w)
	return e, nil
}

// connectWriter opens the connection of the writer, and that of whoever empties its log.
func (e *Engine) connectWriter() (*conn, error) {
	w, err := e.connect(writing)
	if err != nil {
		return nil, err
	}
	if e.deferral, err = newDeferral(w); err != nil {
		w.close()
		return nil, err
	}
	l, err := e.connect(writing)
	if err != nil {
		w.close()
		return nil, err
	}
	if e.log, err = openLog(l, e.deferral.log, &e.stats); err != nil {
		l.close()
		w.close()
		return nil, err
	}
	e.log.watch(w)
	return w, nil
}

// View implements store.Engine.
func (e *Engine) View(ctx context.Context, fn func(store.Tx) error) error {
	e.closing.RLock()
	defer e.closing.RUnlock()
	if e.closed {
		return errClosed
	}
	var c *conn
	select {
	case c = <-e.readers:
	case <-ctx.Done():
		return cancelled(ctx)
	}
	defer func() { e.readers <- c }()
	if c == nil {
		fresh, err := e.connect(reading)
		if err != nil {
			return err
		}
		c = fresh
	}
	return c.view(ctx, fn)
}

// Stats implements store.Engine.
func (e *Engine) Stats() store.Stats {
	s := e.stats.read()
	s.Queued, s.LogPages = len(e.queue)+len(e.later), int(e.log.pages.Load())
	return s
}

// Close implements store.Engine. Updates that were queued are carried out.
func (e *Engine) Close() error {
	e.closing.Lock()
	if e.closed {
		e.closing.Unlock()
		return nil
	}
	e.closed = true
	close(e.queue)
	close(e.later)
	e.closing.Unlock()
	<-e.written
	for range readers {
		if c := <-e.readers; c != nil {
			c.close()
		}
	}
	e.log.close()
	return nil
}

// Check reads the whole file and returns Damaged if anything in it is inconsistent.
func (e *Engine) Check(ctx context.Context) error {
	return e.View(ctx, func(tx store.Tx) error {
		return tx.Query(func(r store.Row) error {
			var finding string
			if err := r.Scan(&finding); err != nil || finding == "ok" {
				return err
			}
			return qpq.Wrap(qpq.Damaged, "store-damaged", textDamaged, fmt.Errorf("integrity check: %s", finding))
		}, `PRAGMA integrity_check(1)`)
	})
}

// mode is what a connection is for.
type mode string

const (
	writing mode = `PRAGMA query_only = off; PRAGMA cache_size = -16000`
	reading mode = `PRAGMA query_only = on; PRAGMA cache_size = -2000` // small, because each commit of the writer voids it
)

// connect opens a connection. Order matters: the timeout covers what follows.
func (e *Engine) connect(m mode) (*conn, error) {
	db, err := sqlite3.Open(e.uri())
	if err != nil {
		return nil, kinded(err)
	}
	err = db.Exec(`PRAGMA busy_timeout = 10000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
		PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = 67108864;
		PRAGMA temp_store = MEMORY; PRAGMA secure_delete = ON; PRAGMA trusted_schema = OFF; ` + string(m))
	if err != nil {
		_ = db.Close()
		return nil, kinded(err)
	}
	if e.cfg.VFS == "" {
		_ = os.Chmod(e.cfg.Path+"-shm", 0o600) // the index of the journal, which SQLite makes anew: it has no content, and its folder keeps others out
	}
	return &conn{db: db, statements: map[string]*sqlite3.Stmt{}}, nil
}

// uri names the database file for SQLite. Its journals get the mode of the file.
func (e *Engine) uri() string {
	q := url.Values{"vfs": {wal.VFS(e.cfg.VFS)}}
	if e.cfg.VFS == "" {
		q.Set("modeof", e.cfg.Path)
	}
	return (&url.URL{Scheme: "file", OmitHost: true, Path: e.cfg.Path, RawQuery: q.Encode()}).String()
}

// create makes the database file, readable by its owner only, before SQLite would.
func (e *Engine) create() error {
	if e.cfg.VFS != "" {
		return nil
	}
	path, err := filepath.Abs(e.cfg.Path)
	if err != nil {
		return kinded(err)
	}
	e.cfg.Path = path
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return kinded(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return kinded(err)
	}
	return kinded(f.Close())
}
