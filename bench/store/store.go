// Package store measures the server's storage: durable inserts a second by how many callers wait, and
// how many fsyncs they share.
package store

import (
	"sync/atomic"

	"github.com/ncruces/go-sqlite3/vfs"
)

// Counting is the operating system's VFS with a counter of syncs. Files by other ways than a name are not counted.
type Counting struct {
	vfs.VFSFilename
	syncs atomic.Int64
}

// Count registers a Counting under a name. The caller unregisters it.
func Count(name string) *Counting {
	c := &Counting{VFSFilename: vfs.Find("").(vfs.VFSFilename)}
	vfs.Register(name, c)
	return c
}

// Syncs returns how many syncs there were.
func (c *Counting) Syncs() int64 { return c.syncs.Load() }

// OpenFilename implements vfs.VFSFilename.
func (c *Counting) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	f, flags, err := c.VFSFilename.OpenFilename(name, flags)
	if err != nil {
		return nil, flags, err
	}
	return &file{File: f, syncs: &c.syncs}, flags, nil
}

type file struct {
	vfs.File
	syncs *atomic.Int64
}

// Sync implements vfs.File.
func (f *file) Sync(flags vfs.SyncFlag) error {
	f.syncs.Add(1)
	return f.File.Sync(flags)
}

// SharedMemory implements vfs.FileSharedMemory.
func (f *file) SharedMemory() vfs.SharedMemory { return f.File.(vfs.FileSharedMemory).SharedMemory() }

// SizeHint implements vfs.FileSizeHint.
func (f *file) SizeHint(size int64) error { return f.File.(vfs.FileSizeHint).SizeHint(size) }
