package command_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/internal/testserver"
	"github.com/quicproquo/qpq/opaque"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/wire"
)

// cutting is a connection that ends, once it is to, when the answer to a commit has come.
type cutting struct {
	transport.Conn
	cut *atomic.Bool
}

func (c cutting) Open(ctx context.Context) (transport.Stream, error) {
	s, err := c.Conn.Open(ctx)
	return &cuttingStream{s, c, false}, err
}

type cuttingStream struct {
	transport.Stream
	conn cutting
	last bool
}

func (s *cuttingStream) Write(b []byte) (int, error) {
	if len(b) >= 8 && binary.LittleEndian.Uint16(b[4:]) == (wire.ChannelCommit{}).Method().Ordinal && s.conn.cut.Swap(false) {
		s.last = true
	}
	return s.Stream.Write(b)
}

func (s *cuttingStream) Read(b []byte) (int, error) {
	n, err := s.Stream.Read(b)
	if s.last {
		_ = s.conn.Close(transport.CodeDone, "")
		return 0, net.ErrClosed
	}
	return n, err
}

// TestAChangeThatTheServerTookIsNotMadeAgain: the connection ends after the server took a change and before it could say so. The person is told not to ask
// again, and the change is made once.
func TestAChangeThatTheServerTookIsNotMadeAgain(t *testing.T) {
	s := newServer(t)
	alice := s.registered("alice")
	alice.run("group create", "name", "team")
	check(t, alice.client.Close())
	var cut atomic.Bool
	alice.client = client.New(client.Config{Profile: alice.profile, Server: testserver.Domain, KSF: opaque.Identity, Backoff: time.Millisecond,
		Dial: func(ctx context.Context, address string, verify func(tls.ConnectionState) error) (transport.Conn, error) {
			conn, err := s.Dial(ctx, address, verify)
			return cutting{conn, &cut}, err
		}})
	epoch := func() uint64 {
		v, err := alice.client.FindConversation("team")
		check(t, err)
		return v.Epoch
	}
	before := epoch()
	cut.Store(true)
	_, err := alice.try(t.Context(), "update-key", "conversation", "team")
	if !errors.Is(err, qpq.Unavailable) || qpq.CodeOf(err) != "queued" || !strings.Contains(err.Error(), "do not ask for it again") {
		t.Errorf("update-key: %v", err)
	}
	if out, err := alice.try(t.Context(), "outbox list"); err != nil || strings.Count(out.Text, "(trying)") != 1 {
		t.Errorf("%q waits, %v", out.Text, err)
	}
	alice.run("outbox flush")
	if n := epoch() - before; n != 1 {
		t.Errorf("the keys were updated %d times", n)
	}
	if out, err := alice.try(t.Context(), "outbox list"); err != nil || strings.Contains(out.Text, "(trying)") {
		t.Errorf("%q still waits, %v", out.Text, err)
	}
}
