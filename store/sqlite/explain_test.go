package sqlite_test

import (
	"context"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/store/sqlite"
)

// recording is what statements were run.
type recording struct {
	mu         sync.Mutex
	statements map[string]bool
}

// recorder is an engine that remembers its statements.
type recorder struct {
	store.Engine
	*recording
}

func (r *recorder) Update(ctx context.Context, fn func(store.Tx) error) error {
	return r.Engine.Update(ctx, func(tx store.Tx) error { return fn(recordingTx{tx, r.recording}) })
}

func (r *recorder) UpdateLater(ctx context.Context, fn func(store.Tx) error) error {
	return r.Engine.UpdateLater(ctx, func(tx store.Tx) error { return fn(recordingTx{tx, r.recording}) })
}

func (r *recorder) View(ctx context.Context, fn func(store.Tx) error) error {
	return r.Engine.View(ctx, func(tx store.Tx) error { return fn(recordingTx{tx, r.recording}) })
}

func (r *recording) note(query string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.statements[query] = true
}

type recordingTx struct {
	store.Tx
	r *recording
}

func (t recordingTx) Exec(query string, args ...any) (int64, error) {
	t.r.note(query)
	return t.Tx.Exec(query, args...)
}

func (t recordingTx) Query(each func(store.Row) error, query string, args ...any) error {
	t.r.note(query)
	return t.Tx.Query(each, query, args...)
}

// explain asks SQLite how it goes about each statement that the suite ran: none walks through a table.
func (r *recording) explain(t *testing.T) {
	e := open(t, sqlite.Config{Path: filepath.Join(t.TempDir(), "qpq.db")})
	if len(r.statements) < 50 {
		t.Fatalf("only %d statements were run", len(r.statements))
	}
	for query := range r.statements {
		err := e.View(t.Context(), func(tx store.Tx) error {
			return tx.Query(func(row store.Row) error {
				var id, parent, unused int64
				var detail string
				if err := row.Scan(&id, &parent, &unused, &detail); err != nil {
					return err
				}
				if table, ok := strings.CutPrefix(detail, "SCAN "); ok && !strings.Contains(detail, "CONSTANT ROW") && !whole[strings.Fields(table)[0]] {
					t.Errorf("%s\n\tgoes through %s", query, table)
				}
				return nil
			}, "EXPLAIN QUERY PLAN "+query)
		})
		if err != nil {
			t.Errorf("%s: %v", query, err)
		}
	}
}

// whole are tables and subqueries that may be gone through: to count accounts, at start or for operators; for the list of tokens; who is leaving; what
// a subquery made; and the schema.
var whole = map[string]bool{"accounts": true, "tokens": true, "first": true, "suites": true, "m": true, "c": true, "s": true, "leaving": true}
