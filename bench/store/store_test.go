package store

import (
	"context"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3/vfs"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/store/sqlite"
)

// BenchmarkSend: one 512-byte message into the inboxes of a channel's accounts, durable when it returns, on the file system of the
// temporary directory. Message ids are random, or begin with a time and so fall on few pages of the index that finds repetitions.
func BenchmarkSend(b *testing.B) {
	for name, id := range map[string]func(uint64) uint64{
		"random": func(n uint64) uint64 { return n * 0x9e3779b97f4a7c15 },
		"timed":  func(n uint64) uint64 { return n },
	} {
		for _, callers := range []int{1, 16, 256} {
			b.Run(fmt.Sprintf("ids=%s/accounts=1/callers=%d", name, callers), func(b *testing.B) { benchmarkSend(b, id, 1, callers) })
		}
		if name == "timed" {
			for _, accounts := range []int{2, 10, 100, 1000} {
				b.Run(fmt.Sprintf("ids=%s/accounts=%d/callers=256", name, accounts), func(b *testing.B) { benchmarkSend(b, id, accounts, 256) })
			}
		}
	}
}

func benchmarkSend(b *testing.B, id func(uint64) uint64, accounts, callers int) {
	c := Count("counting")
	defer vfs.Unregister("counting")
	e, err := sqlite.Open(b.Context(), sqlite.Config{Path: filepath.Join(b.TempDir(), "qpq.db"), VFS: "counting"})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	s, channels := prepare(b, e, accounts)
	before, used := c.Syncs(), cpu()
	b.ResetTimer()
	send(b, s, channels, callers, id)
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
	b.ReportMetric(1000*float64(c.Syncs()-before)/float64(b.N), "fsyncs/1000")
	b.ReportMetric(float64((cpu()-used).Microseconds())/float64(b.N), "cpu-µs/message")
	b.ReportMetric(float64(e.Stats().LargestBatch), "largest-batch")
}

// cpu is the time that all threads of this process have used.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// prepare makes a store with 100 channels, each with so many of its accounts.
func prepare(b *testing.B, e store.Engine, accounts int) (*store.Store, []qpq.ChannelID) {
	s, err := store.Open(b.Context(), e, store.Config{Domain: "localhost", Now: time.Now()})
	if err != nil {
		b.Fatal(err)
	}
	name := func(i int) string { return fmt.Sprintf("user%04d", i%max(100, accounts)) }
	for i := range max(100, accounts) {
		_, err := s.Register(b.Context(), store.Registration{Name: name(i), Record: store.Record{1},
			State: store.AccountState{Version: 1}, Device: store.Device{ID: qpq.DeviceID{1}}, Now: time.Now()})
		if err != nil {
			b.Fatal(err)
		}
	}
	channels := make([]qpq.ChannelID, 100)
	for i := range channels {
		n := store.NewChannel{ID: qpq.ChannelID{byte(i)}, Founding: make([]byte, 200), Account: name(i), Device: qpq.DeviceID{1}, Now: time.Now()}
		for k := range accounts {
			n.Roster.Put(name(i+k), 0)
			n.Roster.Join(name(i+k), n.Device)
		}
		if channels[i], _, _, err = s.CreateChannel(b.Context(), n); err != nil {
			b.Fatal(err)
		}
	}
	return s, channels
}

// send sends b.N messages from so many callers at once, each channel's first account to the channel.
func send(b *testing.B, s *store.Store, channels []qpq.ChannelID, callers int, id func(uint64) uint64) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				m := store.Message{Channel: channels[n%100], Account: fmt.Sprintf("user%04d", n%100), Device: qpq.DeviceID{1}, Hash: make([]byte, 32), Payload: make([]byte, 512),
					Now: time.Now(), Retention: 30 * 24 * time.Hour, Quota: 1 << 40}
				binary.BigEndian.PutUint64(m.ID[:], id(uint64(n)))
				if _, err := s.Send(context.Background(), m); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}
