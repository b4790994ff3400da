package node

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/transport/mem"
	"github.com/quicproquo/qpq/wire"
)

func TestRoomIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memory
		m.init(1600)
		p := &m.strangers // 800 bytes, 200 for each
		first := must(p.take(t.Context(), "a", 150))
		second := make(chan func())
		go func() { second <- must(p.take(t.Context(), "a", 100)) }()
		synctest.Wait()
		select {
		case <-second:
			t.Fatal("one has more than its share")
		default:
		}
		var others []func()
		for _, who := range []string{"b", "c", "d"} {
			others = append(others, must(p.take(t.Context(), who, 5000))) // passes alone
		}
		first()
		(<-second)()
		fifth := make(chan func())
		go func() {
			release, err := p.take(t.Context(), "e", 200)
			check(t, err)
			fifth <- release
		}()
		(<-fifth)()
		for _, release := range others {
			release()
		}
		if p.left != 800 || len(p.held) != 0 {
			t.Errorf("%d bytes are left of 800, %v are held", p.left, p.held)
		}
	})
}

func TestNoRoomIsToldInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		c := r.dial().c
		for range 4 {
			_, err := r.takeRoom(t.Context(), c, 8<<20)
			check(t, err)
		}
		start := time.Now()
		_, err := r.takeRoom(t.Context(), c, 8<<20)
		if qpq.CodeOf(err) != "busy" || qpq.KindOf(err) != qpq.Unavailable || time.Since(start) != roomWithin {
			t.Errorf("%v after %s", err, time.Since(start))
		}
		r.dial().register("alice") // what is small needs no room
	})
}

// rawFrame is a request as a client without manners sends it: of a method, and as long as it says.
func rawFrame(ordinal uint16, length, sent int) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(length))
	b = binary.LittleEndian.AppendUint16(b, ordinal)
	return append(b, make([]byte, 2+sent)...)
}

// TestLargeRequestsAreRefusedUnread sends what its method does not take, or not from strangers. The answer says why,
// the lane goes on, and nothing of it was kept.
func TestLargeRequestsAreRefusedUnread(t *testing.T) {
	overAll(t, func(t *testing.T, r *rig, n network) {
		r.listen(n)
		conn, err := n.dial(t.Context())
		check(t, err)
		t.Cleanup(func() { _ = conn.Close(transport.CodeDone, "") })
		s, err := conn.Open(t.Context())
		check(t, err)
		for _, c := range []struct {
			method wire.Method
			length int
			code   string
		}{
			{wire.Ping{}.Method(), 2 << 20, "request-too-large"},
			{wire.AccountPublish{}.Method(), 8 << 20, wire.CodeDeviceNeeded},
			{wire.VaultGet{}.Method(), 0, wire.CodeDeviceNeeded},
			{wire.LoginStart{}.Method(), 20 << 10, "request-too-large"},
			{wire.Method{Ordinal: 999}, 1 << 20, "unknown-method"},
		} {
			request := rawFrame(c.method.Ordinal, c.length, c.length)
			before := allocated()
			_, err = s.Write(request)
			check(t, err)
			status, reply := answerOn(t, s)
			if made := allocated() - before; made > 1<<20+2*uint64(c.length) { // carriers copy it once
				t.Errorf("%d KiB were allocated for a request of %d KiB that is refused", made>>10, c.length>>10)
			}
			if err := wire.DecodeError(status, reply); qpq.CodeOf(err) != c.code {
				t.Errorf("%d bytes for %q: %v (%s), want %s", c.length, c.method.Name, err, qpq.CodeOf(err), c.code)
			}
		}
		ping(t, s)
		if left := r.memory.strangers.left + r.memory.accounts.left; left != 256<<20 {
			t.Errorf("%d bytes are still held", 256<<20-left)
		}
	})
}

// allocated returns how many bytes were ever allocated.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// answerOn reads a reply by hand.
func answerOn(t *testing.T, s io.Reader) (status uint16, reply []byte) {
	t.Helper()
	var head [8]byte
	_, err := io.ReadFull(s, head[:])
	check(t, err)
	reply = make([]byte, binary.LittleEndian.Uint32(head[:]))
	_, err = io.ReadFull(s, reply)
	check(t, err)
	return binary.LittleEndian.Uint16(head[4:]), reply
}

// TestPromisesTakeNoRoom begins more large requests than there is room for, and sends less than 16 KiB of each.
func TestPromisesTakeNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *Config) { c.Limits.Memory = 4 << 20 })
		n := networks["mem"](r)
		r.listen(n)
		for range 10 {
			conn, err := n.dial(t.Context())
			check(t, err)
			defer conn.Close(transport.CodeDone, "")
			for range 10 {
				s, err := conn.Open(t.Context())
				check(t, err)
				_, err = s.Write(rawFrame(wire.Ping{}.Method().Ordinal, 1<<20, 16<<10-1))
				check(t, err)
			}
		}
		synctest.Wait()
		if left := r.memory.strangers.left; left != 2<<20 {
			t.Errorf("%d bytes are held", 2<<20-left)
		}
		start := time.Now()
		honest, _ := r.connectTo(n)
		call(honest, wire.Ping{Data: make([]byte, 200<<10)})
		if waited := time.Since(start); waited != 0 {
			t.Errorf("a large call waited %s", waited)
		}
	})
}

// TestTricklersDoNotKeepTheRoom fills all the room there is with requests that come byte by byte, from as many addresses as it
// takes: they lose their lanes, and others have their turn.
func TestTricklersDoNotKeepTheRoom(t *testing.T) {
	const length, perAddress, addresses = 128 << 10, 2, 4
	const over = (20 + 4) * time.Second // the time that 128 KiB have
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *Config) { c.Limits.Memory = 4 << 20 }) // 2 MiB for strangers; a request counts twice
		l := mem.Listen("server")
		from := func(address string) network {
			return network{l, func(ctx context.Context) (transport.Conn, error) { return l.Dial(ctx, address) }}
		}
		r.listen(from(""))
		honest, _ := r.connectTo(from("192.0.2.100:1"))
		start := time.Now()
		var tricklers sync.WaitGroup
		defer tricklers.Wait()
		for i := range addresses {
			conn, err := from(fmt.Sprintf("192.0.2.%d:1", i)).dial(t.Context())
			check(t, err)
			defer conn.Close(transport.CodeDone, "")
			for range perAddress {
				s, err := conn.Open(t.Context())
				check(t, err)
				_, err = s.Write(rawFrame(wire.RegisterFinish{}.Method().Ordinal, length, 16<<10))
				check(t, err)
				tricklers.Go(func() {
					for err == nil { // 16 KiB in 16 seconds: it never stands still
						time.Sleep(time.Second)
						_, err = s.Write(make([]byte, 1<<10))
					}
					if !errors.Is(err, transport.Closed{Code: transport.CodeSlow}) {
						t.Errorf("a trickler was told %v", err)
					}
				})
			}
		}
		synctest.Wait()
		if r.memory.strangers.left != 0 {
			t.Fatalf("%d bytes are left", r.memory.strangers.left)
		}
		large := wire.Ping{Data: make([]byte, 100<<10)}
		refused(honest, large, qpq.Unavailable, "busy")
		call(honest, wire.Ping{}) // what is small needs no room
		time.Sleep(time.Until(start.Add(over - time.Second)))
		call(honest, large)
		if at := time.Since(start); at != over {
			t.Errorf("a large call had its turn after %s, want %s", at, over)
		}
		tricklers.Wait()
		synctest.Wait()
		if r.memory.strangers.left != 2<<20 {
			t.Errorf("%d bytes are still held", 2<<20-r.memory.strangers.left)
		}
	})
}

// TestSlowPeersAreBounded lets many connections begin large requests that they never end, or have large replies that
// they never read. The server takes on no more of them than it has room for, and serves others.
func TestSlowPeersAreBounded(t *testing.T) {
	const conns, lanes = 50, 2
	whole := must(wire.Marshal(wire.Ping{Data: make([]byte, 100<<10)}))
	for name, c := range map[string]struct {
		request []byte
		at      string // where the server is with each
	}{
		"writers": {rawFrame(wire.RegisterFinish{}.Method().Ordinal, 128<<10, 60<<10), "transport.(*ServerConn).rest"},
		"readers": {append(rawFrame(wire.Ping{}.Method().Ordinal, len(whole), 0), whole...), "transport.writeFrame"},
	} {
		t.Run(name, func(t *testing.T) {
			// Of 2 MiB for strangers one address has a quarter, and both requests count twice, for their replies.
			r := newRig(t, func(c *Config) { c.Limits.Memory = 4 << 20 })
			n := networks["quic"](r)
			r.listen(n)
			honest, _ := r.connectTo(n)
			alice := honest.register("alice")
			var writers sync.WaitGroup
			var slow []transport.Conn
			for range conns {
				conn, err := n.dial(t.Context())
				check(t, err)
				slow = append(slow, conn)
				for range lanes {
					s, err := conn.Open(t.Context())
					check(t, err)
					writers.Go(func() { _, _ = s.Write(c.request) }) // ends with the connection
				}
			}
			for goroutinesIn("transport.(*ServerConn).serveLane") < conns*lanes || goroutinesIn(c.at) == 0 {
				call(honest, wire.Ping{})
			}
			for range 5 {
				other, _ := r.connectTo(n)
				other.login(alice)
				call(other, wire.Ping{})
			}
			if busy := goroutinesIn(c.at); busy > 2 {
				t.Errorf("%d large calls are under way at a time, and there is room for 2", busy)
			}
			for _, conn := range slow {
				_ = conn.Close(transport.CodeDone, "")
			}
			writers.Wait()
			for r.sessions.count() > 6 {
				call(honest, wire.Ping{})
			}
			if left := r.memory.strangers.left; left != 2<<20 {
				t.Errorf("%d bytes are still held", 2<<20-left)
			}
		})
	}
}
