package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/driver"
	"github.com/pressly/goose/v3"

	"github.com/quicproquo/qpq/internal/files"
	"github.com/quicproquo/qpq/store"
)

// prepare makes the file if there is none and brings its schema up to date.
func (e *Engine) prepare(ctx context.Context) (err error) {
	if err := e.create(); err != nil {
		return err
	}
	db, err := driver.Open(e.uri(), func(c *sqlite3.Conn) error {
		return c.Exec(`PRAGMA busy_timeout = 10000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL`)
	})
	if err != nil {
		return kinded(err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	return kinded(store.Migrate(ctx, store.Migration{DB: db, Dialect: goose.DialectSQLite3, Files: e.cfg.Migrations, Clustered: `WITHOUT ROWID`, Copy: e.keepOld}))
}

// keepOld copies the store to a file beside it, named after the schema it has: "qpq.db" to "qpq.db.schema-1".
func (e *Engine) keepOld(_ context.Context, from int64) error {
	if e.cfg.VFS != "" { // no file of the operating system to copy to
		return nil
	}
	return Copy(e.cfg.Path, fmt.Sprintf("%s.schema-%d", e.cfg.Path, from))
}

// Copy makes a consistent copy of the store at from, which may be in use, and returns once it is on
// the disk under the name to. A file of that name is replaced; it is never seen half written.
func Copy(from, to string) error {
	temp := to + ".part"
	if err := os.Remove(temp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return kinded(err)
	}
	f, err := os.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return kinded(err)
	}
	defer f.Close()
	if err := backup(from, temp); err != nil {
		return errors.Join(kinded(err), os.Remove(temp))
	}
	if err := f.Sync(); err != nil {
		return kinded(err)
	}
	if err := os.Rename(temp, to); err != nil {
		return kinded(err)
	}
	return kinded(files.SyncDir(filepath.Dir(to)))
}

func backup(from, to string) error {
	src, err := sqlite3.OpenFlags(from, sqlite3.OPEN_READWRITE)
	if err != nil {
		return err
	}
	return errors.Join(src.Backup("main", to), src.Close())
}
