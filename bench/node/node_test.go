package node

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/wire"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// setUp starts a server with some people.
func setUp(b *testing.B, people int) (*server, []*person) {
	s, err := start(b.TempDir())
	check(b, err)
	b.Cleanup(func() { check(b, s.close()) })
	var list []*person
	for i := range people {
		c, err := s.connect(b.Context())
		check(b, err)
		p, err := register(b.Context(), c, fmt.Sprintf("person%d", i))
		check(b, err)
		check(b, c.Close())
		list = append(list, p)
	}
	return s, list
}

// BenchmarkConnect is what happens each time somebody's program starts, and its parts.
func BenchmarkConnect(b *testing.B) {
	s, people := setUp(b, 1)
	b.Run("handshake", func(b *testing.B) {
		for b.Loop() {
			c, err := s.connect(b.Context())
			check(b, err)
			check(b, c.Close())
		}
	})
	b.Run("handshake+ping", func(b *testing.B) {
		for b.Loop() {
			c, err := s.connect(b.Context())
			check(b, err)
			_, err = wire.Call(b.Context(), c, wire.Ping{})
			check(b, err)
			check(b, c.Close())
		}
	})
	b.Run("handshake+authenticate", func(b *testing.B) { // with one fsync, for the session counter
		for b.Loop() {
			c, err := s.connect(b.Context())
			check(b, err)
			check(b, people[0].authenticate(b.Context(), c))
			check(b, c.Close())
		}
	})
}

// BenchmarkLogin proves passwords, one after the other and many at a time. Stretching the password, which takes clients a
// tenth of a second, is left out; the attempt is counted and given back, two durable writes.
func BenchmarkLogin(b *testing.B) {
	s, people := setUp(b, 64)
	b.Run("callers=1", func(b *testing.B) {
		c, err := s.connect(b.Context())
		check(b, err)
		defer c.Close()
		for b.Loop() {
			check(b, people[0].login(b.Context(), c))
		}
	})
	b.Run("callers=64", func(b *testing.B) {
		lines := make([]*transport.Session, len(people))
		for i := range lines {
			c, err := s.connect(b.Context())
			check(b, err)
			defer c.Close()
			lines[i] = c
		}
		var left atomic.Int64
		left.Store(int64(b.N))
		var group sync.WaitGroup
		b.ResetTimer()
		for i := range people {
			group.Go(func() {
				for left.Add(-1) >= 0 {
					if err := people[i].login(b.Context(), lines[i]); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		group.Wait()
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "logins/s")
	})
}
