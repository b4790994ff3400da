//go:build linux

package integration_test

import (
	"math"
	"net"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/rogpeppe/go-internal/testscript"
)

// gate passes datagrams on between clients and a server, as long as there is something left that it lets through: no story has to be quick to see what
// happens meanwhile.
type gate struct {
	front *net.UDPConn
	to    *net.UDPAddr
	left  atomic.Int64 // bytes that go through yet, both ways

	mu    sync.Mutex
	backs map[string]*net.UDPConn // by the address of the client
}

// cmdGate makes a way to a server that can be closed.
func cmdGate(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 2)
	s := of(ts)
	to, err := net.ResolveUDPAddr("udp", args[1])
	ts.Check(err)
	front, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	ts.Check(err)
	g := &gate{front: front, to: to, backs: map[string]*net.UDPConn{}}
	g.left.Store(math.MaxInt64)
	s.gates[args[0]], s.closers = g, append(s.closers, g.close)
	s.others.Go(func() { g.pass(&s.others) })
	ts.Setenv(args[0], front.LocalAddr().String())
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	_ = g.front.Close()
	for _, back := range g.backs {
		_ = back.Close()
	}
}

// lets takes something out of what is left.
func (g *gate) lets(n int) bool { return g.left.Add(-int64(n)) >= 0 }

// pass passes on what clients send.
func (g *gate) pass(others *sync.WaitGroup) {
	b := make([]byte, 1<<16)
	for {
		n, from, err := g.front.ReadFromUDP(b)
		if err != nil {
			return
		}
		back, err := g.back(from, others)
		if err != nil {
			return
		}
		if g.lets(n) {
			_, _ = back.Write(b[:n])
		}
	}
}

// back returns the way on of a client, and has what comes from there passed back.
func (g *gate) back(from *net.UDPAddr, others *sync.WaitGroup) (*net.UDPConn, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if back := g.backs[from.String()]; back != nil {
		return back, nil
	}
	back, err := net.DialUDP("udp", nil, g.to)
	if err != nil {
		return nil, err
	}
	g.backs[from.String()] = back
	others.Go(func() {
		b := make([]byte, 1<<16)
		for {
			n, err := back.Read(b)
			if err != nil {
				return
			}
			if g.lets(n) {
				_, _ = g.front.WriteToUDP(b[:n], from)
			}
		}
	})
	return back, nil
}

// cmdHold lets so many more bytes through a gate, and then nothing.
func cmdHold(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 2 && of(ts).gates[args[0]] != nil)
	n, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	of(ts).gates[args[0]].left.Store(n)
}

// cmdPass opens a gate again.
func cmdPass(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 1 && of(ts).gates[args[0]] != nil)
	of(ts).gates[args[0]].left.Store(math.MaxInt64)
}
