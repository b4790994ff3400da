package world

import (
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/util/vfsutil"
	"github.com/ncruces/go-sqlite3/vfs"

	"github.com/quicproquo/qpq/store/storetest/disk"
)

// medium is what a disk keeps its files on.
type medium interface {
	Name() string // of the VFS
	Image() disk.Image
	Restore(disk.Image)
	PowerLoss()
	Crash()
}

// realFolder is a medium of the operating system: a folder, in which a killed program leaves what it wrote. It does not lose power.
type realFolder struct {
	vfs.VFS
	name, dir string
	before    func(disk.Op) error

	mu   sync.RWMutex
	boot int // handles of earlier boots are dead
}

// newRealFolder returns an empty folder. before is called before every operation that changes anything; its error is the operation's.
func (w *World) newRealFolder(before func(disk.Op) error) *realFolder {
	f := &realFolder{VFS: vfs.Find(""), dir: w.t.TempDir(), before: before}
	f.name = "folder-" + filepath.Base(filepath.Dir(f.dir)) + "-" + filepath.Base(f.dir)
	vfs.Register(f.name, f)
	w.t.Cleanup(func() { vfs.Unregister(f.name) })
	return f
}

// Name implements medium.
func (f *realFolder) Name() string { return f.name }

// Crash implements medium: what used the folder is dead.
func (f *realFolder) Crash() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.boot++
}

// PowerLoss implements medium, as a crash.
func (f *realFolder) PowerLoss() { f.Crash() }

// Image implements medium.
func (f *realFolder) Image() disk.Image {
	image := disk.Image{}
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		panic(err)
	}
	for _, e := range entries {
		if image[e.Name()], err = os.ReadFile(filepath.Join(f.dir, e.Name())); err != nil {
			panic(err)
		}
	}
	return image
}

// Restore implements medium.
func (f *realFolder) Restore(image disk.Image) {
	f.Crash()
	for name, content := range image {
		if err := os.WriteFile(filepath.Join(f.dir, name), content, fs.FileMode(0o600)); err != nil {
			panic(err)
		}
	}
}

// Delete implements vfs.VFS.
func (f *realFolder) Delete(name string, syncDir bool) error {
	if err := f.before(disk.Op{Kind: disk.Delete, File: name}); err != nil {
		return err
	}
	return f.VFS.Delete(name, syncDir)
}

// OpenFilename implements vfs.VFSFilename.
func (f *realFolder) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	file, flags, err := vfsutil.WrapOpenFilename(f.VFS, name, flags)
	if err != nil || name == nil {
		return file, flags, err
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	return &realFile{File: file, folder: f, name: name.String(), boot: f.boot}, flags, nil
}

// realFile is an open file of a folder.
type realFile struct {
	vfs.File
	folder *realFolder
	name   string
	boot   int
}

// Unwrap implements vfs.FileUnwrap.
func (r *realFile) Unwrap() vfs.File { return r.File }

// SharedMemory implements vfs.FileSharedMemory.
func (r *realFile) SharedMemory() vfs.SharedMemory { return vfsutil.WrapSharedMemory(r.File) }

// may runs f, unless the machine is dead or its disk full.
func (r *realFile) may(kind disk.Kind, f func() error) error {
	if err := r.folder.before(disk.Op{Kind: kind, File: r.name}); err != nil {
		return err
	}
	r.folder.mu.RLock()
	defer r.folder.mu.RUnlock()
	if r.boot != r.folder.boot {
		return sqlite3.IOERR
	}
	return f()
}

// WriteAt implements vfs.File.
func (r *realFile) WriteAt(p []byte, off int64) (n int, err error) {
	err = r.may(disk.Write, func() error { n, err = r.File.WriteAt(p, off); return err })
	return n, err
}

// Truncate implements vfs.File.
func (r *realFile) Truncate(size int64) error {
	return r.may(disk.Truncate, func() error { return r.File.Truncate(size) })
}

// Sync implements vfs.File.
func (r *realFile) Sync(flags vfs.SyncFlag) error {
	return r.may(disk.Sync, func() error { return r.File.Sync(flags) })
}
