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
		under := &bounded{}
		l, want := &log{File: under}, []byte(nil)
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

// bounded is a file on a disk that can be full.
type bounded struct {
	vfs.File
	data []byte
	full bool
}

func (b *bounded) WriteAt(p []byte, off int64) (int, error) {
	if b.full {
		return 0, errors.New("the disk is full")
	}
	b.data = append(b.data, make([]byte, max(off+int64(len(p))-int64(len(b.data)), 0))...)
	return copy(b.data[off:], p), nil
}

func (b *bounded) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	if off < int64(len(b.data)) {
		n = copy(p, b.data[off:])
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (b *bounded) Truncate(size int64) error {
	b.data = b.data[:min(size, int64(len(b.data)))]
	return nil
}

func (b *bounded) Sync(vfs.SyncFlag) error { return nil }

func (b *bounded) Size() (int64, error) { return int64(len(b.data)), nil }
