//go:build linux

package integration_test

import (
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// relay passes datagrams on between one client and a server, and remembers how long they were: what the network sees.
type relay struct {
	front, back *net.UDPConn

	mu       sync.Mutex
	up, down []int // to the server, and from it
}

func newRelay(t *testing.T, server string) *relay {
	t.Helper()
	to, err := net.ResolveUDPAddr("udp", server)
	if err != nil {
		t.Fatal(err)
	}
	front, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	back, err := net.DialUDP("udp", nil, to)
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{front: front, back: back}
	var client atomic.Pointer[net.UDPAddr]
	var passing sync.WaitGroup
	passing.Go(func() {
		b := make([]byte, 1<<16)
		for {
			n, from, err := front.ReadFromUDP(b)
			if err != nil {
				return
			}
			client.Store(from)
			r.saw(&r.up, n)
			_, _ = back.Write(b[:n])
		}
	})
	passing.Go(func() {
		b := make([]byte, 1<<16)
		for {
			n, err := back.Read(b)
			if err != nil {
				return
			}
			r.saw(&r.down, n)
			_, _ = front.WriteToUDP(b[:n], client.Load())
		}
	})
	t.Cleanup(func() {
		_, _ = front.Close(), back.Close()
		passing.Wait()
	})
	return r
}

func (r *relay) address() string { return r.front.LocalAddr().String() }

func (r *relay) saw(list *[]int, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*list = append(*list, n)
}

// mark begins to watch anew.
func (r *relay) mark() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.up, r.down = nil, nil
}

// seen returns the lengths of the datagrams since mark, to the server and from it.
func (r *relay) seen() (up, down []int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.up), slices.Clone(r.down)
}
