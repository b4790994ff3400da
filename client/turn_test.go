package client_test

import (
	"context"
	"crypto/tls"
	"testing"
	"testing/synctest"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/transport"
)

func TestWhileAConnectionIsMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := must(profile.Open(profile.Config{Path: t.TempDir() + "/profile.db", Key: make([]byte, profile.KeySize)}))
		defer p.Close()
		c := client.New(client.Config{Profile: p, Server: domain, Dial: func(ctx context.Context, _ string, _ func(tls.ConnectionState) error) (transport.Conn, error) {
			<-ctx.Done() // nobody answers
			return nil, ctx.Err()
		}})
		first := make(chan error, 1)
		go func() { _, err := c.Whoami(t.Context()); first <- err }()
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		second := make(chan error, 1)
		go func() { _, err := c.Whoami(ctx); second <- err }()
		synctest.Wait()
		cancel()
		wants(t, <-second, qpq.Unavailable, "cancelled") // others can give up
		check(t, c.Close())                              // and so can who ends the program
		if err := <-first; err == nil {
			t.Error("a connection came of nothing")
		}
	})
}
