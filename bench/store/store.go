// Package store measures the server's storage: durable inserts a second by how many callers wait, and
// how many fsyncs they share.
package store

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/ncruces/go-sqlite3/vfs"
)

// Counting is the operating system's VFS with counters of syncs, writes and reads. Files by other ways than a name are not counted.
type Counting struct {
	vfs.VFSFilename
	syncs, writes, reads atomic.Int64

	mu            sync.Mutex
	log, database Waits
}

// Waits are what syncs of a kind of file took.
type Waits struct {
	Times   int64
	Took    time.Duration // all together
	Longest time.Duration
}

// Since returns what was added to an earlier count. The longest is that of all.
func (w Waits) Since(b Waits) Waits { return Waits{w.Times - b.Times, w.Took - b.Took, w.Longest} }

func (w *Waits) add(took time.Duration) {
	w.Times++
	w.Took += took
	w.Longest = max(w.Longest, took)
}

// Count registers a Counting under a name. The caller unregisters it.
func Count(name string) *Counting {
	c := &Counting{VFSFilename: vfs.Find("").(vfs.VFSFilename)}
	vfs.Register(name, c)
	return c
}

// Syncs returns how many syncs there were.
func (c *Counting) Syncs() int64 { return c.syncs.Load() }

// Waits returns what syncs of the log took, which commits wait for, and those of the database, which nobody should.
func (c *Counting) Waits() (log, database Waits) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.log, c.database
}

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
	waits := &c.database
	if flags&vfs.OPEN_WAL != 0 {
		waits = &c.log
	}
	return &file{File: f, counts: c, waits: waits}, flags, nil
}

type file struct {
	vfs.File
	counts *Counting
	waits  *Waits
}

// Sync implements vfs.File.
func (f *file) Sync(flags vfs.SyncFlag) error {
	f.counts.syncs.Add(1)
	began := time.Now()
	err := f.File.Sync(flags)
	f.counts.mu.Lock()
	f.waits.add(time.Since(began))
	f.counts.mu.Unlock()
	return err
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
