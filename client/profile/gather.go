package profile

import (
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
	if own := "gathering-" + name; vfs.Find(own) == nil {
		vfs.Register(own, gathering(name))
	}
	return "gathering-" + name
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
		file = &journal{File: file}
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

// journal is a file of which what was written last, in a row, may not be written yet. One connection uses it, and nothing that it has written counts before
// it is synced.
type journal struct {
	vfs.File
	at      int64 // where what is gathered goes
	pending []byte
}

// WriteAt implements vfs.File.
func (j *journal) WriteAt(p []byte, off int64) (int, error) {
	if off != j.at+int64(len(j.pending)) || len(j.pending)+len(p) > maxGathered {
		if err := j.flush(); err != nil {
			return 0, err
		}
	}
	if len(j.pending) == 0 {
		j.at = off
	}
	j.pending = append(j.pending, p...)
	return len(p), nil
}

// flush writes what was gathered.
func (j *journal) flush() error {
	if len(j.pending) == 0 {
		return nil
	}
	_, err := j.File.WriteAt(j.pending, j.at)
	clear(j.pending)
	j.pending = j.pending[:0]
	return err
}

// ReadAt implements vfs.File.
func (j *journal) ReadAt(p []byte, off int64) (int, error) {
	if err := j.flush(); err != nil {
		return 0, err
	}
	return j.File.ReadAt(p, off)
}

// Truncate implements vfs.File.
func (j *journal) Truncate(size int64) error {
	if err := j.flush(); err != nil {
		return err
	}
	return j.File.Truncate(size)
}

// Sync implements vfs.File.
func (j *journal) Sync(flags vfs.SyncFlag) error {
	if err := j.flush(); err != nil {
		return err
	}
	return j.File.Sync(flags)
}

// Size implements vfs.File.
func (j *journal) Size() (int64, error) {
	if err := j.flush(); err != nil {
		return 0, err
	}
	return j.File.Size()
}

// Close implements vfs.File.
func (j *journal) Close() error {
	err := j.flush()
	if end := j.File.Close(); err == nil {
		err = end
	}
	return err
}

// Unwrap implements vfs.FileUnwrap.
func (j *journal) Unwrap() vfs.File { return j.File }
