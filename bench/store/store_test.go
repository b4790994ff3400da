package store

import (
	"context"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3/vfs"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/store/sqlite"
)

// BenchmarkEnqueue: one 512-byte message into one inbox, durable when it returns, on the file system of
// the temporary directory. Message ids are random, or begin with a time and so fall on few pages of the
// index that finds repetitions.
func BenchmarkEnqueue(b *testing.B) {
	for name, id := range map[string]func(uint64) uint64{
		"random": func(n uint64) uint64 { return n * 0x9e3779b97f4a7c15 },
		"timed":  func(n uint64) uint64 { return n },
	} {
		b.Run("ids="+name, func(b *testing.B) { benchmarkEnqueue(b, id) })
	}
}

func benchmarkEnqueue(b *testing.B, id func(uint64) uint64) {
	for _, callers := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			c := &counting{VFSFilename: vfs.Find("").(vfs.VFSFilename)}
			vfs.Register("counting", c)
			defer vfs.Unregister("counting")
			e, err := sqlite.Open(b.Context(), sqlite.Config{Path: filepath.Join(b.TempDir(), "qpq.db"), VFS: "counting"})
			if err != nil {
				b.Fatal(err)
			}
			defer e.Close()
			s, names := prepare(b, e)
			before := c.syncs.Load()
			b.ResetTimer()
			enqueue(b, s, names, callers, id)
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "inserts/s")
			b.ReportMetric(1000*float64(c.syncs.Load()-before)/float64(b.N), "fsyncs/1000")
			b.ReportMetric(float64(e.Stats().LargestBatch), "largest-batch")
		})
	}
}

// prepare makes a store with accounts to send to.
func prepare(b *testing.B, e store.Engine) (*store.Store, []string) {
	s, err := store.Open(b.Context(), e, store.Config{Domain: "localhost", Now: time.Now()})
	if err != nil {
		b.Fatal(err)
	}
	names := make([]string, 100)
	for i := range names {
		names[i] = fmt.Sprintf("user%d", i)
		_, err := s.Register(b.Context(), store.Registration{Name: names[i], Record: store.Record{1},
			State: store.AccountState{Version: 1}, Device: store.Device{ID: qpq.DeviceID{1}}, Now: time.Now()})
		if err != nil {
			b.Fatal(err)
		}
	}
	return s, names
}

// enqueue sends b.N messages from so many callers at once.
func enqueue(b *testing.B, s *store.Store, names []string, callers int, id func(uint64) uint64) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				m := store.Message{Hash: make([]byte, 32), Payload: make([]byte, 512)}
				binary.BigEndian.PutUint64(m.ID[:], id(uint64(n)))
				if _, err := s.Enqueue(context.Background(), m, names[n%100:n%100+1]); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}
