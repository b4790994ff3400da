package profile

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/util/vfsutil"
	"github.com/ncruces/go-sqlite3/vfs"
	"github.com/ncruces/go-sqlite3/vfs/adiantum"

	"github.com/quicproquo/qpq"
)

// Memory holds a profile in memory, for programs that have no files, such as those that a browser runs, and for tests. It is encrypted
// there as it would be in a file. What was not kept elsewhere, as Image returns it, is gone with the program. The zero value holds
// nothing yet and is ready to use; it must not be copied.
type Memory struct {
	mu    sync.Mutex
	files map[string]*vfsutil.SliceFile // by name
	busy  bool                          // somebody opens it, or has it open
	open  *Profile
}

// NewMemory returns a Memory that holds what Image returned. An older image is an older copy of the profile: what came since then is
// missing, and the server tells the device so.
func NewMemory(image []byte) *Memory {
	file := vfsutil.SliceFile(bytes.Clone(image))
	return &Memory{files: map[string]*vfsutil.SliceFile{fileMemory: &file}}
}

const fileMemory = "profile.db"

// Open opens the profile, making it if there is none. It fails with qpq.Exists while it is open already.
func (m *Memory) Open(key []byte) (*Profile, error) {
	m.mu.Lock()
	busy := m.busy
	m.busy = true
	m.mu.Unlock()
	if busy {
		return nil, qpq.E(qpq.Exists, "profile-in-use", "the profile in this memory is open already: close it first")
	}
	folder := memories.enter(m)
	p, err := Open(Config{Path: folder + fileMemory, Key: key, VFS: memoryVFS})
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil {
		m.busy = false
		memories.leave(folder)
		return nil, err
	}
	m.open = p
	p.closed = func() {
		memories.leave(folder)
		m.mu.Lock()
		defer m.mu.Unlock()
		m.busy, m.open = false, nil
	}
	return p, nil
}

// Image returns the profile as it is now, encrypted with its key, for NewMemory.
func (m *Memory) Image() ([]byte, error) {
	m.mu.Lock()
	p := m.open
	m.mu.Unlock()
	if p != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		if err := m.gather(p); err != nil {
			return nil, kinded(err)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	file := m.files[fileMemory]
	if file == nil {
		return nil, nil
	}
	return bytes.Clone(*file), nil
}

// gather brings all that an open profile has into one file. The caller holds its lock.
func (m *Memory) gather(p *Profile) error {
	m.mu.Lock()
	open := m.open == p
	m.mu.Unlock()
	if !open { // it was closed meanwhile, which does the same
		return nil
	}
	return p.db.Exec(`PRAGMA wal_checkpoint(TRUNCATE)`)
}

// memoryVFS is the name by which SQLite finds every Memory whose profile is open: each is a folder there.
const memoryVFS = "qpq-memory"

var memories folders

type folders struct {
	once  sync.Once
	last  atomic.Int64
	byKey sync.Map // *Memory, by the name of its folder
}

// enter makes a folder of m.
func (f *folders) enter(m *Memory) string {
	f.once.Do(func() { vfs.Register(memoryVFS, adiantum.Wrap(f, nil)) })
	folder := fmt.Sprintf("/%d/", f.last.Add(1))
	f.byKey.Store(folder, m)
	return folder
}

func (f *folders) leave(folder string) { f.byKey.Delete(folder) }

// find returns whose file a path is, and its name.
func (f *folders) find(path string) (*Memory, string, bool) {
	at := strings.LastIndexByte(path, '/') + 1
	m, ok := f.byKey.Load(path[:at])
	if !ok {
		return nil, "", false
	}
	return m.(*Memory), path[at:], true
}

// Open implements vfs.VFS. A file without a name is a temporary one.
func (f *folders) Open(path string, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	if path == "" {
		return &memoryFile{new(vfsutil.SliceFile)}, flags, nil
	}
	m, name, ok := f.find(path)
	if !ok {
		return nil, flags, sqlite3.CANTOPEN
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	file := m.files[name]
	if file == nil && flags&vfs.OPEN_CREATE == 0 {
		return nil, flags, sqlite3.CANTOPEN
	}
	if file == nil {
		if m.files == nil {
			m.files = map[string]*vfsutil.SliceFile{}
		}
		file = new(vfsutil.SliceFile)
		m.files[name] = file
	}
	return &memoryFile{file}, flags, nil
}

// Delete implements vfs.VFS.
func (f *folders) Delete(path string, _ bool) error {
	m, name, ok := f.find(path)
	if !ok {
		return sqlite3.IOERR_DELETE_NOENT
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.files[name] == nil {
		return sqlite3.IOERR_DELETE_NOENT
	}
	delete(m.files, name)
	return nil
}

// Access implements vfs.VFS.
func (f *folders) Access(path string, _ vfs.AccessFlag) (bool, error) {
	m, name, ok := f.find(path)
	if !ok {
		return false, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.files[name] != nil, nil
}

// FullPathname implements vfs.VFS.
func (f *folders) FullPathname(path string) (string, error) { return path, nil }

// memoryFile is an open file. One connection uses it, so that there is nothing to lock.
type memoryFile struct{ *vfsutil.SliceFile }

// Lock implements vfs.File.
func (memoryFile) Lock(vfs.LockLevel) error { return nil }

// Unlock implements vfs.File.
func (memoryFile) Unlock(vfs.LockLevel) error { return nil }

// CheckReservedLock implements vfs.File.
func (memoryFile) CheckReservedLock() (bool, error) { return false, nil }
