package profile

import (
	"errors"
	"io/fs"
	"syscall"

	"github.com/ncruces/go-sqlite3"

	"github.com/quicproquo/qpq"
)

const (
	textFull    = "the disk is full: make room for the profile and try again"
	textDenied  = "the profile cannot be written: make its folder writable"
	textDamaged = "the profile cannot be read: it is damaged, or its key is not the right one; restore it from a backup, or set it aside and sign in again"
	textFailing = "the disk reports errors: look at it before you go on"
)

// kinded gives an error of SQLite or the operating system its kind; nil stays nil.
func kinded(err error) error {
	var known *qpq.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	for _, k := range kinds {
		if errors.Is(err, k.cause) {
			return qpq.Wrap(k.kind, k.code, k.text, err)
		}
	}
	return qpq.Wrap(qpq.Internal, "profile-error", "the profile could not be used: "+err.Error(), err)
}

// kinds is searched in order: what the operating system says comes before what SQLite makes of it.
var kinds = []struct {
	cause error
	kind  qpq.Kind
	code  string
	text  string
}{
	{syscall.ENOSPC, qpq.Exhausted, "disk-full", textFull},
	{syscall.EROFS, qpq.Unavailable, "disk-read-only", textDenied},
	{fs.ErrPermission, qpq.Unavailable, "disk-read-only", textDenied},
	{sqlite3.FULL, qpq.Exhausted, "disk-full", textFull},
	{sqlite3.READONLY, qpq.Unavailable, "disk-read-only", textDenied},
	{sqlite3.PERM, qpq.Unavailable, "disk-read-only", textDenied},
	{sqlite3.CANTOPEN, qpq.Unavailable, "disk-read-only", textDenied},
	{sqlite3.CORRUPT, qpq.Damaged, "profile-damaged", textDamaged},
	{sqlite3.NOTADB, qpq.Damaged, "profile-damaged", textDamaged},
	{sqlite3.IOERR_DATA, qpq.Damaged, "profile-damaged", textDamaged},
	{sqlite3.IOERR, qpq.Unavailable, "disk-failing", textFailing},
	{sqlite3.BUSY, qpq.Exists, "profile-in-use", "another process holds the profile: wait until it ends"},
}
