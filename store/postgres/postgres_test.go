package postgres_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/store/postgres"
	"github.com/quicproquo/qpq/store/storetest"
)

func TestSuite(t *testing.T) {
	address := start(t)
	storetest.Run(t, func(t testing.TB) store.Engine {
		e, err := postgres.Open(t.Context(), postgres.Config{URL: address + " search_path=" + schema(t, address)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = e.Close() })
		return e
	})
}

var schemas atomic.Int64

// schema makes a schema for one test, so that all can share one server.
func schema(t testing.TB, address string) string {
	t.Helper()
	c, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	name := fmt.Sprint("test", schemas.Add(1))
	if _, err := c.Exec(t.Context(), "CREATE SCHEMA "+name); err != nil {
		t.Fatal(err)
	}
	return name
}
