package transporttest

import (
	"bytes"
	"context"
	"encoding/binary"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quicproquo/qpq/transport"
)

// eventually waits until a condition holds, at most so long as a test may hang.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s\n%s", what, stacks())
		}
		time.Sleep(time.Millisecond)
	}
}

func stacks() []byte {
	for size := 1 << 20; ; size *= 2 {
		b := make([]byte, size)
		if n := runtime.Stack(b, true); n < size {
			return b[:n]
		}
	}
}

// goroutinesIn counts the goroutines that have a function on their stack.
func goroutinesIn(function string) (n int) {
	for _, g := range strings.Split(string(stacks()), "\n\n") {
		if strings.Contains(g, function) {
			n++
		}
	}
	return n
}

// heap returns the bytes of live objects.
func heap() int64 {
	objects, _ := held()
	return objects
}

// held returns the bytes of live objects and of stacks.
func held() (objects, stacks int64) {
	var m runtime.MemStats
	for range 4 { // what the first found in pools goes with the second, and each takes half of a stack that is not used
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc), int64(m.StackInuse)
}

// leavesNothing fails the test if goroutines are left after all that it cleans up.
func leavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		if !t.Failed() {
			eventually(t, "all goroutines ended", func() bool { return runtime.NumGoroutine() <= before })
		}
	})
}

// accepts waits until the server has begun all goroutines that accept connections: the first of them serves before.
func (r *rig) accepts() {
	r.Helper()
	eventually(r.T, "the server has begun to accept", func() bool {
		for _, g := range strings.Split(string(stacks()), "\n\n") {
			if state, _, _ := strings.Cut(g, "\n"); strings.Contains(state, "[chan receive") && strings.Contains(g, "transport.(*Server).Serve(") {
				return true
			}
		}
		return false
	})
}

// served makes a call of a server with hardly any patience. Where the machine lets it stand still for longer, it costs a lane, and there is another.
func (r *rig) served(s *transport.Session, what string) {
	r.Helper()
	eventually(r.T, what, func() bool {
		select {
		case <-s.Done():
			r.Fatalf("the connection has ended: %s", what)
		default:
		}
		status, reply, err := s.Call(r.Context(), echo, []byte(what))
		return err == nil && status == 0 && string(reply) == what
	})
}

// noLanes waits until the server serves no lane.
func (r *rig) noLanes() {
	r.Helper()
	eventually(r.T, "no lane is served", func() bool { return goroutinesIn("transport.(*ServerConn).lane") == 0 })
}

// promise is the start of a frame of 8 MiB.
func promise() []byte {
	b := frame(echo, 0, make([]byte, 1000))
	binary.LittleEndian.PutUint32(b, transport.MaxFrame)
	return b
}

// testFlood opens lanes without end, and promises a large frame on each. The carrier lets only so many be open, they take no
// more memory than what has arrived, and others are served.
func testFlood(t *testing.T, c Carrier) {
	r := start(t, c, transport.Limits{})
	conn := r.connect()
	before := heap()
	opened := make(chan transport.Stream)
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	group.Go(func() {
		for {
			s, err := conn.Open(ctx)
			if err != nil {
				return
			}
			if _, err := s.Write(promise()); err != nil {
				t.Error(err)
				return
			}
			select {
			case opened <- s:
			case <-ctx.Done():
				return
			}
		}
	})
	var first transport.Stream
	for range c.Lanes {
		first = <-opened
	}
	honest := r.session(nil)
	for range 100 {
		r.call(honest, echo, []byte("others are served"))
	}
	select {
	case <-opened:
		t.Errorf("more than %d lanes are open", c.Lanes)
	default:
	}
	if n := goroutinesIn("transport.(*ServerConn).serveLane"); n > c.Lanes+1 {
		t.Errorf("%d lanes are served", n)
	}
	if n := heap() - before; n > int64(c.Lanes)*64<<10 {
		t.Errorf("%d KiB are held for %d lanes on which 1 KB has arrived", n>>10, c.Lanes)
	}
	first.Reset(transport.CodeCancelled)
	<-opened // a lane that ended makes room for another
}

// testSlowReader asks for a large reply and does not read it: that costs the lane, not the connection.
func testSlowReader(t *testing.T, c Carrier) {
	r := start(t, c, transport.Limits{Progress: 50 * time.Millisecond})
	conn := r.connect()
	s, err := conn.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write(frame(large, 0, binary.LittleEndian.AppendUint32(nil, transport.MaxFrame))); err != nil {
		t.Fatal(err)
	}
	<-r.server.conns
	eventually(t, "the lane was taken", func() bool { return r.server.streams.Load() == 1 })
	r.noLanes()
	r.served(transport.NewSession(conn, transport.SessionConfig{}), "the connection goes on")
}

// testDeaf pushes to a client that never reads, until the server has had enough of it.
func testDeaf(t *testing.T, c Carrier) {
	r := start(t, c, transport.Limits{Progress: 50 * time.Millisecond})
	deaf := r.connect()
	lane, err := deaf.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lane.Write(frame(echo, 0, nil)); err != nil { // a carrier may tell of a connection only now
		t.Fatal(err)
	}
	victim := <-r.server.conns
	for message, ended := make([]byte, 1<<10), false; !ended; runtime.Gosched() {
		victim.Push(message)
		select {
		case <-deaf.Done():
			ended = true
		default:
		}
	}
	eventually(t, "the handler was told", func() bool { return r.server.closed.Load() == 1 })
	if victim.Push([]byte("more")) {
		t.Error("a message was queued for a connection that has ended")
	}
	r.served(r.session(nil), "others are served")
}

// testIdle counts what connections cost on which nothing happens: goroutines, exactly, and memory, both ends together.
func testIdle(t *testing.T, c Carrier) {
	const clients = 400
	r := start(t, c, transport.Limits{})
	r.accepts()
	var welcome sync.WaitGroup
	goroutines, objects, stacks := 0, int64(0), int64(0)
	for i := range clients + 1 {
		if i == 1 { // the first client is not counted, but has made what is shared
			goroutines = runtime.NumGoroutine()
			objects, stacks = held()
		}
		welcome.Add(1)
		s := transport.NewSession(r.connect(), transport.SessionConfig{
			Limits: transport.Limits{Idle: time.Millisecond},
			Push:   func([]byte) { welcome.Done() },
		})
		r.Cleanup(func() { _ = s.Close() })
		r.call(s, push, []byte("welcome"))
		welcome.Wait()
		<-r.server.conns
		if i == 0 {
			r.noLanes()
		}
	}
	r.noLanes()
	idle := func() int { return runtime.NumGoroutine() - goroutines }
	eventually(t, "idle clients have no more goroutines than they may", func() bool { return idle() <= clients*c.Goroutines })
	heap, stack := held()
	heap, stack = (heap-objects)/clients, (stack-stacks)/clients
	t.Logf("%d goroutines, %d bytes of objects and %d of stacks for each idle connection", idle()/clients, heap, stack)
	if heap > int64(c.Objects)<<10 || stack > stackFactor*int64(c.Stacks)<<10 {
		t.Errorf("for each idle connection %d bytes of objects are held and %d of stacks, and it may be %d KiB and %d KiB", heap, stack, c.Objects, stackFactor*c.Stacks)
	}
}

// testGoingAway reads what a server that shuts down says, byte by byte, and obeys. A call is under way, for which the server waits: without one it would
// end the connection soon.
func testGoingAway(t *testing.T, c Carrier) {
	r := start(t, c, transport.Limits{})
	conn := r.connect()
	lane, err := conn.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lane.Write(frame(push, 0, []byte("news"))); err != nil {
		t.Fatal(err)
	}
	pushed, err := conn.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	held, err := conn.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := held.Write(frame(hold, 0, nil)); err != nil {
		t.Fatal(err)
	}
	<-r.server.entered
	stopped := make(chan struct{})
	go func() {
		r.stop()
		close(stopped)
	}()
	want := append(frame(0, 0, []byte("news")), frame(1, 0, nil)...)
	got := make([]byte, len(want))
	for n := 0; n < len(got); {
		k, err := pushed.Read(got[n:])
		if err != nil {
			t.Fatalf("after % x: %v", got[:n], err)
		}
		n += k
	}
	if !bytes.Equal(got, want) {
		t.Errorf("pushed % x, want % x", got, want)
	}
	_ = conn.Close(transport.CodeDone, "")
	close(r.server.release)
	<-stopped
	if n := r.server.closed.Load(); n != 1 {
		t.Errorf("%d connections were told closed", n)
	}
}
