package node

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"runtime/pprof"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/transport/mem"
	"github.com/quicproquo/qpq/transport/quic"
	"github.com/quicproquo/qpq/transport/tlsmux"
	"github.com/quicproquo/qpq/transport/websocket"
	"github.com/quicproquo/qpq/wire"
)

// network is a carrier that a server listens on, and how to reach it.
type network struct {
	listener transport.Listener
	dial     func(context.Context) (transport.Conn, error)
}

// networks are the carriers that every test of this file runs over.
var networks = map[string]func(*rig) network{
	"mem": func(*rig) network {
		l := mem.Listen("server")
		return network{l, func(ctx context.Context) (transport.Conn, error) { return l.Dial(ctx, "client") }}
	},
	"quic": func(r *rig) network {
		server, client := r.tls()
		at, err := quic.NewEndpoint("127.0.0.1:0", quic.Config{})
		check(r.t, err)
		l, err := at.Listen(server)
		check(r.t, err)
		from, err := quic.NewEndpoint("127.0.0.1:0", quic.Config{})
		check(r.t, err)
		r.t.Cleanup(func() { _ = errors.Join(from.Close(), at.Close()) })
		return network{l, func(ctx context.Context) (transport.Conn, error) { return from.Dial(ctx, at.Addr().String(), client) }}
	},
	"tls": func(r *rig) network {
		server, client := r.tls()
		l, err := tlsmux.Listen("127.0.0.1:0", server)
		check(r.t, err)
		return network{l, func(ctx context.Context) (transport.Conn, error) { return tlsmux.Dial(ctx, l.Addr().String(), client) }}
	},
	"websocket": func(r *rig) network {
		server, client := r.tls()
		l, err := websocket.Listen("127.0.0.1:0", server)
		check(r.t, err)
		return network{l, func(ctx context.Context) (transport.Conn, error) {
			return websocket.Dial(ctx, l.Addr().String(), client)
		}}
	},
}

// tls returns configurations of a server with its own certificate and of a client that trusts it.
func (r *rig) tls() (server, client *tls.Config) {
	h, err := OpenHome(r.t.TempDir(), "test")
	check(r.t, err)
	c, err := h.Certificate("localhost", "", "", time.Now())
	check(r.t, err)
	check(r.t, h.Close())
	return c.TLS(), &tls.Config{InsecureSkipVerify: true} // trust is the client's affair, and tested there
}

// listen runs the server over a network until the test or stop ends it. ended carries what Run returned.
func (r *rig) listen(n network) (stop func(), ended chan error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended = make(chan error, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		ended <- r.Run(ctx, n.listener)
	}()
	r.t.Cleanup(func() { cancel(); <-done })
	return cancel, ended
}

// connectTo opens a line over a network, whose pushes are collected in a channel.
func (r *rig) connectTo(n network) (*line, chan wire.PushEvent) {
	r.t.Helper()
	conn, err := n.dial(r.t.Context())
	check(r.t, err)
	pushes := make(chan wire.PushEvent, 100)
	s := transport.NewSession(conn, transport.SessionConfig{Push: func(b []byte) {
		p, err := wire.Unmarshal[wire.Push](b)
		if err == nil {
			pushes <- p.Event
		}
	}})
	r.t.Cleanup(func() { _ = s.Close() })
	secret, err := s.Peer().Exporter(identity.ExporterLabel, 32)
	check(r.t, err)
	return &line{r: r, over: s, secret: secret}, pushes
}

func overAll(t *testing.T, test func(t *testing.T, r *rig, n network)) {
	for name, open := range networks {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			test(t, r, open(r))
		})
	}
}

func TestOverEveryTransport(t *testing.T) {
	overAll(t, func(t *testing.T, r *rig, n network) {
		r.listen(n)
		l, pushes := r.connectTo(n)
		alice := l.register("alice")
		code := wire.LinkCreate{Rendezvous: [16]byte{1}}
		call(l, code)
		m, _ := r.connectTo(n)
		call(m, wire.LinkOffer{Rendezvous: code.Rendezvous, Sealed: []byte("x")})
		if p := <-pushes; p != (wire.LinkPush(code)) {
			t.Errorf("pushed %v", p)
		}
		refused(m, wire.DevicesList{}, qpq.Unauthorized, wire.CodeDeviceNeeded)

		second := newDevice()
		o, gone := r.connectTo(n)
		alice.publish(o, o.login(alice), identity.Change{Add: []*identity.DeviceRequest{second.request(alice.user)}})
		o.authenticate(alice, second)
		if p := <-pushes; p != (wire.AccountPush{User: alice.user, Version: 2}) {
			t.Errorf("pushed %v", p)
		}
		alice.revoke(l, l.login(alice), second.key.ID())
		<-o.over.Done() // cut off at once
		select {
		case p := <-gone:
			t.Errorf("pushed to the revoked device: %v", p)
		default:
		}
		again, _ := r.connectTo(n)
		again.authenticate(alice, alice.device)
		<-l.over.Done() // what was pushed before may be lost with the connection
		call(again, wire.DevicesList{})
	})
}

// TestWhatWasSignedForAnotherCarrier authenticates by signatures that were made for a connection of another kind, as somebody between the
// two ends would pass them on.
func TestWhatWasSignedForAnotherCarrier(t *testing.T) {
	r := newRig(t, nil)
	bound, unbound := networks["tls"](r), networks["websocket"](r)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx, bound.listener, unbound.listener) }()
	t.Cleanup(func() { cancel(); check(t, <-ended) })
	a, _ := r.connectTo(bound)
	b, _ := r.connectTo(unbound)
	if len(a.secret) != 32 || len(b.secret) != 0 {
		t.Fatalf("secrets of %d and %d bytes", len(a.secret), len(b.secret))
	}
	alice := a.register("alice")
	a.secret, b.secret = b.secret, a.secret
	for _, l := range []*line{a, b} {
		refused(l, l.statement(alice, alice.device), qpq.Denied, wire.CodeDeviceUnknown)
	}
	a.secret, b.secret = b.secret, a.secret
	a.authenticate(alice, alice.device)
	b.authenticate(alice, alice.device)
}

func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		n := networks["mem"](r)
		stop, ended := r.listen(n)
		l, _ := r.connectTo(n)
		l.register("alice")
		told := r.dial()
		told.register("bob")
		call(l, wire.LinkCreate{Rendezvous: [16]byte{1}})
		polled := make(chan wire.LinkTakeReply)
		go func() { polled <- call(l, wire.LinkTake{Rendezvous: [16]byte{1}, WaitSeconds: 60}) }()
		synctest.Wait()
		start := time.Now()
		stop()
		if reply := <-polled; reply.Sealed != nil {
			t.Errorf("%+v", reply)
		}
		if err := <-ended; err != nil || time.Since(start) > time.Second {
			t.Errorf("ended after %s with %v", time.Since(start), err)
		}
		if p := told.pushed(); len(p) != 1 || p[0] != (wire.DrainingPush{Seconds: 10}) {
			t.Errorf("pushed %v", p)
		}
		<-l.over.Done()
		if _, err := n.dial(t.Context()); err == nil {
			t.Error("a server that has stopped takes connections")
		}
	})
}

func TestDrainCutsWhatTakesTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		delete(r.methods, 0)
		r.methods.Add(wire.Handle(func(ctx context.Context, _ *conn, _ wire.Ping) (wire.PingReply, error) {
			<-ctx.Done()
			return wire.PingReply{}, qpq.E(qpq.Unavailable, wire.CodeDraining, "cut off")
		}))
		n := networks["mem"](r)
		stop, ended := r.listen(n)
		l, _ := r.connectTo(n)
		failed := make(chan error)
		go func() { _, err := wire.Call(t.Context(), l, wire.Ping{}); failed <- err }()
		synctest.Wait()
		start := time.Now()
		stop()
		if err := <-failed; err == nil {
			t.Error("a call that never ends succeeded")
		}
		if err := <-ended; err != nil || time.Since(start) != 10*time.Second {
			t.Errorf("ended after %s with %v", time.Since(start), err)
		}
	})
}

func TestListenerThatFailsEndsTheServer(t *testing.T) {
	r := newRig(t, nil)
	n := networks["mem"](r)
	_, ended := r.listen(n)
	check(t, n.listener.Close())
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v", err)
	}
}

func TestSweeperRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		_, token := NewToken(1, time.Now().Add(30*time.Second), time.Now())
		check(t, r.cfg.Store.AddToken(t.Context(), token))
		r.listen(networks["mem"](r))
		time.Sleep(time.Minute + time.Second)
		synctest.Wait()
		if left, err := r.cfg.Store.Tokens(t.Context()); len(left) != 0 || err != nil {
			t.Errorf("%d expired tokens are kept, %v", len(left), err)
		}
	})
}

// garbage is what hostile clients send, a lane each, and whether the server ends that lane at once.
var garbage = []struct {
	frame []byte
	ends  bool
}{
	{[]byte{255, 255, 255, 255, 0, 0, 0, 0}, true},                           // a length over the limit
	{[]byte{8, 0, 0, 0, 0, 0, 0, 128, 1, 2, 3, 4, 5, 6, 7, 8}, true},         // unknown flags
	{append([]byte{0, 0, 128, 0, 0, 0, 0, 0}, make([]byte, 5000)...), false}, // 8 MiB promised, 5000 bytes sent
	{[]byte{8, 0, 0, 0, 4, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8}, false},          // a loginStart that is no message
	{[]byte{8, 0, 0, 0, 255, 255, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8}, false},      // no method
	{[]byte{1}, false}, // the start of a header
}

// TestAbuse counts what hostile clients cost: connections that send garbage, and that claim lengths they
// never send. An honest client is served meanwhile, and garbage costs its lane, never the connection.
func TestAbuse(t *testing.T) {
	overAll(t, func(t *testing.T, r *rig, n network) {
		r.listen(n)
		honest, _ := r.connectTo(n)
		alice := honest.register("alice")
		const hostile = 40
		heap := heapInUse()
		var conns []transport.Conn
		for range hostile {
			c, err := n.dial(t.Context())
			check(t, err)
			conns = append(conns, c)
			for _, g := range garbage {
				s, err := c.Open(t.Context())
				check(t, err)
				if _, err := s.Write(g.frame); err != nil {
					t.Fatal(err)
				}
				if g.ends {
					if n, err := s.Read(make([]byte, 1)); err == nil {
						t.Fatalf("%d bytes came in answer to % x", n, g.frame[:8])
					}
				}
			}
			s, err := c.Open(t.Context())
			check(t, err)
			ping(t, s)
			call(honest, wire.Ping{Data: []byte("still here")})
		}
		if n := r.sessions.count(); n != hostile+1 {
			t.Errorf("%d connections, want %d", n, hostile+1)
		}
		if lanes := goroutinesIn("transport.(*ServerConn).serveLane"); lanes > hostile*5+10 {
			t.Errorf("%d lanes are served, of which %d hostile connections left %d open", lanes, hostile, hostile*5)
		}
		if grown := heapInUse() - heap; grown > hostile<<20 {
			t.Errorf("%d KiB are held for %d hostile connections that promised 8 MiB each", grown>>10, hostile)
		}
		for _, c := range conns {
			_ = c.Close(transport.CodeDone, "")
		}
		for r.sessions.count() > 1 {
			call(honest, wire.Ping{})
		}
		other, _ := r.connectTo(n)
		other.login(alice)
		call(other, wire.Ping{})
	})
}

// ping makes a call by hand on a lane of a client that keeps to nothing else.
func ping(t *testing.T, s transport.Stream) {
	t.Helper()
	request := must(wire.Marshal(wire.Ping{}))
	_, err := s.Write(append([]byte{byte(len(request)), 0, 0, 0, 0, 0, 0, 0}, request...))
	check(t, err)
	var head [8]byte
	_, err = io.ReadFull(s, head[:])
	check(t, err)
	if status := binary.LittleEndian.Uint16(head[4:]); status != 0 {
		t.Fatalf("ping was answered with status %d", status)
	}
	_, err = io.CopyN(io.Discard, s, int64(binary.LittleEndian.Uint32(head[:])))
	check(t, err)
}

// goroutinesIn counts the goroutines that have a function on their stack.
func goroutinesIn(function string) (n int) {
	var b bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&b, 2)
	for _, stack := range strings.Split(b.String(), "\n\n") {
		if strings.Contains(stack, function+"(") {
			n++
		}
	}
	return n
}

// heapInUse returns how many bytes are held after a collection.
func heapInUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestFloodIsRefused opens more connections than the server takes. Those over the limit are refused, and
// nothing of them is left.
func TestFloodIsRefused(t *testing.T) {
	for name, open := range networks {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(c *Config) { c.Limits.Connections = 5 })
			n := open(r)
			r.listen(n)
			honest, _ := r.connectTo(n)
			honest.register("alice")
			var flood []*line
			for range 4 {
				l, _ := r.connectTo(n)
				call(l, wire.Ping{})
				flood = append(flood, l)
			}
			for range 20 {
				conn, err := n.dial(t.Context())
				if err != nil {
					continue
				}
				<-conn.Done()
			}
			call(honest, wire.DevicesList{})
			if got := r.sessions.count(); got != 5 {
				t.Errorf("%d connections", got)
			}
			_ = flood[0].over.Close()
			for { // there is room again, once the server knows
				conn, err := n.dial(t.Context())
				if _, refused := transport.Refused(err); refused { // some carriers learn it before they are done
					continue
				}
				check(t, err)
				again := transport.NewSession(conn, transport.SessionConfig{})
				_, err = wire.Call(t.Context(), again, wire.Ping{})
				_ = again.Close()
				if err == nil {
					break
				}
			}
		})
	}
}

// TestClientThatNeverReads is sent more than its connection holds. Others do not wait for it.
func TestClientThatNeverReads(t *testing.T) {
	overAll(t, func(t *testing.T, r *rig, n network) {
		r.listen(n)
		l, _ := r.connectTo(n)
		alice := l.register("alice")
		conn, err := n.dial(t.Context())
		check(t, err)
		t.Cleanup(func() { _ = conn.Close(transport.CodeDone, "") })
		secret, err := conn.Peer().Exporter(identity.ExporterLabel, 32)
		check(t, err)
		deaf := &line{r: r, over: transport.NewSession(conn, transport.SessionConfig{Push: func([]byte) { <-t.Context().Done() }}), secret: secret}
		deaf.authenticate(alice, alice.device)
		heap := heapInUse()
		for c := range r.sessions.of("alice") {
			for range 200_000 {
				r.push(c, wire.LinkPush{})
			}
		}
		other, _ := r.connectTo(n)
		other.register("bob")
		if counted(r.metrics.pushesLost) == 0 {
			t.Error("nothing was dropped: the server keeps all for a client that reads nothing")
		}
		if grown := heapInUse() - heap; grown > 4<<20 {
			t.Errorf("%d KiB are held for a client that reads nothing", grown>>10)
		}
	})
}
