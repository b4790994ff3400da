// Package transporttest is the suite that every carrier passes.
package transporttest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/transport/internal/testcert"
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
}

// The methods of the server under test.
const (
	echo uint16 = iota
	wait        // until the caller gives up
	hold        // until the test lets go
	push        // pushes the payload
	large
)

// server is a Handler, and what it saw.
type server struct {
	t *testing.T
	*transport.Server
	conns     chan *transport.ServerConn
	cancelled chan struct{}
	entered   chan struct{}
	release   chan struct{}
	closed    atomic.Int32
	streams   atomic.Int32
	refuse    atomic.Bool
}

func (s *server) Open(c *transport.ServerConn) (any, error) {
	if s.refuse.Load() {
		return nil, errors.New("no room")
	}
	s.conns <- c
	return "value", nil
}

func (s *server) Call(ctx context.Context, c *transport.ServerConn, method uint16, request []byte) (uint16, []byte) {
	if c.Value != "value" {
		s.t.Errorf("value %v", c.Value)
	}
	switch method {
	case echo:
		return 0, bytes.Clone(request)
	case wait:
		s.entered <- struct{}{}
		<-ctx.Done()
		s.cancelled <- struct{}{}
		return 1, nil
	case hold:
		s.entered <- struct{}{}
		<-s.release
		return 0, []byte("held")
	case push:
		if !c.Push(bytes.Clone(request)) {
			return 2, nil
		}
		return 0, nil
	case large:
		return 0, make([]byte, binary.LittleEndian.Uint32(request))
	}
	return 12, nil
}

func (s *server) Closed(*transport.ServerConn) { s.closed.Add(1) }

// counted counts the streams of the connections of a listener.
type counted struct {
	transport.Listener
	n *atomic.Int32
}

type countedConn struct {
	transport.Conn
	n *atomic.Int32
}

func (l counted) Accept(ctx context.Context) (transport.Conn, error) {
	c, err := l.Listener.Accept(ctx)
	if err != nil {
		return nil, err
	}
	return countedConn{c, l.n}, nil
}

func (c countedConn) Accept(ctx context.Context) (transport.Stream, error) {
	s, err := c.Conn.Accept(ctx)
	if err == nil {
		c.n.Add(1)
	}
	return s, err
}

// rig is a running server and a way to connect to it.
type rig struct {
	*testing.T
	server *server
	dial   func(context.Context) (transport.Conn, error)
	stop   func()
}

func start(t *testing.T, carrier Carrier, limits transport.Limits) *rig {
	t.Helper()
	s := &server{t: t, conns: make(chan *transport.ServerConn, 64), cancelled: make(chan struct{}, 64), entered: make(chan struct{}, 64),
		release: make(chan struct{})}
	s.Server = transport.NewServer(transport.ServerConfig{Handler: s, Limits: limits, PushQueue: 4 << 10, Lagging: []byte("lagging")})
	here, there := testcert.Pair(t)
	l, dial := carrier.Listen(t, here, there)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.Serve(t.Context(), counted{l, &s.streams})
	}()
	var once sync.Once
	r := &rig{t, s, dial, nil}
	r.stop = func() {
		once.Do(func() {
			_ = l.Close()
			<-served
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			_ = s.Shutdown(ctx)
		})
	}
	t.Cleanup(r.stop)
	return r
}

func (r *rig) connect() transport.Conn {
	r.Helper()
	c, err := r.dial(r.Context())
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = c.Close(transport.CodeDone, "") })
	return c
}

func (r *rig) session(pushed func([]byte)) *transport.Session {
	r.Helper()
	s := transport.NewSession(r.connect(), transport.SessionConfig{Push: pushed})
	r.Cleanup(func() { _ = s.Close() })
	return s
}

func (r *rig) call(s *transport.Session, method uint16, request []byte) []byte {
	r.Helper()
	status, reply, err := s.Call(r.Context(), method, request)
	if err != nil || status != 0 {
		r.Fatalf("call: status %d, %v", status, err)
	}
	return reply
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
	session := transport.NewSession(conn, transport.SessionConfig{})
	r.call(session, echo, []byte("the connection goes on"))
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

func testDrain(t *testing.T, c Carrier) {
	r := start(t, c, transport.Limits{})
	s := r.session(nil)
	type result struct {
		reply []byte
		err   error
	}
	held := make(chan result, 1)
	go func() {
		_, reply, err := s.Call(t.Context(), hold, nil)
		held <- result{reply, err}
	}()
	<-r.server.entered
	stopped := make(chan struct{})
	go func() {
		r.stop()
		close(stopped)
	}()
	for { // until the server takes no more calls
		if _, _, err := s.Call(t.Context(), echo, nil); err != nil {
			if !errors.Is(err, qpq.Unavailable) {
				t.Errorf("call to a server that shuts down: %v", err)
			}
			break
		}
	}
	close(r.server.release)
	if got := <-held; got.err != nil || string(got.reply) != "held" {
		t.Errorf("the call under way: %q, %v", got.reply, got.err)
	}
	<-stopped
	<-s.Done()
	if n := r.server.closed.Load(); n != 1 {
		t.Errorf("%d connections were told closed", n)
	}
}

// testForced shuts down although a call never ends by itself.
func testForced(t *testing.T, c Carrier) {
	r := start(t, c, transport.Limits{})
	s := r.session(nil)
	failed := make(chan error, 1)
	go func() {
		_, _, err := s.Call(t.Context(), wait, nil)
		failed <- err
	}()
	<-r.server.entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.server.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown: %v", err)
	}
	if err := <-failed; !errors.Is(err, qpq.Unavailable) || !transport.Sent(err) {
		t.Errorf("the call: %v, sent %v", err, transport.Sent(err))
	}
}

func testVanish(t *testing.T, c Carrier) {
	r := start(t, c, transport.Limits{})
	s := r.session(nil)
	go func() { _, _, _ = s.Call(t.Context(), wait, nil) }()
	<-r.server.entered
	_ = s.Close()
	<-r.server.cancelled
	if _, _, err := s.Call(t.Context(), echo, nil); !errors.Is(err, qpq.Unavailable) || transport.Sent(err) {
		t.Errorf("call on a session that was closed: %v, sent %v", err, transport.Sent(err))
	}
}

func testPeer(t *testing.T, c Carrier) {
	r := start(t, c, transport.Limits{})
	s := r.session(nil)
	r.call(s, echo, nil)
	there := <-r.server.conns
	if s.Peer().Carrier == "" || s.Peer().Carrier != there.Peer().Carrier || there.Peer().Address == nil {
		t.Errorf("peers %+v and %+v", s.Peer(), there.Peer())
	}
	mine, err := s.Peer().Exporter("label", 32)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := there.Peer().Exporter("label", 32)
	if err != nil || !bytes.Equal(mine, theirs) || (len(mine) == 32) != (c.TLS && !c.Unbound) {
		t.Errorf("exported %x and %x, %v", mine, theirs, err)
	}
	if other, _ := s.Peer().Exporter("another", 32); len(mine) > 0 && bytes.Equal(other, mine) {
		t.Error("another label exports the same")
	}
}

func testRefused(t *testing.T, c Carrier) {
	r := start(t, c, transport.Limits{})
	r.server.refuse.Store(true)
	s := r.session(nil)
	_, _, err := s.Call(t.Context(), echo, nil)
	if !errors.Is(err, qpq.Unavailable) {
		t.Errorf("call on a refused connection: %v", err)
	}
	<-s.Done()
	if code, ok := transport.Refused(err); c.Codes && (!ok || code != transport.CodeRefused) {
		t.Errorf("code %v, %v", code, ok)
	}
}

// testHalfClose sends a request and nothing after it: the reply comes, and then the end.
func testHalfClose(t *testing.T, c Carrier) {
	r := start(t, c, transport.Limits{})
	s, err := r.connect().Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := frame(0, 0, []byte("x"))
	if _, err := s.Write(frame(echo, 0, []byte("x"))); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(s, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("reply %x, %v", got, err)
	}
	if err := s.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	r.ends(s, "half closed")
}

func testNotServed(t *testing.T, c Carrier) {
	here, there := testcert.Pair(t)
	l, dial := c.Listen(t, here, there)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if conn, err := dial(ctx); err == nil {
		_ = conn.Close(transport.CodeDone, "")
		t.Error("connected to a listener that was closed")
	}
}

// testKeyExchange looks at what both ends agree on when neither asks for anything: TLS 1.3, this protocol, and a key exchange that
// holds against a quantum computer too.
func testKeyExchange(t *testing.T, c Carrier) {
	if !c.TLS {
		return
	}
	here, there := testcert.Pair(t)
	states := make(chan tls.ConnectionState, 2)
	for _, config := range []*tls.Config{here, there} {
		config.VerifyConnection = func(s tls.ConnectionState) error {
			states <- s
			return nil
		}
	}
	_, dial := c.Listen(t, here, there)
	conn, err := dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s := <-states
		if s.CurveID != tls.X25519MLKEM768 || s.Version != tls.VersionTLS13 || s.NegotiatedProtocol != cmp.Or(c.Protocol, "qpq") {
			t.Errorf("agreed on %v, %s, %q", s.CurveID, tls.VersionName(s.Version), s.NegotiatedProtocol)
		}
	}
	_ = conn.Close(transport.CodeDone, "")
}

// testNotTrusted connects to a server whose certificate is another's.
func testNotTrusted(t *testing.T, c Carrier) {
	if !c.TLS {
		return
	}
	here, _ := testcert.Pair(t)
	_, there := testcert.Pair(t)
	_, dial := c.Listen(t, here, there)
	if conn, err := dial(t.Context()); err == nil {
		_ = conn.Close(transport.CodeDone, "")
		t.Error("connected to a server that is not trusted")
	}
}
