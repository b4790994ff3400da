package wal

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/ncruces/go-sqlite3/vfs"
)

// TestLogIsAFile does with a log what one does with files, over a disk that is full now and then: what was taken is read, whatever was written
// of it.
func TestLogIsAFile(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		under := &flaky{}
		l, want := &Log{File: under}, []byte(nil)
		for range 40 {
			under.full = r.IntN(3) == 0
			off := r.Int64N(int64(len(want)) + 1)
			switch r.IntN(6) {
			case 0, 1, 2:
				p := bytes.Repeat([]byte{byte(1 + r.IntN(255))}, 1+r.IntN(50))
				if r.IntN(20) == 0 {
					p = make([]byte, maxGathered/2+r.IntN(maxGathered))
				}
				if r.IntN(2) == 0 {
					off = int64(len(want))
				}
				if _, err := l.WriteAt(p, off); err != nil {
					if !under.full {
						t.Fatal(err)
					}
					continue
				}
				want = append(want[:off:off], append(bytes.Clone(p), want[min(off+int64(len(p)), int64(len(want))):]...)...)
			case 3:
				if err := l.Sync(vfs.SYNC_FULL); err == nil && !bytes.Equal(under.data, want) || err != nil && !under.full {
					t.Fatalf("synced: %v", err)
				}
			case 4:
				under.full = false
				if err := l.Truncate(off); err != nil {
					t.Fatal(err)
				}
				want = want[:off]
			case 5:
				p := make([]byte, r.IntN(100))
				n, err := l.ReadAt(p, off)
				rest := want[off:]
				if n != min(len(p), len(rest)) || !bytes.Equal(p[:n], rest[:n]) || (err != nil) != (n < len(p)) {
					t.Fatalf("read %d of %d bytes at %d of %d: %v", n, len(p), off, len(want), err)
				}
			}
			if size, err := l.Size(); err != nil || size != int64(len(want)) {
				t.Fatalf("size %d, %v; %d bytes were written", size, err, len(want))
			}
		}
	}
}

// TestLeftOutSyncs commits to a log on a disk that is full now and then, and whose syncs fail now and then and lose what they were for: what was synced stays on
// the disk, what was not is read by others all the same, and is on the disk after the next sync, whatever failed in between.
func TestLeftOutSyncs(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	left, late := 0, 0
	for range 300 {
		under := &flaky{}
		l := &Log{File: under}
		var committed []byte // from the beginning of the log
		durable := 0
		for range 60 {
			under.full, under.failing = r.IntN(6) == 0, r.IntN(6) == 0
			before := under.syncs
			if r.IntN(12) == 0 { // it begins anew: all that it had is in the database
				under.full, under.failing = false, false
				if _, err := l.WriteAt(record(r, 32), 0); err != nil {
					t.Fatal(err)
				}
				if err := l.Sync(vfs.SYNC_FULL); err != nil || under.syncs == before || l.Behind() {
					t.Fatalf("the first bytes: %d syncs, behind %v, %v", under.syncs-before, l.Behind(), err)
				}
				committed, durable = append([]byte(nil), under.data[:32]...), 32
				continue
			}
			if len(committed) == 0 {
				continue
			}
			l.Begin(r.IntN(2) == 0)
			commit := record(r, 1+r.IntN(5000))
			if r.IntN(100) == 0 {
				commit = record(r, maxGathered+r.IntN(2*maxBehind))
			}
			err := writeInParts(l, r, commit, int64(len(committed)))
			if err == nil {
				err = l.Sync(vfs.SYNC_FULL)
			}
			if l.End(err == nil); err == nil {
				committed = append(committed, commit...)
				if !bytes.Equal(under.data[:len(committed)], committed) {
					t.Fatal("others do not read what is committed")
				}
			} else if !under.full && !under.failing {
				t.Fatal(err)
			}
			if l.Behind() {
				left++
			} else if err == nil {
				if under.syncs == before {
					t.Fatal("not synced, and not behind")
				}
				durable = len(committed)
			}
			if r.IntN(10) == 0 {
				err := l.Settle()
				if late++; err == nil {
					durable = len(committed)
				}
				if !under.full && l.Failed() != (err != nil) {
					t.Fatalf("failed: %v after %v", l.Failed(), err)
				}
			}
			if !bytes.Equal(under.disk[:durable], committed[:durable]) {
				t.Fatal("what was synced is not on the disk")
			}
		}
	}
	if left < 500 || late < 500 {
		t.Errorf("%d syncs were left out, and %d made later", left, late)
	}
}

// TestLargeCommits: the sync of a large commit is not left out, and that of a small one after it is; of one that is undone nothing is written later.
func TestLargeCommits(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	under := &flaky{}
	l := &Log{File: under}
	end := int64(0)
	commit := func(n int, deferred bool) {
		t.Helper()
		l.Begin(deferred)
		if err := errors.Join(writeInParts(l, r, record(r, n), end), l.Sync(vfs.SYNC_FULL)); err != nil {
			t.Fatal(err)
		}
		l.End(true)
		end += int64(n)
	}
	for i, c := range []struct {
		size             int
		deferred, behind bool
	}{{32, false, false}, {100, true, true}, {2 * maxGathered, true, true}, {10, false, false}, {2 * maxGathered, false, false}, {100, true, true},
		{2 * maxBehind, true, false}, {100, true, true}} {
		before := under.syncs
		if commit(c.size, c.deferred); l.Behind() != c.behind || (under.syncs == before) != c.behind {
			t.Errorf("commit %d of %d bytes: behind %v, %d syncs", i, c.size, l.Behind(), under.syncs-before)
		}
	}
	l.Begin(false)
	under.full = true
	if writeInParts(l, r, record(r, 100), end) != nil || l.Sync(vfs.SYNC_FULL) == nil {
		t.Fatal("a disk that is full takes a commit")
	}
	l.End(false)
	under.full = false
	if err := l.Settle(); err != nil || l.Behind() || int64(len(under.data)) != end {
		t.Errorf("%d bytes are written, %d committed; behind %v, %v", len(under.data), end, l.Behind(), err)
	}
}

func record(r *rand.Rand, n int) []byte { return bytes.Repeat([]byte{byte(1 + r.IntN(255))}, n) }

// writeInParts writes as SQLite does, a piece after the other.
func writeInParts(l *Log, r *rand.Rand, p []byte, at int64) error {
	for len(p) > 0 {
		n := min(1+r.IntN(70_000), len(p))
		if _, err := l.WriteAt(p[:n], at); err != nil {
			return err
		}
		p, at = p[n:], at+int64(n)
	}
	return nil
}

// flaky is a file on a disk that can be full, and can fail to sync.
type flaky struct {
	vfs.File
	data    []byte // as it is read
	full    bool
	failing bool
	disk    []byte   // as it is after a loss of power
	dirty   [][2]int // what a sync brings to the disk: from, to
	syncs   int
}

func (f *flaky) WriteAt(p []byte, off int64) (int, error) {
	if f.full {
		return 0, errors.New("the disk is full")
	}
	f.data = append(f.data, make([]byte, max(off+int64(len(p))-int64(len(f.data)), 0))...)
	f.dirty = append(f.dirty, [2]int{int(off), int(off) + len(p)})
	return copy(f.data[off:], p), nil
}

func (f *flaky) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	if off < int64(len(f.data)) {
		n = copy(p, f.data[off:])
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *flaky) Truncate(size int64) error {
	f.data = f.data[:min(size, int64(len(f.data)))]
	return nil
}

func (f *flaky) Sync(vfs.SyncFlag) error {
	dirty := f.dirty
	f.dirty = nil
	if f.failing {
		return errors.New("the disk fails")
	}
	f.syncs++
	f.disk = append(f.disk, make([]byte, max(len(f.data)-len(f.disk), 0))...)
	for _, d := range dirty {
		if d[0] < len(f.data) {
			copy(f.disk[d[0]:], f.data[d[0]:min(d[1], len(f.data))])
		}
	}
	return nil
}

func (f *flaky) Size() (int64, error) { return int64(len(f.data)), nil }
