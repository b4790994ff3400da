package sqlite_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/store/sqlite"
)

// migrations are those of the contract and one from the future.
func migrations(t *testing.T, future string) fs.FS {
	t.Helper()
	all := fstest.MapFS{"99999_future.sql": {Data: []byte("-- +goose Up\n" + future)}}
	entries, err := fs.ReadDir(store.Migrations(), ".")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		data, err := fs.ReadFile(store.Migrations(), entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		all[entry.Name()] = &fstest.MapFile{Data: data}
	}
	return all
}

// TestUpgrade: the store is copied first, the copy is whole and of the old schema, and the program that
// knows only that one refuses the upgraded store by saying what it needs.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "data", "qpq.db")
	l := &ledger{acked: map[int]bool{}}
	e := open(t, sqlite.Config{Path: path})
	if err := l.transfer(e); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if copies, _ := filepath.Glob(path + ".schema-*"); len(copies) != 0 {
		t.Errorf("a new store was copied: %v", copies)
	}

	refuseBroken(t, path, l)
	e = open(t, sqlite.Config{Path: path, Migrations: migrations(t, "CREATE TABLE future (a BIGINT);\n")})
	if err := l.audit(e); err != nil {
		t.Error(err)
	}
	_ = e.Close()

	_, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	if qpq.KindOf(err) != qpq.Unsupported || qpq.CodeOf(err) != "schema-too-new" || !strings.Contains(err.Error(), "99999") {
		t.Errorf("a newer schema: %v", err)
	}
	copies, _ := filepath.Glob(path + ".schema-*")
	if len(copies) != 1 {
		t.Fatalf("copies: %v", copies)
	}
	e = open(t, sqlite.Config{Path: copies[0]})
	if err := l.audit(e); err != nil {
		t.Errorf("the copy: %v", err)
	}
}

// refuseBroken tries an upgrade that fails half way, and finds the store as it was.
func refuseBroken(t *testing.T, path string, l *ledger) {
	t.Helper()
	broken := migrations(t, "CREATE TABLE half (a BIGINT);\nCREATE TABLE half (a BIGINT);\n")
	if _, err := sqlite.Open(t.Context(), sqlite.Config{Path: path, Migrations: broken}); err == nil {
		t.Fatal("a broken upgrade succeeded")
	}
	e := open(t, sqlite.Config{Path: path}) // and left the store as it was
	if err := l.audit(e); err != nil {
		t.Error(err)
	}
	_ = e.Close()
}

// TestPermissions: nobody else on the machine can read the store.
func TestPermissions(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	e := open(t, sqlite.Config{Path: filepath.Join(dir, "qpq.db")})
	if err := (&ledger{acked: map[int]bool{}}).transfer(e); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{"": 0o700, "qpq.db": 0o600, "qpq.db-wal": 0o600, "qpq.db-shm": 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%q has mode %v, %v, want %v", name, info.Mode(), err, want)
		}
	}
}

// TestClustered: what the schema marks as clustered is so.
func TestClustered(t *testing.T) {
	t.Parallel()
	e := open(t, sqlite.Config{Path: filepath.Join(t.TempDir(), "qpq.db")})
	var got []string
	err := e.View(t.Context(), func(tx store.Tx) error {
		return tx.Query(func(r store.Row) error {
			var name string
			err := r.Scan(&name)
			got = append(got, name)
			return err
		}, `SELECT name FROM pragma_table_list WHERE wr = 1 AND schema = 'main' ORDER BY name`)
	})
	if want := []string{"channel_members", "cursors", "inbox", "mailboxes"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
}
