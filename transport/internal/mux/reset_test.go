package mux

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/hashicorp/yamux"

	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/transport/internal/testcert"
)

// TestResetWhereNothingIsTaken gives up a stream while a Write of it waits for a peer that takes nothing more. The Write fails because
// the connection, which is of no use, is ended for it, not because yamux has waited long enough.
func TestResetWhereNothingIsTaken(t *testing.T) {
	here, there := testcert.Pair(t)
	near, far := net.Pipe() // holds nothing on the way
	defer far.Close()
	peer, server := tls.Client(far, there), tls.Server(near, here)
	begun := make(chan struct{})
	go func() {
		defer close(begun)
		_, err := peer.Write(frame(typeWindow, flagSYN, 1, 0))
		if err == nil { // that the stream is accepted, and that data comes
			_, err = io.ReadFull(peer, make([]byte, 2*headerSize))
		}
		if err != nil {
			t.Error(err)
		}
	}()
	c, err := Server(server, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	written := make(chan error)
	go func() {
		_, err := s.Write(make([]byte, 64<<10))
		written <- err
	}()
	<-begun
	s.Reset(transport.CodeSlow)
	if err := <-written; !errors.Is(err, yamux.ErrSessionShutdown) {
		t.Errorf("the write ended with %v", err)
	}
	<-c.Done()
}
