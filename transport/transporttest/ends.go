package transporttest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/transport/internal/testcert"
)

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

func testRefused(t *testing.T, c Carrier) {
	r := start(t, c, transport.Limits{})
	r.server.refuse.Store(true)
	conn, err := r.dial(t.Context())
	switch {
	case err == nil:
		s := transport.NewSession(conn, transport.SessionConfig{})
		defer s.Close()
		if _, _, err = s.Call(t.Context(), echo, nil); !errors.Is(err, qpq.Unavailable) {
			t.Errorf("call on a refused connection: %v", err)
		}
		<-s.Done()
	case !c.Codes: // else the refusal may be there before the handshake is seen to be done
		t.Fatal(err)
	}
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
