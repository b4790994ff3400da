package sqlite_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/store/sqlite"
	"github.com/quicproquo/qpq/store/storetest"
)

var background = context.Background()

func TestSuite(t *testing.T) {
	statements := &recording{statements: map[string]bool{}}
	storetest.Run(t, func(t testing.TB) store.Engine {
		return &recorder{open(t, sqlite.Config{Path: filepath.Join(t.TempDir(), "qpq.db")}), statements}
	})
	t.Run("EveryStatementHasAnIndex", statements.explain)
}

// open opens an engine that is closed with the test.
func open(t testing.TB, cfg sqlite.Config) *sqlite.Engine {
	t.Helper()
	e, err := sqlite.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}
