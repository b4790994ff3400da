package client_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/transport/mem"
)

// late is a connection whose end is not told to who looks.
type late struct {
	transport.Conn
	done  chan struct{}
	close func()
}

func (l late) Done() <-chan struct{} { return l.done }

func (l late) Close(code transport.Code, text string) error {
	l.close()
	return l.Conn.Close(code, text)
}

func TestACallThatWasLostIsRepeatedOnAnotherConnection(t *testing.T) {
	s := newServer(t, nil)
	first, second := s.device(t), s.device(t)
	first.register("alice")
	var conns []transport.Conn
	first.reopen(func(ctx context.Context, address string, verify func(tls.ConnectionState) error) (transport.Conn, error) {
		conn, err := s.dial(ctx, address, verify)
		conns = append(conns, conn)
		done := make(chan struct{})
		return late{conn, done, sync.OnceFunc(func() { close(done) })}, err
	})
	linking, err := first.LinkStart(t.Context())
	check(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	joined := make(chan error, 1)
	go func() {
		_, err := second.LinkJoin(ctx, "alice", linking.Code, "", func(qpq.DeviceID) {})
		joined <- err
	}()
	check(t, conns[0].Close(transport.CodeDone, ""))
	_, err = linking.Wait(t.Context())
	if len(conns) != 2 || err != nil {
		t.Errorf("%d connections, %v", len(conns), err)
	}
	cancel()
	wants(t, <-joined, qpq.Unavailable, "cancelled")
}

// deaf is a connection that loses what the server says by itself.
type deaf struct{ transport.Conn }

func (d deaf) Accept(ctx context.Context) (transport.Stream, error) {
	for {
		stream, err := d.Conn.Accept(ctx)
		if err != nil {
			return nil, err
		}
		stream.Reset(transport.CodeDone)
	}
}

func TestWhoIsSupersededDoesNotFightBack(t *testing.T) {
	s := newServer(t, nil)
	s.supersedes(t, func(ctx context.Context, address string, verify func(tls.ConnectionState) error) (transport.Conn, error) {
		conn, err := s.dial(ctx, address, verify)
		return deaf{conn}, err
	})
}

// hasty is a connection whose end overtakes what the server said before it by itself: that is handed out, once, to who asks later.
type hasty struct {
	transport.Conn
	waiting chan transport.Stream // has room for one
}

func (h hasty) Accept(ctx context.Context) (transport.Stream, error) {
	select {
	case stream := <-h.waiting:
		return stream, nil
	default:
	}
	stream, err := h.Conn.Accept(ctx)
	if err != nil {
		return nil, err
	}
	<-h.Done()
	h.waiting <- stream
	return nil, net.ErrClosed
}

func TestWhoIsSupersededHearsItFromTheEndAlone(t *testing.T) {
	s := newServer(t, nil)
	s.supersedes(t, func(ctx context.Context, address string, verify func(tls.ConnectionState) error) (transport.Conn, error) {
		conn, err := s.dial(ctx, address, verify)
		return hasty{conn, make(chan transport.Stream, 1)}, err
	})
}

// reluctant is a listener whose connections take some seconds to end: so long the server answers, and knows the device no more.
type reluctant struct{ *mem.Listener }

func (l reluctant) Accept(ctx context.Context) (transport.Conn, error) {
	conn, err := l.Listener.Accept(ctx)
	return reluctantConn{conn}, err
}

type reluctantConn struct{ transport.Conn }

func (c reluctantConn) Close(code transport.Code, reason string) error {
	time.Sleep(3 * time.Second) // of the bubble
	return c.Conn.Close(code, reason)
}

func TestWhoIsSupersededHearsItInTheMiddleOfCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		s.Stop()
		l := mem.Listen("late")
		s.Start(reluctant{l})
		s.supersedes(t, func(ctx context.Context, _ string, _ func(tls.ConnectionState) error) (transport.Conn, error) {
			conn, err := l.Dial(ctx, "client")
			return deaf{conn}, err
		})
	})
}

// delayed is a connection of which what the server says by itself is read only after its end, when this end notes that.
type delayed struct {
	transport.Conn
	noted chan struct{}
	once  *sync.Once
}

func (d delayed) Accept(ctx context.Context) (transport.Stream, error) {
	stream, err := d.Conn.Accept(ctx)
	if err != nil {
		return nil, err
	}
	return delayedStream{stream, d.noted}, nil
}

func (d delayed) Close(code transport.Code, reason string) error {
	d.once.Do(func() { close(d.noted) })
	return d.Conn.Close(code, reason)
}

type delayedStream struct {
	transport.Stream
	noted chan struct{}
}

func (s delayedStream) Read(b []byte) (int, error) {
	<-s.noted
	return s.Stream.Read(b)
}

// TestWhoIsSupersededHearsItWhereTheEndSaysNothing: by TLS a connection ends without a reason.
func TestWhoIsSupersededHearsItWhereTheEndSaysNothing(t *testing.T) {
	s := newServer(t, nil)
	at := s.serveTLS("127.0.0.1:0", certify(t, newKey(), time.Now()))
	s.supersedes(t, func(ctx context.Context, _ string, verify func(tls.ConnectionState) error) (transport.Conn, error) {
		conn, err := dialTLS(ctx, at, verify)
		return delayed{conn, make(chan struct{}), new(sync.Once)}, err
	})
}

// supersedes has a device that reaches the server by dial be superseded: it says so, and leaves the other one alone.
func (s *server) supersedes(t *testing.T, dial client.Dialer) {
	t.Helper()
	d := s.device(t)
	d.register("alice")
	d.close()
	twin := &device{t: t, dir: t.TempDir()}
	check(t, copyFiles(d.dir, twin.dir))
	dialled := false
	d.open(func(ctx context.Context, address string, verify func(tls.ConnectionState) error) (transport.Conn, error) {
		if dialled {
			return nil, errors.New("it fights back")
		}
		dialled = true
		return dial(ctx, address, verify)
	})
	_, err := d.Whoami(t.Context())
	check(t, err)
	twin.open(s.dial)
	defer twin.close()
	_, err = twin.Whoami(t.Context())
	check(t, err)
	for { // until the news arrives that the connection has ended
		if _, err = d.Devices(t.Context()); err != nil {
			break
		}
	}
	wants(t, err, qpq.Conflict, "superseded")
	_, err = d.Whoami(t.Context())
	wants(t, err, qpq.Conflict, "superseded")
	_, err = twin.Devices(t.Context())
	check(t, err)
}
