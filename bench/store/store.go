// Package store measures the server's storage: durable inserts a second by how many callers wait, and
// how many fsyncs they share.
package store

import (
	"sync/atomic"

	"github.com/ncruces/go-sqlite3/vfs"
)

// Counting is the operating system's VFS with counters of syncs, writes and reads. Files by other ways than a name are not counted.
type Counting struct {
	vfs.VFSFilename
	syncs, writes, reads atomic.Int64
}

// Count registers a Counting under a name. The caller unregisters it.
func Count(name string) *Counting {
	c := &Counting{VFSFilename: vfs.Find("").(vfs.VFSFilename)}
	vfs.Register(name, c)
	return c
}

// Syncs returns how many syncs there were.
func (c *Counting) Syncs() int64 { return c.syncs.Load() }

// Writes returns how many calls wrote something.
func (c *Counting) Writes() int64 { return c.writes.Load() }

// Reads returns how many calls read something.
func (c *Counting) Reads() int64 { return c.reads.Load() }

// OpenFilename implements vfs.VFSFilename.
func (c *Counting) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	f, flags, err := c.VFSFilename.OpenFilename(name, flags)
	if err != nil {
		return nil, flags, err
	}
	return &file{File: f, counts: c}, flags, nil
}

type file struct {
	vfs.File
	counts *Counting
}

// Sync implements vfs.File.
func (f *file) Sync(flags vfs.SyncFlag) error {
	f.counts.syncs.Add(1)
	return f.File.Sync(flags)
}

// WriteAt implements vfs.File.
func (f *file) WriteAt(p []byte, off int64) (int, error) {
	f.counts.writes.Add(1)
	return f.File.WriteAt(p, off)
}

// ReadAt implements vfs.File.
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	f.counts.reads.Add(1)
	return f.File.ReadAt(p, off)
}

// SharedMemory implements vfs.FileSharedMemory.
func (f *file) SharedMemory() vfs.SharedMemory { return f.File.(vfs.FileSharedMemory).SharedMemory() }

// SizeHint implements vfs.FileSizeHint.
func (f *file) SizeHint(size int64) error { return f.File.(vfs.FileSizeHint).SizeHint(size) }
