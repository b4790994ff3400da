package mem_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/transport/mem"
	"github.com/quicproquo/qpq/transport/transporttest"
)

func TestSuite(t *testing.T) {
	transporttest.Run(t, transporttest.Carrier{Codes: true, Lanes: 128, Goroutines: 2, Objects: 10, Stacks: 6, Listen: func(*testing.T, *tls.Config, *tls.Config) (transport.Listener, func(context.Context) (transport.Conn, error)) {
		l := mem.Listen("server")
		return l, func(ctx context.Context) (transport.Conn, error) { return l.Dial(ctx, "client") }
	}})
}

// TestServerThatGoesAwayAgainAndAgain has a call under way while the server says without end that it goes away: the client
// waits for the call once, and goes.
func TestServerThatGoesAwayAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := mem.Pipe("client", "server")
		s := transport.NewSession(client, transport.SessionConfig{})
		called := make(chan error, 1)
		go func() {
			_, _, err := s.Call(t.Context(), 0, nil)
			called <- err
		}()
		lane, err := server.Accept(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			pushed, err := server.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := pushed.Write(bytes.Repeat([]byte{0, 0, 0, 0, 1, 0, 0, 0}, 1000)); err != nil {
				t.Fatal(err)
			}
			if err := pushed.CloseWrite(); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		if n := bytes.Count(stacks, []byte("transport.(*Session).leave(")); n != 1 {
			t.Errorf("%d goroutines wait for the call to end", n)
		}
		if _, err := lane.Write(make([]byte, 8)); err != nil { // the reply
			t.Fatal(err)
		}
		if err := <-called; err != nil {
			t.Errorf("the call: %v", err)
		}
		<-server.Done()
		_ = s.Close()
	})
}
