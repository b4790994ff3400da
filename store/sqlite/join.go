package sqlite

import (
	"fmt"
	"sync/atomic"

	"github.com/ncruces/go-sqlite3/vfs"
)

// SQLite writes each page to its log by two writes, of a header of 24 bytes and of the page, one after the other. Here what follows one another
// becomes one write, at the latest before the log is synced, and so before anybody is told that it is there.

// maxJoined bounds how many bytes wait to be written, and how large a write is.
const maxJoined = 64 << 10

// joining is a VFS that joins what is written to logs.
type joining struct{ vfs.VFS }

var joinings atomic.Int64

// join registers a VFS that joins writes before it hands them to the one of that name, or of the operating system. It returns its name, and what
// unregisters it.
func join(name string) (joined string, end func()) {
	joined = fmt.Sprintf("joined-%d", joinings.Add(1))
	vfs.Register(joined, joining{vfs.Find(name)})
	return joined, func() { vfs.Unregister(joined) }
}

// OpenFilename implements vfs.VFSFilename.
func (j joining) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (f vfs.File, out vfs.OpenFlag, err error) {
	if named, ok := j.VFS.(vfs.VFSFilename); ok {
		f, out, err = named.OpenFilename(name, flags)
	} else {
		f, out, err = j.Open(name.String(), flags)
	}
	if err == nil && flags&vfs.OPEN_WAL != 0 {
		f = &joinedFile{File: f}
	}
	return f, out, err
}

// joinedFile is a log. One connection uses it, as every file that SQLite has open.
type joinedFile struct {
	vfs.File
	waiting []byte
	at      int64 // where they are to be written
}

// Unwrap implements vfs.FileUnwrap.
func (f *joinedFile) Unwrap() vfs.File { return f.File }

// WriteAt implements vfs.File.
func (f *joinedFile) WriteAt(p []byte, off int64) (int, error) {
	if off != f.at+int64(len(f.waiting)) || len(f.waiting)+len(p) > maxJoined {
		if err := f.flush(); err != nil {
			return 0, err
		}
		if len(p) > maxJoined {
			return f.File.WriteAt(p, off)
		}
		f.at = off
	}
	if f.waiting == nil {
		f.waiting = make([]byte, 0, maxJoined)
	}
	f.waiting = append(f.waiting, p...)
	return len(p), nil
}

// flush writes what waits. What cannot be written is not tried again: SQLite undoes the transaction, and writes its place anew.
func (f *joinedFile) flush() error {
	if len(f.waiting) == 0 {
		return nil
	}
	_, err := f.File.WriteAt(f.waiting, f.at)
	f.waiting = f.waiting[:0]
	return err
}

// ReadAt implements vfs.File.
func (f *joinedFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.flush(); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

// Sync implements vfs.File.
func (f *joinedFile) Sync(flags vfs.SyncFlag) error {
	if err := f.flush(); err != nil {
		return err
	}
	return f.File.Sync(flags)
}

// Truncate implements vfs.File.
func (f *joinedFile) Truncate(size int64) error {
	if err := f.flush(); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

// Size implements vfs.File.
func (f *joinedFile) Size() (int64, error) {
	if err := f.flush(); err != nil {
		return 0, err
	}
	return f.File.Size()
}

// Close implements vfs.File.
func (f *joinedFile) Close() error {
	err := f.flush()
	if closed := f.File.Close(); err == nil {
		err = closed
	}
	return err
}
