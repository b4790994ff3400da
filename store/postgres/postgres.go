// Package postgres keeps a server's store in PostgreSQL, which several servers can share.
//
// Every update is a serializable transaction of its own, retried when PostgreSQL finds that it does not
// fit with another (SQLSTATE 40001, 40P01).
package postgres

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/quicproquo/qpq/store"
)

// attempts bounds how often one update is tried.
const attempts = 200

// Config says which database to use.
type Config struct {
	URL        string // required: a connection string or URL (libpq's syntax); search_path chooses the schema
	Migrations fs.FS  // nil means store.Migrations
}

// Engine is the store.Engine over one PostgreSQL database.
type Engine struct {
	pool    *pgxpool.Pool
	closed  atomic.Bool
	waiting atomic.Int64

	mu    sync.Mutex
	stats store.Stats
}

// Open connects to the database and brings its schema up to date; copies before an upgrade are the
// operator's (pg_dump). It returns Unsupported if the schema is newer than this program's and
// Unavailable if the database cannot be reached.
func Open(ctx context.Context, cfg Config) (*Engine, error) {
	c, err := pgxpool.ParseConfig(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("read the database's address: %w", err)
	}
	pool, err := pgxpool.NewWithConfig(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", kinded(err))
	}
	if err := migrate(ctx, pool, cfg.Migrations); err != nil {
		pool.Close()
		return nil, fmt.Errorf("open the store: %w", kinded(err))
	}
	return &Engine{pool: pool}, nil
}

// migrateLock is the advisory lock under which one server at a time upgrades: "qpq" in ASCII.
const migrateLock = 0x717071

func migrate(ctx context.Context, pool *pgxpool.Pool, files fs.FS) error {
	lock, err := pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer lock.Release()
	if _, err := lock.Exec(ctx, `SELECT pg_advisory_lock($1)`, migrateLock); err != nil {
		return err
	}
	defer lock.Exec(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, migrateLock) // the connection's end unlocks too
	db := stdlib.OpenDBFromPool(pool)
	defer db.Close()
	return store.Migrate(ctx, store.Migration{DB: db, Dialect: goose.DialectPostgres, Files: files})
}

// Update implements store.Engine.
func (e *Engine) Update(ctx context.Context, fn func(store.Tx) error) (err error) {
	e.waiting.Add(1)
	defer e.waiting.Add(-1)
	for n := range attempts {
		start := time.Now()
		err = e.transaction(ctx, pgx.TxOptions{IsoLevel: pgx.Serializable}, fn)
		if !retryable(err) {
			e.count(err, time.Since(start))
			return err
		}
		select {
		case <-time.After(rand.N(time.Millisecond << min(n, 6))):
		case <-ctx.Done():
			return cancelled(ctx)
		}
	}
	return kinded(err)
}

// UpdateLater implements store.Engine. No transaction waits for another here.
func (e *Engine) UpdateLater(ctx context.Context, fn func(store.Tx) error) error {
	return e.Update(ctx, fn)
}

// View implements store.Engine.
func (e *Engine) View(ctx context.Context, fn func(store.Tx) error) error {
	return e.transaction(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, fn)
}

// transaction runs fn once. Once it has begun, ctx does not end it: a commit whose answer nobody waits
// for would leave the caller in doubt.
func (e *Engine) transaction(ctx context.Context, options pgx.TxOptions, fn func(store.Tx) error) error {
	if e.closed.Load() {
		return errClosed
	}
	c, err := e.pool.Acquire(ctx)
	if err != nil {
		return unreached(ctx, err)
	}
	defer c.Release()
	ctx = context.WithoutCancel(ctx)
	t, err := c.BeginTx(ctx, options)
	if err != nil {
		return kinded(err)
	}
	defer t.Rollback(ctx) // does nothing after Commit
	one := &tx{ctx: ctx, tx: t}
	if err := fn(one); err != nil {
		return err
	}
	if err := t.Commit(ctx); err != nil {
		return kinded(err)
	}
	c.Release() // nobody waits for it while receipts are signed
	one.receipts.Sign()
	return nil
}

func (e *Engine) count(err error, took time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err != nil {
		e.stats.Failed++
		return
	}
	e.stats.Updates++
	e.stats.Commits++
	e.stats.CommitTime += took
	e.stats.LargestBatch = 1
}

// Stats implements store.Engine.
func (e *Engine) Stats() store.Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.stats
	s.Queued = int(e.waiting.Load())
	return s
}

// Close implements store.Engine.
func (e *Engine) Close() error {
	e.closed.Store(true)
	e.pool.Close()
	return nil
}

// tx is a store.Tx; ctx is that of the one transaction it lives for.
type tx struct {
	ctx      context.Context
	tx       pgx.Tx
	receipts store.Receipts
}

// Receipts implements store.Tx.
func (t *tx) Receipts() *store.Receipts { return &t.receipts }

// Exec implements store.Tx.
func (t *tx) Exec(query string, args ...any) (int64, error) {
	tag, err := t.tx.Exec(t.ctx, query, args...)
	return tag.RowsAffected(), kinded(err)
}

// Query implements store.Tx.
func (t *tx) Query(each func(store.Row) error, query string, args ...any) error {
	rows, err := t.tx.Query(t.ctx, query, args...)
	if err != nil {
		return kinded(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows); err != nil {
			return err
		}
	}
	return kinded(rows.Err())
}
