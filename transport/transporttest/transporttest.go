// Package transporttest is the suite that every carrier passes.
package transporttest

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/transport"
)

// Carrier is a carrier under test.
type Carrier struct {
	// Listen returns a listener, and a function that connects to it. Both end with the test.
	Listen func(t *testing.T, server, client *tls.Config) (transport.Listener, func(context.Context) (transport.Conn, error))
	// TLS says that the carrier has a key exchange, from which both ends can derive values unless Unbound says that they cannot.
	TLS, Unbound bool
	// Protocol is what the ends of a carrier over TLS agree to speak. Empty is transport.ALPN.
	Protocol string
	// Codes says that the code of Close reaches the other end.
	Codes bool
	// Lanes is how many lanes a client may have at a time.
	Lanes int
	// Goroutines is how many an idle connection has, of both ends together.
	Goroutines int
	// Objects and Stacks are how many KiB an idle connection may hold of each, of both ends together.
	Objects, Stacks int
}

// Run runs the suite.
func Run(t *testing.T, c Carrier) {
	for name, test := range map[string]func(*testing.T, Carrier){
		"Calls": testCalls, "Lanes": testLanes, "Cancel": testCancel, "Malformed": testMalformed, "SlowWriter": testSlowWriter,
		"Sizes": testSizes, "Push": testPush, "PushToOneWhoNeverReads": testNeverReads, "Drain": testDrain, "Forced": testForced,
		"Vanish": testVanish, "Peer": testPeer, "Refused": testRefused, "HalfClose": testHalfClose, "NotServed": testNotServed,
		"Flood": testFlood, "SlowReader": testSlowReader, "Deaf": testDeaf, "Idle": testIdle,
		"GoingAway": testGoingAway, "KeyExchange": testKeyExchange, "NotTrusted": testNotTrusted,
	} {
		t.Run(name, func(t *testing.T) {
			leavesNothing(t)
			test(t, c)
		})
	}
}

func testCalls(t *testing.T, c Carrier) {
	r := start(t, c, transport.Limits{})
	s := r.session(nil)
	for _, payload := range [][]byte{nil, []byte("x"), bytes.Repeat([]byte("long "), 10_000)} {
		if got := r.call(s, echo, payload); !bytes.Equal(got, payload) {
			t.Errorf("%d bytes came back as %d", len(payload), len(got))
		}
	}
	if status, reply, err := s.Call(t.Context(), 999, nil); err != nil || status != 12 || len(reply) != 0 {
		t.Errorf("unknown method: status %d, %q, %v", status, reply, err)
	}
	var group sync.WaitGroup
	for i := range 100 {
		group.Go(func() {
			want := bytes.Repeat([]byte{byte(i)}, i*37)
			if status, got, err := s.Call(t.Context(), echo, want); err != nil || status != 0 || !bytes.Equal(got, want) {
				t.Errorf("call %d: status %d, %d bytes, %v", i, status, len(got), err)
			}
		})
	}
	group.Wait()
}

// testLanes makes many calls, and counts the streams that they take.
func testLanes(t *testing.T, c Carrier) {
	r := start(t, c, transport.Limits{})
	s := r.session(nil)
	for range 1000 {
		r.call(s, echo, []byte("again"))
	}
	if n := r.server.streams.Load(); n != 1 {
		t.Errorf("1000 calls, one after the other, took %d lanes", n)
	}
}

func testCancel(t *testing.T, c Carrier) {
	r := start(t, c, transport.Limits{})
	s := r.session(nil)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-r.server.entered
		cancel()
	}()
	_, _, err := s.Call(ctx, wait, nil)
	if !errors.Is(err, context.Canceled) || !transport.Sent(err) {
		t.Errorf("cancelled call: %v, sent %v", err, transport.Sent(err))
	}
	<-r.server.cancelled
	r.call(s, echo, []byte("the connection goes on"))
	if _, _, err := s.Call(ctx, echo, nil); !errors.Is(err, context.Canceled) || transport.Sent(err) {
		t.Errorf("call with a context that has ended: %v, sent %v", err, transport.Sent(err))
	}
}

// frame is a frame as it should be, for tests to spoil.
func frame(number, flags uint16, payload []byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(payload)))
	b = binary.LittleEndian.AppendUint16(b, number)
	b = binary.LittleEndian.AppendUint16(b, flags)
	return append(b, payload...)
}

// ends waits for the server to end a lane without a reply.
func (r *rig) ends(s transport.Stream, what string) {
	r.Helper()
	b, err := io.ReadAll(s)
	if len(b) > 0 {
		r.Errorf("%s: the server replied %x", what, b)
	}
	var closed transport.Closed
	if err != nil && !errors.As(err, &closed) {
		r.Errorf("%s: %v", what, err)
	}
}

func testMalformed(t *testing.T, c Carrier) {
	r := start(t, c, transport.Limits{Frame: 1 << 20})
	conn := r.connect()
	huge := frame(echo, 0, nil)
	binary.LittleEndian.PutUint32(huge, 1<<32-1)
	over := frame(echo, 0, nil)
	binary.LittleEndian.PutUint32(over, 1<<20+1)
	for what, b := range map[string][]byte{"flags": frame(echo, 1, []byte("x")), "4 GiB": huge, "over the limit": over} {
		s, err := conn.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write(b); err != nil {
			t.Fatal(err)
		}
		r.ends(s, what)
	}
	s, err := conn.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write(frame(echo, 0, []byte("cut short"))[:10]); err != nil {
		t.Fatal(err)
	}
	if err := s.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	r.ends(s, "cut short")
	session := transport.NewSession(conn, transport.SessionConfig{})
	r.call(session, echo, []byte("the connection goes on"))
}

func testSlowWriter(t *testing.T, c Carrier) {
	r := start(t, c, transport.Limits{Progress: 50 * time.Millisecond})
	conn := r.connect()
	s, err := conn.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write(frame(echo, 0, make([]byte, 1000))[:500]); err != nil {
		t.Fatal(err)
	}
	r.ends(s, "half a frame")
	r.served(transport.NewSession(conn, transport.SessionConfig{}), "the connection goes on")
}

func testSizes(t *testing.T, c Carrier) {
	r := start(t, c, transport.Limits{})
	s := r.session(nil)
	most := bytes.Repeat([]byte("most"), transport.MaxFrame/4)
	if got := r.call(s, echo, most); !bytes.Equal(got, most) {
		t.Errorf("8 MiB came back as %d bytes", len(got))
	}
	_, _, err := s.Call(t.Context(), echo, append(most, 0))
	if !errors.Is(err, qpq.TooLarge) || transport.Sent(err) {
		t.Errorf("over 8 MiB: %v, sent %v", err, transport.Sent(err))
	}
	if _, _, err := s.Call(t.Context(), large, binary.LittleEndian.AppendUint32(nil, transport.MaxFrame+1)); !errors.Is(err, qpq.Unavailable) {
		t.Errorf("a reply over 8 MiB: %v", err)
	}
	r.call(s, echo, []byte("the connection goes on"))
}

func testPush(t *testing.T, c Carrier) {
	r := start(t, c, transport.Limits{})
	got := make(chan []byte, 1000)
	s := r.session(func(b []byte) { got <- b })
	for i := range 200 {
		r.call(s, push, []byte{byte(i)})
	}
	for i := range 200 {
		if b := <-got; len(b) != 1 || b[0] != byte(i) {
			t.Fatalf("push %d is %x", i, b)
		}
	}
	(<-r.server.conns).Push(bytes.Repeat([]byte("big"), 100_000))
	if b := <-got; len(b) != 300_000 {
		t.Errorf("a push of 300,000 bytes arrived as %d", len(b))
	}
}

// testNeverReads pushes without end to a client that does not accept what is pushed, while others are served; and
// lets a client that was slow know that it missed something.
func testNeverReads(t *testing.T, c Carrier) {
	r := start(t, c, transport.Limits{})
	stuck := r.connect()
	lane, err := stuck.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lane.Write(frame(echo, 0, nil)); err != nil { // a carrier may tell of a connection only now
		t.Fatal(err)
	}
	victim := <-r.server.conns
	message := make([]byte, 8<<10)
	dropped := false
	for range 10_000 {
		if !victim.Push(message) {
			dropped = true
			break
		}
	}
	if !dropped {
		t.Fatal("80 MB were queued for a client that never reads")
	}
	s := r.session(nil)
	r.call(s, echo, []byte("others are served"))

	lagging := make(chan struct{})
	var once sync.Once
	late := transport.NewSession(stuck, transport.SessionConfig{Push: func(b []byte) {
		if string(b) == "lagging" {
			once.Do(func() { close(lagging) })
		}
	}})
	<-lagging
	r.call(late, echo, []byte("and it goes on"))
}
