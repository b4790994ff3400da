package node

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/transport/mem"
	"github.com/quicproquo/qpq/wire"
)

// fake is a transfer that a test moves.
type fake struct {
	bytes  int
	over   time.Duration
	gaveUp bool
}

func (f *fake) Pace() (int, time.Duration) { return f.bytes, f.over }
func (f *fake) GiveUp()                    { f.gaveUp = true }

func TestRoomIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pool
		p.init(800) // 100 for each
		later := func(who string, n int) chan func() {
			granted := make(chan func(), 1)
			go func() { granted <- must(p.take(t.Context(), who, n, &fake{})) }()
			synctest.Wait()
			return granted
		}
		first := must(p.take(t.Context(), "a", 75, &fake{}))
		second := later("a", 50)
		if len(second) != 0 {
			t.Fatal("one has more than its share")
		}
		var others []func()
		for _, who := range []string{"b", "c", "d", "e", "f", "g", "h"} {
			others = append(others, must(p.take(t.Context(), who, 5000, &fake{}))) // passes alone
		}
		first()
		(<-second)()
		others = append(others, must(p.take(t.Context(), "i", 60, &fake{})), must(p.take(t.Context(), "j", 40, &fake{})))
		more, less, none := later("i", 40), later("j", 60), later("k", 100)
		others[0]()
		synctest.Wait()
		if len(more)+len(less) != 0 || len(none) != 1 {
			t.Fatal("it is not the turn of who holds least")
		}
		for _, release := range append(others[1:], <-none) {
			release()
		}
		(<-more)()
		(<-less)()
		if p.left != 800 || len(p.holders)+len(p.holding)+len(p.waiting) != 0 {
			t.Errorf("%d bytes are left of 800, and %d holders", p.left, len(p.holders))
		}
	})
}

func TestWhoMakesWay(t *testing.T) {
	const fine = leastPace * 60
	type holder struct {
		who   string
		n     int
		bytes int
		over  time.Duration
	}
	for _, test := range []struct {
		name    string
		holders []holder // of 800 bytes
		who     string
		n       int
		goes    []int
	}{
		{"the slowest, and no more than have to", []holder{{"a", 100, 3000, time.Minute}, {"b", 100, 1000, time.Minute}, {"c", 100, 10, time.Second},
			{"d", 100, 2000, time.Minute}, {"e", 100, fine, time.Minute}, {"f", 100, fine, time.Minute}, {"g", 100, fine, time.Minute}, {"h", 50, fine, time.Minute}},
			"i", 100, []int{1}},
		{"as many as have to", []holder{{"a", 100, fine, time.Minute}, {"b", 100, fine, time.Minute}, {"c", 100, fine, time.Minute},
			{"d", 100, fine, time.Minute}, {"e", 100, fine, time.Minute}, {"f", 100, fine, time.Minute}, {"g", 60, 0, time.Minute},
			{"h", 100, fine, time.Minute}, {"g", 40, 1, time.Minute}},
			"i", 80, []int{6, 8}},
		{"nobody who keeps the pace, nor who has just begun, nor whose call is carried out", []holder{{"a", 100, leastPace * 2, 2 * time.Second},
			{"b", 100, 0, paceAfter - 1}, {"c", 100, 0, 0}, {"d", 100, fine, time.Minute}, {"e", 100, fine, time.Minute}, {"f", 100, fine, time.Minute},
			{"g", 100, fine, time.Minute}, {"h", 100, fine, time.Minute}},
			"i", 100, nil},
		{"nobody for who holds as much", []holder{{"a", 50, 0, time.Minute}, {"b", 50, 0, time.Minute}, {"c", 100, fine, time.Minute},
			{"d", 100, fine, time.Minute}, {"e", 100, fine, time.Minute}, {"f", 100, fine, time.Minute}, {"g", 100, fine, time.Minute},
			{"h", 100, fine, time.Minute}, {"i", 90, fine, time.Minute}},
			"a", 50, nil},
		{"nobody in vain", []holder{{"a", 100, fine, time.Minute}, {"b", 100, fine, time.Minute}, {"c", 100, fine, time.Minute},
			{"d", 100, fine, time.Minute}, {"e", 100, fine, time.Minute}, {"f", 100, fine, time.Minute}, {"g", 100, fine, time.Minute},
			{"h", 50, 0, time.Minute}, {"j", 50, fine, time.Minute}},
			"i", 200, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var p pool
			p.init(800)
			var fakes []*fake
			for _, h := range test.holders {
				fakes = append(fakes, &fake{bytes: h.bytes, over: h.over})
				if p.left < h.n {
					t.Fatal("the test fills more than there is")
				}
				must(p.take(t.Context(), h.who, h.n, fakes[len(fakes)-1]))
			}
			if p.left >= test.n {
				t.Fatalf("%d are left", p.left)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, err := p.take(ctx, test.who, test.n, &fake{})
			if qpq.CodeOf(err) != "busy" {
				t.Errorf("got room, or %v", err)
			}
			var goes []int
			for i, f := range fakes {
				if f.gaveUp {
					goes = append(goes, i)
				}
			}
			if !slices.Equal(goes, test.goes) {
				t.Errorf("%v go, want %v", goes, test.goes)
			}
		})
	}
}

func TestNoRoomIsToldInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		c := r.dial().c
		_, err := r.takeRoom(t.Context(), c, 8<<20, &fake{})
		check(t, err)
		start := time.Now()
		_, err = r.takeRoom(t.Context(), c, 1<<20, &fake{})
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
		if left := r.memory.strangers.left; left != 1<<20 {
			t.Errorf("%d bytes are held", 1<<20-left)
		}
		start := time.Now()
		honest, _ := r.connectTo(n)
		call(honest, wire.Ping{Data: make([]byte, 200<<10)})
		if waited := time.Since(start); waited != 0 {
			t.Errorf("a large call waited %s", waited)
		}
	})
}

// TestTheSlowMakeWay begins large requests that come byte by byte, or leaves large replies unread. From one address they leave most
// of the room to others. From many, or of many devices, they fill it: then there is room for another within two seconds and a look,
// and nobody goes for it who does not have to.
func TestTheSlowMakeWay(t *testing.T) {
	const within = paceAfter + lookEvery
	trickled := func(m wire.Method, length int) []byte { return rawFrame(m.Ordinal, length, 16<<10) }
	unread := must(wire.Marshal(wire.Ping{Data: make([]byte, 1<<20)}))
	for _, test := range []struct {
		name      string
		addresses int
		lanes     int
		accounts  bool
		request   []byte
		full      bool
	}{
		{"from one address", 1, 20, false, trickled(wire.RegisterFinish{}.Method(), 128<<10), false},
		{"from many addresses", 8, 2, false, trickled(wire.RegisterFinish{}.Method(), 128<<10), true},
		{"of one device", 1, 20, true, trickled(wire.KeyPackagesUpload{}.Method(), 4<<20), false},
		{"of many devices", 8, 2, true, trickled(wire.KeyPackagesUpload{}.Method(), 4<<20), true},
		{"replies to many addresses", 8, 2, false, append(rawFrame(wire.Ping{}.Method().Ordinal, len(unread), 0), unread...), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, func(c *Config) { c.Limits.Memory = 8 << 20 })
				l := mem.Listen("server")
				from := func(address string) network {
					return network{l, func(ctx context.Context) (transport.Conn, error) { return l.Dial(ctx, address) }}
				}
				r.listen(from(""))
				honest, _ := r.connectTo(from("192.0.2.100:1"))
				room, large := &r.memory.strangers, wire.Ping{Data: make([]byte, 120<<10)}
				if test.accounts {
					room, large.Data = &r.memory.accounts, make([]byte, 350<<10)
					honest.register("honest")
				}
				whole := room.left
				var slow []transport.Conn
				for i := range test.addresses {
					conn, err := from(fmt.Sprintf("192.0.2.%d:1", i)).dial(t.Context())
					check(t, err)
					slow = append(slow, conn)
					if test.accounts {
						(&line{r: r, over: transport.NewSession(conn, transport.SessionConfig{})}).register(fmt.Sprintf("slow%d", i))
					}
				}
				start := time.Now()
				var moving sync.WaitGroup
				var gone atomic.Int32
				for _, conn := range slow {
					for range test.lanes {
						s, err := conn.Open(t.Context())
						check(t, err)
						moving.Go(func() {
							_, err := s.Write(test.request)
							for err == nil { // it never stands still
								time.Sleep(100 * time.Millisecond)
								_, err = s.Write(make([]byte, 1<<10))
							}
							if errors.Is(err, transport.Closed{Code: transport.CodeSlow}) {
								gone.Add(1)
							}
						})
					}
				}
				synctest.Wait()
				if full := room.left == 0; full != test.full {
					t.Errorf("%d bytes are left of %d", room.left, whole)
				}
				call(honest, wire.Ping{}) // what is small needs no room
				if waited := time.Since(start); waited != 0 {
					t.Errorf("a small call waited %s", waited)
				}
				call(honest, large)
				waited := time.Since(start)
				if waited > within || !test.full && waited != 0 {
					t.Errorf("a large call waited %s", waited)
				}
				time.Sleep(100 * time.Millisecond) // they hear of it
				synctest.Wait()
				if n := gone.Load(); n > 1 || n == 0 && test.full {
					t.Errorf("%d had to go", n)
				}
				for _, conn := range slow {
					check(t, conn.Close(transport.CodeDone, ""))
				}
				moving.Wait()
				time.Sleep(time.Second)
				synctest.Wait()
				if room.left != whole {
					t.Errorf("%d bytes are still held", whole-room.left)
				}
			})
		})
	}
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
			// Of 4 MiB for strangers one address has an eighth, and both requests count twice, for their replies.
			r := newRig(t, func(c *Config) { c.Limits.Memory = 16 << 20 })
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
			}
			for _, conn := range slow { // when all are there: the server waits for none of their requests without end
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
			busy := goroutinesIn(c.at)
			for again := 0; busy > 2 && again < 100; again++ { // the last answer to somebody else may be on its way
				runtime.Gosched()
				busy = goroutinesIn(c.at)
			}
			if busy > 2 {
				t.Errorf("%d large calls are under way at a time, and there is room for 2", busy)
			}
			for _, conn := range slow {
				_ = conn.Close(transport.CodeDone, "")
			}
			writers.Wait()
			for r.sessions.count() > 6 {
				call(honest, wire.Ping{})
			}
			if left := r.memory.strangers.left; left != 4<<20 {
				t.Errorf("%d bytes are still held", 4<<20-left)
			}
		})
	}
}
