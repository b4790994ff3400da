// Package store is the server's storage contract: what a qpq-server keeps, as typed operations that
// are each one transaction, over SQL that is written once and runs on every backend.
//
// One capability keeps one file here and in node and wire: accounts.go, devices.go, vault.go and so
// on. The SQL is in the dialect that SQLite and PostgreSQL share: placeholders $1, $2, …; columns
// TEXT, BIGINT and BYTEA; upserts by ON CONFLICT. A backend is an [Engine], a handful of methods that
// know transactions and nothing of accounts; package storetest holds the suite each must pass.
//
// Time is always an argument and kept in milliseconds since 1970; finer parts are dropped. Errors
// carry a qpq.Kind: Exists, NotFound, Conflict and so on as each method says, and from every method
// Unavailable (try again), Exhausted (the disk is full) and Damaged (the file or the disk is bad).
// A method that returned nil has made its effect durable; one that returned an error has had none,
// but for Unavailable and Damaged, where a lost answer can hide a success.
package store

import (
	"context"
	"fmt"
	"time"

	"github.com/quicproquo/qpq"
)

// Engine runs transactions. All methods are safe for concurrent use.
type Engine interface {
	// Update runs fn in a transaction that is serializable against all others and returns once its
	// effect is durable. If fn fails, nothing of it stays, and its error is returned as it is. An
	// engine may run fn several times and beside the fns of other callers, so fn has no effects but
	// through tx and on variables it sets anew, and does not block. A panic of fn undoes fn alone and
	// goes on in the caller. What fn added to tx.Receipts is signed before Update returns nil. Once ctx is done Update may return before fn has run, never half way.
	Update(ctx context.Context, fn func(tx Tx) error) error
	// UpdateLater is Update for what can wait: where many wait, others come first, and it gets its share of what is left of a transaction. It is durable when
	// it returns, too, which may be some 20 ms later than Update would return.
	UpdateLater(ctx context.Context, fn func(tx Tx) error) error
	// View runs fn on one consistent snapshot that holds every Update answered before. It may hold an UpdateLater that is not answered yet, and that a loss of
	// power would undo. Writes fail.
	View(ctx context.Context, fn func(tx Tx) error) error
	// Stats returns counters since the engine was opened.
	Stats() Stats
	// Close waits for the transactions under way and releases all resources.
	Close() error
}

// Tx runs statements inside one transaction and is valid only during the callback it was given to.
// Arguments are int64, string and []byte, where a nil slice is NULL. After an error of either method
// the callback must return an error.
type Tx interface {
	// Exec runs a statement and returns the number of rows it changed.
	Exec(query string, args ...any) (int64, error)
	// Query runs a statement and calls each with every row in order, until it returns an error. each
	// must not use the Tx.
	Query(each func(Row) error, query string, args ...any) error
	// Receipts returns those of the commit that the transaction becomes part of.
	Receipts() *Receipts
}

// Row is a row of a result.
type Row interface {
	// Scan copies the columns into dest: *int64, *string or *[]byte, the latter nil for NULL.
	Scan(dest ...any) error
}

// Stats are an engine's counters, for metrics.
type Stats struct {
	Queued       int           // updates waiting now
	Updates      uint64        // updates that committed
	Failed       uint64        // updates that returned an error, their own or the engine's
	Commits      uint64        // commits, each of one batch of updates
	CommitErrors uint64        // commits that failed, and syncs that were left out of them
	CommitTime   time.Duration // sum of all commits, each from BEGIN, and of syncs that were left out of them
	Deferred     uint64        // commits whose sync was left out
	LargestBatch int           // the most updates that were answered together

	// Of an engine that commits to a log and copies it to the database later; else zero.
	LogPages  int           // in the log now
	LogStarts uint64        // times that all was copied and it began anew
	LogErrors uint64        // times that either failed
	HeldTime  time.Duration // sum of what commits were held up for it to begin anew
}

// Store is the server's storage. Make one with [Open].
type Store struct {
	engine   Engine
	contents Contents
	blobs    blobLocks
	domain   string
}

// Config says which server a store belongs to.
type Config struct {
	Domain string    // the server's domain, normalised; fixed when the store is first opened; afterwards it may be left out
	Now    time.Time // required: kept as the store's birthday when it is first opened
	Blobs  Contents  // where the bytes of blobs are; nil keeps none
}

// Open returns the store in engine, which has been migrated already. It returns Invalid with code
// "domain-changed" if the store was made for another domain. The caller keeps closing engine.
func Open(ctx context.Context, engine Engine, cfg Config) (*Store, error) {
	s := &Store{engine: engine, contents: cfg.Blobs}
	if err := s.fixDomain(ctx, cfg); err != nil {
		return nil, err
	}
	return s, nil
}

// Stats returns the engine's counters.
func (s *Store) Stats() Stats { return s.engine.Stats() }

// update runs fn as one transaction and says on failure what it was for.
func (s *Store) update(ctx context.Context, what string, fn func(Tx) error) error {
	if err := s.engine.Update(ctx, fn); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// later is update for what can wait.
func (s *Store) later(ctx context.Context, what string, fn func(Tx) error) error {
	if err := s.engine.UpdateLater(ctx, fn); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// view is update for transactions that only read.
func (s *Store) view(ctx context.Context, what string, fn func(Tx) error) error {
	if err := s.engine.View(ctx, fn); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// into names the variables that a row is read into.
type into []any

// one reads at most one row and reports whether there was one.
func one(tx Tx, dest into, query string, args ...any) (bool, error) {
	found := false
	err := tx.Query(func(r Row) error {
		found = true
		return r.Scan(dest...)
	}, query, args...)
	return found, err
}

// exec runs a statement whose row count does not matter.
func exec(tx Tx, query string, args ...any) error {
	_, err := tx.Exec(query, args...)
	return err
}

// must runs a statement and returns missing if it changed no row.
func must(tx Tx, missing *qpq.Error, query string, args ...any) error {
	n, err := tx.Exec(query, args...)
	if err == nil && n == 0 {
		return missing
	}
	return err
}

// millis is how times are stored: the zero time as 0.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// instant undoes millis.
func instant(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// flag is how booleans are stored.
func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
