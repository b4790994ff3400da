package sqlite

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/ncruces/go-sqlite3"

	"github.com/quicproquo/qpq"
)

const (
	textFull    = "the server's disk is full: its operator must make room"
	textDenied  = "the server's disk cannot be written: its operator must make it writable"
	textDamaged = "the server's database is damaged: its operator must restore a copy"
	textFailing = "the server's disk reports errors: its operator must look at it"
	textBusy    = "another program holds the server's database: try again"
)

// codeFailing is the code of errors of the disk that SQLite cannot tell more about.
const codeFailing = "store-failing"

var (
	errClosed     = qpq.E(qpq.Unavailable, "store-closed", "the server is shutting down: try again later")
	errRolledBack = qpq.E(qpq.Unavailable, codeFailing, textFailing)
)

// cancelled is the error for a call whose context was done before it ran.
func cancelled(ctx context.Context) error {
	return qpq.Wrap(qpq.Unavailable, "cancelled", "the request was given up before it was carried out", context.Cause(ctx))
}

// explain finds out why the disk fails, where SQLite only knows that it does: go-sqlite3 loses what the
// operating system said of a write. It writes a little beside the database and looks at what comes of it.
func (e *Engine) explain(err error) error {
	if qpq.CodeOf(err) != codeFailing || e.cfg.VFS != "" {
		return err
	}
	cause := probe(filepath.Dir(e.cfg.Path))
	for _, k := range kinds {
		if cause != nil && errors.Is(cause, k.cause) {
			return qpq.Wrap(k.kind, k.code, k.text, errors.Join(cause, err))
		}
	}
	return err
}

// probe writes a file of the size of some pages and removes it.
func probe(dir string) error {
	f, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(make([]byte, 128<<10))
	return errors.Join(err, f.Sync(), f.Close())
}

// kinded gives an error of SQLite or the operating system its kind; nil stays nil.
func kinded(err error) error {
	if err == nil {
		return nil
	}
	var known *qpq.Error
	if errors.As(err, &known) {
		return err
	}
	for _, k := range kinds {
		if errors.Is(err, k.cause) {
			return qpq.Wrap(k.kind, k.code, k.text, err)
		}
	}
	return qpq.Wrap(qpq.Internal, "store-error", "the server could not use its database", err)
}

// kinds is searched in order: what the operating system says comes before what SQLite makes of it.
var kinds = []struct {
	cause error
	kind  qpq.Kind
	code  string
	text  string
}{
	{syscall.ENOSPC, qpq.Exhausted, "disk-full", textFull},
	{syscall.EDQUOT, qpq.Exhausted, "disk-full", textFull},
	{syscall.EFBIG, qpq.Exhausted, "disk-full", textFull}, // a limit on the size of files
	{syscall.EROFS, qpq.Unavailable, "disk-read-only", textDenied},
	{fs.ErrPermission, qpq.Unavailable, "disk-read-only", textDenied},
	{syscall.EIO, qpq.Unavailable, codeFailing, textFailing},
	{sqlite3.FULL, qpq.Exhausted, "disk-full", textFull},
	{sqlite3.READONLY, qpq.Unavailable, "disk-read-only", textDenied},
	{sqlite3.PERM, qpq.Unavailable, "disk-read-only", textDenied},
	{sqlite3.CANTOPEN, qpq.Unavailable, "disk-read-only", textDenied},
	{sqlite3.CORRUPT, qpq.Damaged, "store-damaged", textDamaged},
	{sqlite3.NOTADB, qpq.Damaged, "store-damaged", textDamaged},
	{sqlite3.IOERR_DATA, qpq.Damaged, "store-damaged", textDamaged},
	{sqlite3.IOERR_CORRUPTFS, qpq.Damaged, "store-damaged", textDamaged},
	{sqlite3.IOERR, qpq.Unavailable, codeFailing, textFailing},
	{sqlite3.BUSY, qpq.Unavailable, "store-busy", textBusy},
	{sqlite3.LOCKED, qpq.Unavailable, "store-busy", textBusy},
	{sqlite3.PROTOCOL, qpq.Unavailable, "store-busy", textBusy},
	{sqlite3.INTERRUPT, qpq.Unavailable, "cancelled", "the request was given up before it was carried out"},
	{sqlite3.NOMEM, qpq.Unavailable, "store-memory", "the server is out of memory: try again"},
	{sqlite3.TOOBIG, qpq.TooLarge, "too-large", "the value is too large to be stored"},
	{fs.ErrExist, qpq.Unavailable, "disk-read-only", textDenied},
}
