package disk

import (
	"io"
	"math/rand/v2"
	"slices"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"
)

// sector is what a disk writes at once.
const sector = 512

// page is what a file grows by, unless it ends in one: file systems note the new size when all of a page was written.
const page = 4096

// file is a file's content in two versions and what leads from one to the other.
type file struct {
	data     []byte   // as programs see it
	stable   []byte   // as it was last synced
	pending  []change // since then
	locks    locks
	failures int // syncs that failed
}

// change is a write, or a truncation if data is nil.
type change struct {
	at   int64
	data []byte
}

func (c change) apply(to []byte) []byte {
	if c.data == nil {
		return resize(to, c.at)
	}
	if end := c.at + int64(len(c.data)); end > int64(len(to)) {
		to = resize(to, end)
	}
	copy(to[c.at:], c.data)
	return to
}

func resize(b []byte, size int64) []byte {
	if size <= int64(len(b)) {
		return b[:size]
	}
	more := int(size) - len(b)
	if cap(b) < int(size) {
		b = slices.Grow(b, max(more, len(b))) // files grow page by page
	}
	return append(b, make([]byte, more)...)
}

func (f *file) sync() {
	for _, c := range f.pending {
		f.stable = c.apply(f.stable)
	}
	f.pending = nil
}

// afterPowerLoss returns what the disk holds: the stable version and all, none or some of the pending
// changes, each sector of a write on its own.
func (f *file) afterPowerLoss(r *rand.Rand) []byte {
	content := append([]byte(nil), f.stable...)
	survive := [...]int{0, 100, 50, 90, 10}[r.IntN(5)] // in per cent
	for _, c := range f.pending {
		for _, piece := range c.sectors() {
			if r.IntN(100) < survive {
				content = piece.apply(content)
			}
		}
	}
	if grown := (int64(len(content)) + page - 1) / page * page; grown > int64(len(content)) {
		content = resize(content, min(grown, max(int64(len(f.data)), int64(len(content)))))
	}
	return content
}

// sectors splits a write where the disk's sectors end.
func (c change) sectors() (pieces []change) {
	if c.data == nil {
		return []change{c}
	}
	for at, rest := c.at, c.data; len(rest) > 0; {
		n := min(int64(len(rest)), sector-at%sector)
		pieces = append(pieces, change{at, rest[:n]})
		at, rest = at+n, rest[n:]
	}
	return pieces
}

// handle is an open file.
type handle struct {
	disk *Disk
	file *file
	name string
	boot int
	shm  vfs.SharedMemory
	lock vfs.LockLevel

	syncDir bool // the next sync takes the directory with it
	told    int  // of the file's syncs that failed
}

// SharedMemory implements vfs.FileSharedMemory, which WAL mode needs.
func (h *handle) SharedMemory() vfs.SharedMemory { return h.shm }

// Close implements vfs.File.
func (h *handle) Close() error {
	if h.shm != nil {
		_ = h.shm.Close() // already closed if it was never mapped
	}
	return h.Unlock(vfs.LOCK_NONE)
}

// ReadAt implements vfs.File.
func (h *handle) ReadAt(p []byte, off int64) (int, error) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if h.disk.down || h.boot != h.disk.boot {
		return 0, sqlite3.IOERR_READ
	}
	if off >= int64(len(h.file.data)) {
		return 0, io.EOF
	}
	n := copy(p, h.file.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt implements vfs.File.
func (h *handle) WriteAt(p []byte, off int64) (int, error) {
	if err := h.disk.begin(h.boot, Op{Write, h.name}); err != nil {
		return 0, err
	}
	defer h.disk.mu.Unlock()
	h.change(change{off, append([]byte{}, p...)})
	return len(p), nil
}

// Truncate implements vfs.File.
func (h *handle) Truncate(size int64) error {
	if err := h.disk.begin(h.boot, Op{Truncate, h.name}); err != nil {
		return err
	}
	defer h.disk.mu.Unlock()
	h.change(change{at: size})
	return nil
}

func (h *handle) change(c change) {
	h.file.data = c.apply(h.file.data)
	h.file.pending = append(h.file.pending, c)
}

// Sync implements vfs.File. As with a file of the operating system, the first sync of a journal or log
// syncs the directory too, and what a sync that fails was for is lost, though it is read: each open file is told once.
func (h *handle) Sync(vfs.SyncFlag) error {
	if err := h.disk.begin(h.boot, Op{Sync, h.name}); err != nil {
		h.disk.mu.Lock()
		defer h.disk.mu.Unlock()
		if !h.disk.down && h.boot == h.disk.boot {
			h.file.pending = nil
			h.file.failures++
			h.told = h.file.failures
		}
		return err
	}
	defer h.disk.mu.Unlock()
	h.disk.syncs++
	if h.disk.Lies {
		return nil
	}
	h.file.sync()
	if h.syncDir {
		h.syncDir = false
		h.disk.syncDir()
	}
	if h.told < h.file.failures {
		h.told = h.file.failures
		return sqlite3.IOERR_FSYNC
	}
	return nil
}

// Size implements vfs.File.
func (h *handle) Size() (int64, error) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if h.disk.down || h.boot != h.disk.boot {
		return 0, sqlite3.IOERR_FSTAT
	}
	return int64(len(h.file.data)), nil
}

// SectorSize implements vfs.File.
func (h *handle) SectorSize() int { return 4096 }

// DeviceCharacteristics implements vfs.File: like a file of the operating system, bytes beside a write
// are never harmed.
func (h *handle) DeviceCharacteristics() vfs.DeviceCharacteristic {
	return vfs.IOCAP_POWERSAFE_OVERWRITE | vfs.IOCAP_SUBPAGE_READ
}

// locks says who holds SQLite's locks on a file.
type locks struct {
	shared   int
	reserved *handle
	pending  *handle
}

// Lock implements vfs.File.
func (h *handle) Lock(level vfs.LockLevel) error {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	l := &h.file.locks
	switch {
	case h.lock >= level:
		return nil
	case l.pending != nil && l.pending != h, level > vfs.LOCK_SHARED && l.reserved != nil && l.reserved != h:
		return sqlite3.BUSY
	case level == vfs.LOCK_SHARED:
		l.shared++
	case level == vfs.LOCK_RESERVED:
		l.reserved = h
	default:
		l.reserved, l.pending = h, h
		if l.shared > 1 {
			h.lock = vfs.LOCK_PENDING
			return sqlite3.BUSY
		}
	}
	h.lock = level
	return nil
}

// Unlock implements vfs.File.
func (h *handle) Unlock(level vfs.LockLevel) error {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	l := &h.file.locks
	if h.lock <= level {
		return nil
	}
	if l.reserved == h {
		l.reserved = nil
	}
	if l.pending == h {
		l.pending = nil
	}
	if level == vfs.LOCK_NONE && h.lock >= vfs.LOCK_SHARED {
		l.shared--
	}
	h.lock = level
	return nil
}

// CheckReservedLock implements vfs.File.
func (h *handle) CheckReservedLock() (bool, error) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	return h.file.locks.reserved != nil, nil
}
