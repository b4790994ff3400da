package profile

import (
	"io"
	"sync"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/util/vfsutil"
	"github.com/ncruces/go-sqlite3/vfs"
)

// SQLite writes each page of its journal by two writes that fit no block of the encryption: three blocks are read, decrypted, encrypted
// and written for one. gathering has those of a transaction reach the encryption as one write, when the journal is synced.

// gathering is a VFS like another one, whose name it is.
type gathering string

var registering sync.Mutex

// gathered returns the name of a VFS that is like the one of a name and gathers what is written to journals.
func gathered(name string) string {
	registering.Lock()
	defer registering.Unlock()
	own := "gathering-" + name
	if vfs.Find(own) == nil {
		vfs.Register(own, gathering(name))
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
		file = &wal{File: file}
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
const maxGathered = 256 << 10

// wal is the journal of a database, a file of which what was written last, in a row, may not be written yet. One connection uses it, and nothing that it has
// written counts before it is synced. What is gathered is read as if it were written, and stays where writing it fails, as on a disk that is full: SQLite
// writes the rest of a frame after the sync that it needs, and takes it for written.
type wal struct {
	vfs.File
	at      int64 // where what is gathered goes
	pending []byte
}

// WriteAt implements vfs.File.
func (w *wal) WriteAt(p []byte, off int64) (int, error) {
	if end := w.at + int64(len(w.pending)); off < w.at || off > end || off-w.at+int64(len(p)) > maxGathered {
		if err := w.flush(); err != nil {
			return 0, err
		}
	}
	if len(w.pending) == 0 {
		w.at = off
	}
	n := copy(w.pending[off-w.at:], p)
	w.pending = append(w.pending, p[n:]...)
	return len(p), nil
}

// flush writes what was gathered.
func (w *wal) flush() error {
	if len(w.pending) == 0 {
		return nil
	}
	if _, err := w.File.WriteAt(w.pending, w.at); err != nil {
		return err
	}
	w.drop(0)
	return nil
}

// drop forgets what was gathered but for some bytes.
func (w *wal) drop(keep int64) {
	clear(w.pending[keep:])
	w.pending = w.pending[:keep]
}

// ReadAt implements vfs.File.
func (w *wal) ReadAt(p []byte, off int64) (int, error) {
	n, err := w.File.ReadAt(p, off)
	first, last := max(off, w.at), min(off+int64(len(p)), w.at+int64(len(w.pending)))
	if first >= last || err != nil && err != io.EOF {
		return n, err
	}
	if written := off + int64(n); written < first { // there is nothing in between
		if err := w.flush(); err != nil {
			return n, err
		}
		return w.File.ReadAt(p, off)
	}
	copy(p[first-off:], w.pending[first-w.at:last-w.at])
	if n = max(n, int(last-off)); n == len(p) {
		err = nil
	}
	return n, err
}

// Truncate implements vfs.File.
func (w *wal) Truncate(size int64) error {
	if size < w.at+int64(len(w.pending)) {
		w.drop(max(size-w.at, 0))
	}
	if err := w.flush(); err != nil {
		return err
	}
	return w.File.Truncate(size)
}

// Sync implements vfs.File.
func (w *wal) Sync(flags vfs.SyncFlag) error {
	if err := w.flush(); err != nil {
		return err
	}
	return w.File.Sync(flags)
}

// Size implements vfs.File.
func (w *wal) Size() (int64, error) {
	size, err := w.File.Size()
	if len(w.pending) > 0 {
		size = max(size, w.at+int64(len(w.pending)))
	}
	return size, err
}

// Close implements vfs.File.
func (w *wal) Close() error {
	err := w.flush()
	if end := w.File.Close(); err == nil {
		err = end
	}
	return err
}

// Unwrap implements vfs.FileUnwrap.
func (w *wal) Unwrap() vfs.File { return w.File }
