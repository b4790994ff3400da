package world

import (
	"path/filepath"
	"sync"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/quicproquo/qpq/store/storetest/disk"
)

// Disk is the disk of a machine, and its power: the machine can die at any operation.
type Disk struct {
	medium
	dir  string     // of its files
	died func()     // called once for each death, before the operation fails
	copy disk.Image // the last backup, nil if there is none
	made time.Time  // when it was

	mu    sync.Mutex
	fuse  int // operations until the machine dies; negative means that it does not
	power bool
	full  bool          // nothing more can be written
	into  disk.Image    // what is there after the next death, nil for what was
	dead  chan struct{} // closed while the machine is dead
}

// newDisk returns an empty disk. died must not block.
func (w *World) newDisk(died func()) *Disk {
	w.disks++
	d := &Disk{dir: "/", died: died, fuse: -1, dead: make(chan struct{})}
	if w.driver.folders {
		f := w.newRealFolder(d.before)
		d.medium, d.dir = f, f.dir
		return d
	}
	m := disk.New(w.t, w.seed<<16+w.disks)
	m.Before, d.medium = d.before, m
	return d
}

// lie has the disk claim to have synced what it has not.
func (d *Disk) lie() {
	if m, ok := d.medium.(*disk.Disk); ok {
		m.Lies = true
	}
}

// path returns the path of a file on the disk.
func (d *Disk) path(name string) string { return filepath.Join(d.dir, name) }

func (d *Disk) before(op disk.Op) error {
	d.mu.Lock()
	blown := d.fuse == 0
	if d.fuse > 0 {
		d.fuse--
	}
	power, full := d.power, d.full
	d.mu.Unlock()
	if blown {
		d.Die(power)
	}
	if d.Dead() {
		return sqlite3.IOERR
	}
	if full && op.Kind == disk.Write {
		return sqlite3.FULL
	}
	return nil
}

// fill lets nothing more be written, or makes room.
func (d *Disk) fill(full bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full = full
}

// Full reports whether nothing more can be written.
func (d *Disk) Full() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.full
}

// DieAfter lets the machine die at an operation to come: killed, or without power.
func (d *Disk) DieAfter(operations int, power bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fuse, d.power = operations, power
}

// spare lets the machine live, unless it died already.
func (d *Disk) spare() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fuse = -1
}

// Die lets the machine die now. From here on nothing that ran on it has any effect.
func (d *Disk) Die(power bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case <-d.dead:
		return
	default:
	}
	d.fuse, d.power = -1, power
	close(d.dead)
	d.died()
}

// DieInto lets the machine die now, and come back with the contents of a copy.
func (d *Disk) DieInto(image disk.Image) {
	d.mu.Lock()
	d.into = image
	d.mu.Unlock()
	d.Die(false)
}

// Death is closed when the machine has died.
func (d *Disk) Death() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dead
}

// Dead reports whether the machine is dead.
func (d *Disk) Dead() bool {
	select {
	case <-d.Death():
		return true
	default:
		return false
	}
}

// Revive makes the disk usable again, as it is after such a death. Nothing that used it may run any more.
func (d *Disk) Revive() {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.into != nil:
		d.Restore(d.into)
	case d.power:
		d.PowerLoss()
	default:
		d.Crash()
	}
	d.fuse, d.power, d.into, d.dead = -1, false, nil, make(chan struct{})
}

// free returns how many bytes are left, as a server asks.
func (d *Disk) free() (uint64, error) {
	if d.Full() {
		return 0, nil
	}
	return 1 << 40, nil
}
