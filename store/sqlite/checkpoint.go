package sqlite

import (
	"encoding/binary"
	"errors"
	"io"
	"time"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/store"
)

// redo is what of a log is to be copied again, because the sync failed that was to make the copies durable.
type redo struct {
	pages int64     // at the beginning
	salts uint64    // of the log: others, and it has begun anew, so that all is in the database
	never bool      // it is not known what, and nothing is copied any more before a start, which copies all, unless others have the database open
	tried time.Time // last
}

func (r redo) any() bool { return r.never || r.pages > 0 }

// due reports whether it is time to copy again: commits are held up for it.
func (r redo) due() bool { return r.pages > 0 && !r.never && time.Since(r.tried) >= retry }

// repair copies again what may be lost, if it is time to.
func (l *log) repair() {
	if l.redoDue() {
		l.hold(l.redoDue)
	}
}

func (l *log) redoDue() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.redo.due()
}

// errLost says that the log may have lost a part, which is not to be copied.
var errLost = qpq.E(qpq.Unavailable, codeFailing, textFailing)

// checkpoint copies to the database, and syncs it. When a sync fails, the operating system takes for written what it has lost. What was copied in parts, of which
// SQLite takes the first ones for done, is copied again then, while commits are held up: when gated.
func (l *log) checkpoint(mode sqlite3.CheckpointMode, gated bool) error {
	if l.source.Lost() || l.redo.any() && !(gated && l.redo.due()) {
		return errLost
	}
	if l.redo.any() {
		if err := l.again(); err != nil {
			return kinded(err)
		}
	}
	before, err := l.salts()
	if err != nil {
		return kinded(err)
	}
	_, copied, err := l.c.db.WALCheckpoint("main", mode)
	if l.own.Failed() { // the sync of the log, with which it began
		l.source.Doubt()
	}
	if err != nil && !errors.Is(err, sqlite3.BUSY) || copied < 0 {
		return err
	}
	l.copied.Store(int64(copied))
	between, unknown := l.salts()
	if l.whole(int64(copied), gated) {
		return err
	}
	if failed := l.file.Sync(vfs.SYNC_NORMAL); failed != nil {
		l.redo = redo{pages: int64(copied), salts: between, never: unknown != nil || before != between}
		return kinded(failed)
	}
	return err
}

// whole reports whether all of the log is copied, and synced by SQLite therefore.
func (l *log) whole(copied int64, gated bool) bool {
	if !gated {
		if !l.gate.TryLock() { // there may be a commit of which watch was not told yet
			return false
		}
		defer l.gate.Unlock()
	}
	return copied >= l.pages.Load()
}

// Of SQLite's file format, section 4.1.
const (
	headerSize      = 32
	headerSalts     = 16 // where they are
	frameHeaderSize = 24
)

// salts returns those of the log, which change when it begins anew. An empty one has none.
func (l *log) salts() (uint64, error) {
	var header [headerSize]byte
	_, err := l.own.ReadAt(header[:], 0)
	if err == io.EOF {
		err = nil
	}
	return binary.BigEndian.Uint64(header[headerSalts:]), err
}

// again copies what is to be copied again: of each page the newest version, as it is in the database for those who read it.
func (l *log) again() error {
	l.redo.tried = time.Now()
	if salts, err := l.salts(); err != nil {
		return err
	} else if salts != l.redo.salts {
		l.redo = redo{}
		return nil
	}
	newest, frame := map[int64]int64{}, make([]byte, frameHeaderSize+l.size)
	for n := range l.redo.pages {
		at := headerSize + n*int64(len(frame))
		if _, err := l.own.ReadAt(frame[:frameHeaderSize], at); err != nil {
			return err
		}
		newest[int64(binary.BigEndian.Uint32(frame))] = at
	}
	for page, at := range newest {
		if _, err := l.own.ReadAt(frame, at); err != nil {
			return err
		}
		if _, err := l.file.WriteAt(frame[frameHeaderSize:], (page-1)*l.size); err != nil {
			return err
		}
	}
	if err := l.file.Sync(vfs.SYNC_NORMAL); err != nil {
		return err
	}
	l.redo = redo{}
	return nil
}

func pageSize(c *conn) (size int64, err error) {
	err = c.Query(func(r store.Row) error { return r.Scan(&size) }, `PRAGMA page_size`)
	return size, err
}
