// Package wal has what a transaction writes to SQLite's write-ahead log reach the file as one write, when it is synced. SQLite writes each page by
// two: a header of 24 bytes, and the page. And it can leave out the sync of some commits, until that of a later one.
package wal

import (
	"io"
	"sync"
	"sync/atomic"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/util/vfsutil"
	"github.com/ncruces/go-sqlite3/vfs"
)

// gathering is a VFS like another one, whose name it is.
type gathering string

var registering sync.Mutex

// VFS returns the name of a VFS that is like the one of a name, empty for the operating system's, and gathers what is written to logs. It is for databases
// to which one connection writes, with synchronous=FULL: others read a log up to the last commit, which is written by then.
func VFS(of string) string {
	registering.Lock()
	defer registering.Unlock()
	own := "gathering-" + of
	switch {
	case vfs.Find(of) == nil:
		return of // SQLite says so
	case vfs.Find(own) == nil:
		vfs.Register(own, gathering(of))
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
		file = &Log{File: file}
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

const (
	maxGathered = 64 << 10 // bytes that are kept until they are written
	maxBehind   = 1 << 20  // bytes that are kept until they are synced: they are memory, and are written again when a sync fails
)

// Log is the log of a database: a file whose last bytes, in a row, are kept in memory. They are read as if they were written. They are kept
//   - until they are written, at a sync: many pages become one write. Where writing fails, as on a full disk, they stay, because SQLite takes them for
//     written;
//   - until they are synced, where a commit is among them whose sync was left out: when a sync fails, the operating system takes for written what it has
//     lost, and all must be written again.
//
// One connection uses it, in one goroutine; Doubt, Lost and Failed are for all.
type Log struct {
	vfs.File
	at       int64 // where kept goes
	kept     []byte
	written  int  // bytes of kept that the file has
	behind   int  // bytes of kept up to the end of the last commit whose sync was left out
	before   int  // bytes of kept of what was before the transaction
	reached  bool // the file has all of the transaction
	loose    bool // the file has bytes that are neither synced nor kept: the next sync cannot be left out
	deferred bool // syncs are left out

	owing   atomic.Bool  // commits are behind
	doubts  atomic.Int64 // syncs that failed
	settled atomic.Int64 // of them, those that one came after which did not
}

// Of returns the log that a connection writes. Its database has been opened by a VFS of this package, and read.
func Of(c *sqlite3.Conn) (*Log, error) {
	f, err := c.FileControl("main", sqlite3.FCNTL_JOURNAL_POINTER)
	if err != nil {
		return nil, err
	}
	return f.(*Log), nil
}

// Begin says that a transaction is about to begin, and whether the sync of its commit is left out, unless it is a large one. Who reads sees such commits; after a loss
// of power they are there or not, each whole, and none without those before it.
func (l *Log) Begin(deferred bool) { l.before, l.deferred, l.reached = len(l.kept), deferred, false }

// End says that the transaction is over. Of one that was not committed nothing more is written; it reports whether all of it is in the file already, where a kill
// of the program leaves it, because what came after that failed: the sync.
func (l *Log) End(committed bool) (reached bool) {
	l.deferred = false
	if !committed {
		l.drop(l.before)
	}
	return l.reached
}

// Behind reports whether there are commits whose sync was left out. They become durable with the next that is synced, or by Settle.
func (l *Log) Behind() bool { return l.behind > 0 }

// Settle makes all commits durable.
func (l *Log) Settle() error { return l.sync(vfs.SYNC_NORMAL) }

// Doubt says that a sync of the file failed elsewhere.
func (l *Log) Doubt() { l.doubts.Add(1) }

// Lost reports whether commits are behind, and no sync succeeded since one failed: the disk may have nothing of them, though they are read. They are not to be copied
// to the database.
func (l *Log) Lost() bool { return l.owing.Load() && l.Failed() }

// Failed reports whether no sync succeeded since one failed.
func (l *Log) Failed() bool { return l.doubts.Load() != l.settled.Load() }

// WriteAt implements vfs.File.
func (l *Log) WriteAt(p []byte, off int64) (int, error) {
	most := int64(maxGathered)
	if l.deferred || l.behind > 0 {
		most = maxBehind
	}
	if end := l.at + int64(len(l.kept)); off < l.at || off > end || off-l.at+int64(len(p)) > most {
		if err := l.flush(); err != nil {
			return 0, err
		}
	}
	if len(l.kept) == 0 {
		l.at = off
	}
	if off < l.at+int64(len(l.kept)) { // over what was undone, of which a part may be left behind this transaction: nothing is kept of it
		l.deferred = false
	}
	l.reached = false
	l.written = min(l.written, int(off-l.at))
	n := copy(l.kept[off-l.at:], p)
	l.kept = append(l.kept, p[n:]...)
	return len(p), nil
}

// flush leaves nothing kept, which takes a sync where commits are behind.
func (l *Log) flush() error {
	if l.behind > 0 {
		return l.sync(vfs.SYNC_NORMAL)
	}
	if err := l.write(); err != nil {
		return err
	}
	l.loose = l.loose || len(l.kept) > 0
	l.drop(0)
	return nil
}

// write brings to the file what it lacks of kept.
func (l *Log) write() error {
	if l.written == len(l.kept) {
		return nil
	}
	if _, err := l.File.WriteAt(l.kept[l.written:], l.at+int64(l.written)); err != nil {
		return err
	}
	l.written = len(l.kept)
	return nil
}

// drop keeps so many bytes and no more.
func (l *Log) drop(keep int) {
	clear(l.kept[keep:])
	l.kept = l.kept[:keep]
	l.written, l.behind, l.before = min(l.written, keep), min(l.behind, keep), min(l.before, keep)
	l.owing.Store(l.behind > 0)
}

// ReadAt implements vfs.File.
func (l *Log) ReadAt(p []byte, off int64) (int, error) {
	n, err := l.File.ReadAt(p, off)
	first, last := max(off, l.at), min(off+int64(len(p)), l.at+int64(len(l.kept)))
	if first >= last || err != nil && err != io.EOF {
		return n, err
	}
	if written := off + int64(n); written < first { // there is nothing in between
		if err := l.flush(); err != nil {
			return n, err
		}
		return l.File.ReadAt(p, off)
	}
	copy(p[first-off:], l.kept[first-l.at:last-l.at])
	if n = max(n, int(last-off)); n == len(p) {
		err = nil
	}
	return n, err
}

// Truncate implements vfs.File.
func (l *Log) Truncate(size int64) error {
	if size < l.at+int64(len(l.kept)) {
		l.drop(int(max(size-l.at, 0)))
	}
	if err := l.write(); err != nil {
		return err
	}
	return l.File.Truncate(size)
}

// Sync implements vfs.File. It is left out for commits alone: at the beginning is the log's header, on which all else rests.
func (l *Log) Sync(flags vfs.SyncFlag) error {
	if canWait := l.deferred && !l.loose && l.at > 0 && len(l.kept) > 0; !canWait {
		return l.sync(flags)
	}
	if err := l.write(); err != nil {
		return err
	}
	l.reached = true
	l.behind = len(l.kept)
	l.owing.Store(true)
	return nil
}

func (l *Log) sync(flags vfs.SyncFlag) error {
	doubts := l.doubts.Load()
	if l.Failed() {
		l.written = 0
	}
	if err := l.write(); err != nil {
		return err
	}
	l.reached = true
	if err := l.File.Sync(flags); err != nil {
		l.Doubt()
		return err
	}
	l.settled.Store(doubts)
	l.loose = false
	l.drop(0)
	return nil
}

// Size implements vfs.File.
func (l *Log) Size() (int64, error) {
	size, err := l.File.Size()
	if len(l.kept) > 0 {
		size = max(size, l.at+int64(len(l.kept)))
	}
	return size, err
}

// Close implements vfs.File.
func (l *Log) Close() error {
	err := l.flush()
	if end := l.File.Close(); err == nil {
		err = end
	}
	return err
}

// Unwrap implements vfs.FileUnwrap.
func (l *Log) Unwrap() vfs.File { return l.File }
