package mux

import (
	"net"
	"testing"

	"github.com/quicproquo/qpq/transport"
)

// TestEndWhileSomebodyWaits ends a connection while a stream is read, and one written that takes no more. Both fail, also where a
// goroutine that does not rest lets no other run: js/wasm.
func TestEndWhileSomebodyWaits(t *testing.T) {
	near, far := net.Pipe()
	peer := func() transport.Peer { return transport.Peer{} }
	client, err := Client(near, peer)
	if err != nil {
		t.Fatal(err)
	}
	server, err := Server(far, peer)
	if err != nil {
		t.Fatal(err)
	}
	pair := func() (here, there transport.Stream) {
		here, err := client.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := here.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if there, err = server.Accept(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := there.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		return here, there
	}
	here, there := pair()
	_, stuffed := pair()
	ended, full := make(chan error, 3), make(chan struct{})
	for _, s := range []transport.Stream{here, there} {
		go func() {
			_, err := s.Read(make([]byte, 1))
			ended <- err
		}()
	}
	go func() {
		for n, chunk := 0, make([]byte, 64<<10-1); ; n++ {
			if n == 4 { // what is left of the window is less than what comes
				close(full)
			}
			if _, err := stuffed.Write(chunk); err != nil {
				ended <- err
				return
			}
		}
	}()
	<-full
	if err := client.Close(transport.CodeDone, ""); err != nil {
		t.Error(err)
	}
	for range 3 {
		if err := <-ended; err == nil {
			t.Error("it did not fail")
		}
	}
	<-client.Done()
	<-server.Done()
}

// TestAStreamThatIsNotCounted opens a stream whose beginning never went out, as happens while a connection ends: it fails, and no more.
func TestAStreamThatIsNotCounted(t *testing.T) {
	near, far := net.Pipe()
	peer := func() transport.Peer { return transport.Peer{} }
	client, err := Client(near, peer)
	if err != nil {
		t.Fatal(err)
	}
	server, err := Server(far, peer)
	if err != nil {
		t.Fatal(err)
	}
	c := client.(*conn)
	s, err := c.mux.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	c.guard.mu.Lock()
	delete(c.guard.flows, s.StreamID())
	c.guard.mu.Unlock()
	c.opened <- struct{}{}
	lost, err := c.opened.stream(c.guard, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lost.Read(make([]byte, 1)); err == nil {
		t.Error("it was read")
	}
	for _, end := range []transport.Conn{client, server} {
		if err := end.Close(transport.CodeDone, ""); err != nil {
			t.Error(err)
		}
		<-end.Done()
	}
}
