// Package wal has what a transaction writes to SQLite's write-ahead log reach the file as one write, when it is synced. SQLite writes each page by
// two: a header of 24 bytes, and the page.
package wal

import (
	"io"
	"sync"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/util/vfsutil"
	"github.com/ncruces/go-sqlite3/vfs"
)

// gathering is a VFS like another one, whose name it is.
type gathering string

var registering sync.Mutex

// VFS returns the name of a VFS that is like the one of a name, empty for the operating system's, and gathers what is written to logs. It is for databases
// to which one connection writes, with synchronous=FULL: others read a log up to the last commit, which was synced.
func VFS(of string) string {
	registering.Lock()
	defer registering.Unlock()
	own := "gathering-" + of
	switch {
	case vfs.Find(of) == nil:
		return of // SQLite says so
	case vfs.Find(own) == nil:
		vfs.Register(own, gathering(of))
	}
	return own
}

func (g gathering) base() vfs.VFS { return vfs.Find(string(g)) }

// Open implements vfs.VFS. It is for files without a name alone.
func (g gathering) Open(name string, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	if name != "" {
		return nil, flags, sqlite3.CANTOPEN
	}
	return g.OpenFilename(nil, flags)
}

// OpenFilename implements vfs.VFSFilename.
func (g gathering) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	file, flags, err := vfsutil.WrapOpenFilename(g.base(), name, flags)
	if err == nil && flags&vfs.OPEN_WAL != 0 {
		file = &log{File: file}
	}
	return file, flags, err
}

// Delete implements vfs.VFS.
func (g gathering) Delete(name string, sync bool) error { return g.base().Delete(name, sync) }

// Access implements vfs.VFS.
func (g gathering) Access(name string, flags vfs.AccessFlag) (bool, error) {
	return g.base().Access(name, flags)
}

// FullPathname implements vfs.VFS.
func (g gathering) FullPathname(name string) (string, error) { return g.base().FullPathname(name) }

// maxGathered is how many bytes are gathered at most.
const maxGathered = 64 << 10

// log is the log of a database, a file of which what was written last, in a row, may not be written yet. One connection uses it, and nothing that it has
// written counts before it is synced. What is gathered is read as if it were written, and stays where writing it fails, as on a disk that is full: SQLite
// writes the rest of a frame after the sync that it needs, and takes it for written.
type log struct {
	vfs.File
	at      int64 // where what is gathered goes
	pending []byte
}

// WriteAt implements vfs.File.
func (l *log) WriteAt(p []byte, off int64) (int, error) {
	if end := l.at + int64(len(l.pending)); off < l.at || off > end || off-l.at+int64(len(p)) > maxGathered {
		if err := l.flush(); err != nil {
			return 0, err
		}
	}
	if len(l.pending) == 0 {
		l.at = off
	}
	n := copy(l.pending[off-l.at:], p)
	l.pending = append(l.pending, p[n:]...)
	return len(p), nil
}

// flush writes what was gathered.
func (l *log) flush() error {
	if len(l.pending) == 0 {
		return nil
	}
	if _, err := l.File.WriteAt(l.pending, l.at); err != nil {
		return err
	}
	l.drop(0)
	return nil
}

// drop forgets what was gathered but for some bytes.
func (l *log) drop(keep int64) {
	clear(l.pending[keep:])
	l.pending = l.pending[:keep]
}

// ReadAt implements vfs.File.
func (l *log) ReadAt(p []byte, off int64) (int, error) {
	n, err := l.File.ReadAt(p, off)
	first, last := max(off, l.at), min(off+int64(len(p)), l.at+int64(len(l.pending)))
	if first >= last || err != nil && err != io.EOF {
		return n, err
	}
	if written := off + int64(n); written < first { // there is nothing in between
		if err := l.flush(); err != nil {
			return n, err
		}
		return l.File.ReadAt(p, off)
	}
	copy(p[first-off:], l.pending[first-l.at:last-l.at])
	if n = max(n, int(last-off)); n == len(p) {
		err = nil
	}
	return n, err
}

// Truncate implements vfs.File.
func (l *log) Truncate(size int64) error {
	if size < l.at+int64(len(l.pending)) {
		l.drop(max(size-l.at, 0))
	}
	if err := l.flush(); err != nil {
		return err
	}
	return l.File.Truncate(size)
}

// Sync implements vfs.File.
func (l *log) Sync(flags vfs.SyncFlag) error {
	if err := l.flush(); err != nil {
		return err
	}
	return l.File.Sync(flags)
}

// Size implements vfs.File.
func (l *log) Size() (int64, error) {
	size, err := l.File.Size()
	if len(l.pending) > 0 {
		size = max(size, l.at+int64(len(l.pending)))
	}
	return size, err
}

// Close implements vfs.File.
func (l *log) Close() error {
	err := l.flush()
	if end := l.File.Close(); err == nil {
		err = end
	}
	return err
}

// Unwrap implements vfs.FileUnwrap.
func (l *log) Unwrap() vfs.File { return l.File }
