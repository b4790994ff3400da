package store

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/quicproquo/qpq"
)

// SweepBlobs looks after up to limit blobs that are due, and returns how many went: uploads that nobody goes on with, blobs that no
// message refers to, and those whose message no inbox needs any more, or whose time is over. The others are looked at again in their time. Call it
// again where there may be more.
func (s *Store) SweepBlobs(ctx context.Context, r BlobRules, now time.Time, limit int64) (removed int64, more bool, err error) {
	if s.contents == nil {
		return 0, false, nil
	}
	due, err := s.dueBlobs(ctx, now, limit)
	for _, b := range due {
		if err != nil {
			break
		}
		var gone bool
		if gone, err = s.lookAfter(ctx, b, r, now); gone {
			removed++
		}
	}
	return removed, int64(len(due)) == limit, err
}

func (s *Store) dueBlobs(ctx context.Context, now time.Time, limit int64) (list []blob, err error) {
	return list, s.view(ctx, "look for files that are due", func(tx Tx) error {
		list = nil
		return tx.Query(func(r Row) error {
			var channel, hash []byte
			var b blob
			err := r.Scan(&channel, &hash, &b.size, &b.complete)
			copy(b.id.Channel[:], channel)
			copy(b.id.Hash[:], hash)
			list = append(list, b)
			return err
		}, selectDueBlobs, millis(now), limit)
	})
}

// lookAfter drops a blob that is due, or says when to look again.
func (s *Store) lookAfter(ctx context.Context, due blob, r BlobRules, now time.Time) (gone bool, err error) {
	id := due.id
	defer s.blobs.lock(id)()
	there := due.complete != 0 && s.whole(due)
	err = s.later(ctx, "look after a file", func(tx Tx) error {
		gone = false
		b, found, err := readBlob(tx, id)
		if err != nil || !found || b.due > millis(now) {
			return err
		}
		if gone = !there || b.message == nil || b.expires <= millis(now); gone {
			return exec(tx, deleteBlob, id.Channel[:], id.Hash[:])
		}
		needed, err := needed(tx, b)
		if err != nil {
			return err
		}
		expires, next := b.expires, min(b.expires, millis(now.Add(r.Look)))
		if !needed {
			expires = min(expires, millis(now.Add(r.Grace)))
			next = expires
		}
		return exec(tx, delayBlob, id.Channel[:], id.Hash[:], expires, next)
	})
	if err == nil && gone {
		err = s.contents.Remove(id)
	}
	return gone, err
}

// whole reports whether the contents of a complete blob are there up to the last byte.
func (s *Store) whole(b blob) bool {
	_, err := s.contents.ReadAt(b.id, make([]byte, 1), b.size-1)
	return !errors.Is(err, qpq.NotFound)
}

// needed reports whether an inbox row still needs the message that refers to a blob.
func needed(tx Tx, b blob) (bool, error) {
	var waiting int64
	found, err := one(tx, into{&waiting}, selectWaiting, b.id.Channel[:], b.message)
	return found && waiting > 0, err
}

// SweepContents drops contents of which no row knows: an account was erased, or the database is older than they are. It returns how many.
func (s *Store) SweepContents(ctx context.Context) (removed int64, err error) {
	if s.contents == nil {
		return 0, nil
	}
	err = s.contents.Each(func(id BlobID) error {
		gone, err := s.dropOrphan(ctx, id)
		if gone {
			removed++
		}
		return err
	})
	return removed, err
}

func (s *Store) dropOrphan(ctx context.Context, id BlobID) (gone bool, err error) {
	defer s.blobs.lock(id)()
	known := false
	err = s.view(ctx, "look for a file's row", func(tx Tx) (err error) {
		_, known, err = readBlob(tx, id)
		return err
	})
	if err != nil || known {
		return false, err
	}
	return true, s.contents.Remove(id)
}

const (
	selectDueBlobs = `SELECT channel, blob, size, complete FROM blobs WHERE due <= $1 ORDER BY due LIMIT $2`
	selectWaiting  = `SELECT waiting FROM messages WHERE channel = $1 AND message = $2`
	delayBlob      = `UPDATE blobs SET expires = $3, due = $4 WHERE channel = $1 AND blob = $2`
)

// blobLocks are held by who changes a blob: its row and its contents together.
type blobLocks struct {
	mu   sync.Mutex
	held map[BlobID]*blobLock
}

type blobLock struct {
	sync.Mutex
	users int
}

// lock waits for a blob's lock, and returns what gives it back.
func (l *blobLocks) lock(id BlobID) (unlock func()) {
	l.mu.Lock()
	if l.held == nil {
		l.held = map[BlobID]*blobLock{}
	}
	b := l.held[id]
	if b == nil {
		b = &blobLock{}
		l.held[id] = b
	}
	b.users++
	l.mu.Unlock()
	b.Lock()
	return func() {
		b.Unlock()
		l.mu.Lock()
		defer l.mu.Unlock()
		if b.users--; b.users == 0 {
			delete(l.held, id)
		}
	}
}
