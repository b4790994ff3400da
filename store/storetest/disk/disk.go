// Package disk is a disk for SQLite that can lose power, fill up and fail: a VFS in memory that knows
// which writes were synced.
//
// What was not synced when power is lost may be there afterwards, be gone, be torn at a sector or have
// happened in another order; the seed decides. What was synced stays.
package disk

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"
)

// Kind says what an operation does to the disk.
type Kind string

// The operations that change a disk.
const (
	Write    Kind = "write"
	Truncate Kind = "truncate"
	Sync     Kind = "sync"
	Delete   Kind = "delete"
)

// Op is an operation about to happen.
type Op struct {
	Kind Kind
	File string // its name; "-wal" at the end for the log
}

// Disk is a simulated disk, registered as a SQLite VFS. Make one with New.
type Disk struct {
	// Before is called before every operation, beside others; its error is the operation's, which then
	// has no effect, but that a sync that fails loses what it was for, as far as the power is concerned. Set it before the disk is used. Nil lets all pass.
	Before func(Op) error
	// Lies makes Sync report success and do nothing, as some disks and synchronous=OFF do.
	Lies bool

	name string
	dir  string // where the shared memory of WAL mode lives

	mu      sync.Mutex
	rand    *rand.Rand
	seen    map[string]*file // the directory as programs see it
	kept    map[string]*file // the directory entries that survive a loss of power
	boot    int              // handles of earlier boots are dead
	fuse    int              // operations left until power fails; negative means it does not
	down    bool
	syncs   int
	changes int
}

// New returns an empty disk whose behaviour at a loss of power follows from seed.
func New(t testing.TB, seed uint64) *Disk {
	d := &Disk{
		name: fmt.Sprintf("disk-%s-%d", t.Name(), seed), dir: t.TempDir(), fuse: -1,
		rand: rand.New(rand.NewPCG(seed, seed)), seen: map[string]*file{}, kept: map[string]*file{},
	}
	vfs.Register(d.name, d)
	t.Cleanup(func() { vfs.Unregister(d.name) })
	return d
}

// Name is the name of the VFS.
func (d *Disk) Name() string { return d.name }

// Syncs returns how many syncs succeeded.
func (d *Disk) Syncs() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.syncs
}

// Changes returns how many operations of any kind were carried out.
func (d *Disk) Changes() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.changes
}

// FailAfter lets n more operations pass and then lets power fail: everything returns I/O errors until
// PowerLoss.
func (d *Disk) FailAfter(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fuse = n
}

// PowerLoss takes power away and brings it back, once nothing uses the disk any more: open files are dead, and the disk holds what was
// synced and, as the seed has it, some of what was not.
func (d *Disk) PowerLoss() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.boot++
	d.down, d.fuse = false, -1
	if d.rand.IntN(2) == 0 { // what changed in the directory may have made it
		d.kept = d.seen
	}
	after := map[string]*file{}
	for _, name := range slices.Sorted(maps.Keys(d.kept)) {
		content := d.kept[name].afterPowerLoss(d.rand)
		after[name] = &file{data: content, stable: slices.Clone(content)}
	}
	d.seen, d.kept = after, maps.Clone(after)
}

// Crash ends whatever uses the disk, as a killed program ends: open files are dead, and all that was written is there, synced
// or not.
func (d *Disk) Crash() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.boot++
	d.down, d.fuse = false, -1
	d.seen, d.kept = reopened(d.seen, d.kept)
}

// reopened returns two directories with files that nobody holds, the same ones where they were the same.
func reopened(seen, kept map[string]*file) (s, k map[string]*file) {
	s, k = map[string]*file{}, map[string]*file{}
	for name, f := range seen {
		s[name] = &file{data: f.data, stable: f.stable, pending: f.pending}
		if kept[name] == f {
			k[name] = s[name]
		}
	}
	for name, f := range kept {
		if k[name] == nil {
			k[name] = &file{data: f.data, stable: f.stable, pending: f.pending}
		}
	}
	return s, k
}

// Image is a copy of all that is on a disk.
type Image map[string][]byte

// Image copies what programs see.
func (d *Disk) Image() Image {
	d.mu.Lock()
	defer d.mu.Unlock()
	image := Image{}
	for name, f := range d.seen {
		image[name] = slices.Clone(f.data)
	}
	return image
}

// Restore replaces all that is on the disk by a copy, durably. What used the disk is dead.
func (d *Disk) Restore(image Image) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.boot++
	d.down, d.fuse = false, -1
	d.seen = map[string]*file{}
	for name, content := range image {
		d.seen[name] = &file{data: slices.Clone(content), stable: slices.Clone(content)}
	}
	d.kept = maps.Clone(d.seen)
}

// begin asks whether an operation may happen. If it may, d.mu is held and the caller releases it.
func (d *Disk) begin(boot int, op Op) error {
	if d.Before != nil {
		if err := d.Before(op); err != nil {
			return err
		}
	}
	d.mu.Lock()
	if d.fuse == 0 {
		d.down = true
	}
	if d.down || boot != d.boot {
		d.mu.Unlock()
		return sqlite3.IOERR
	}
	if d.fuse > 0 {
		d.fuse--
	}
	d.changes++
	return nil
}

// Open implements vfs.VFS.
func (d *Disk) Open(name string, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.down {
		return nil, flags, sqlite3.IOERR
	}
	f := d.seen[name]
	if f == nil {
		if flags&vfs.OPEN_CREATE == 0 {
			return nil, flags, sqlite3.CANTOPEN
		}
		f = &file{}
		if name != "" { // else a temporary file, which only its handle knows
			d.seen[name] = f
		}
	}
	shm := vfs.NewSharedMemory(fmt.Sprintf("%s/boot-%d", d.dir, d.boot), flags)
	journal := flags&(vfs.OPEN_MAIN_JOURNAL|vfs.OPEN_SUPER_JOURNAL|vfs.OPEN_WAL) != 0
	return &handle{disk: d, file: f, name: name, boot: d.boot, shm: shm, syncDir: journal, told: f.failures}, flags, nil
}

// Delete implements vfs.VFS.
func (d *Disk) Delete(name string, syncDir bool) error {
	d.mu.Lock()
	boot := d.boot
	d.mu.Unlock()
	if err := d.begin(boot, Op{Delete, name}); err != nil {
		return err
	}
	defer d.mu.Unlock()
	if d.seen[name] == nil {
		return sqlite3.IOERR_DELETE_NOENT
	}
	delete(d.seen, name)
	if syncDir {
		d.syncDir()
	}
	return nil
}

// syncDir makes all directory entries durable, and the removal of all others.
func (d *Disk) syncDir() {
	if !d.Lies {
		d.kept = maps.Clone(d.seen)
	}
}

// Access implements vfs.VFS.
func (d *Disk) Access(name string, _ vfs.AccessFlag) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.down {
		return false, sqlite3.IOERR
	}
	return d.seen[name] != nil, nil
}

// FullPathname implements vfs.VFS.
func (d *Disk) FullPathname(name string) (string, error) { return name, nil }
