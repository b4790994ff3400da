package client_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/client/conversation"
	"github.com/quicproquo/qpq/mls/message"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/wire"
)

// slowly is a network on which what is pushed is not read before it may be.
type slowly struct {
	dial client.Dialer
	may  chan struct{}

	mu   sync.Mutex
	read []byte // of what was pushed
}

func (n *slowly) connect(ctx context.Context, address string, verify func(tls.ConnectionState) error) (transport.Conn, error) {
	conn, err := n.dial(ctx, address, verify)
	return slowConn{conn, n}, err
}

type slowConn struct {
	transport.Conn
	n *slowly
}

func (c slowConn) Accept(ctx context.Context) (transport.Stream, error) {
	s, err := c.Conn.Accept(ctx)
	return slowStream{s, c.n}, err
}

type slowStream struct {
	transport.Stream
	n *slowly
}

func (s slowStream) Read(b []byte) (int, error) {
	<-s.n.may
	k, err := s.Stream.Read(b)
	s.n.mu.Lock()
	defer s.n.mu.Unlock()
	s.n.read = append(s.n.read, b[:k]...)
	return k, err
}

// pushed counts what was read, by kind.
func (n *slowly) pushed(t *testing.T) (lagging, account int) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	for b := n.read; len(b) >= 8; {
		length := 8 + binary.LittleEndian.Uint32(b)
		switch e := must(wire.Unmarshal[wire.Push](b[8:length])).Event.(type) {
		case wire.AccountPush:
			account++
		case wire.InboxPush:
			if e.Sequence == 0 {
				lagging++
			}
		}
		b = b[length:]
	}
	return lagging, account
}

// TestASlowDeviceLearnsThatItsAccountChanged on the connection that it has, though others filled what may wait for it.
func TestASlowDeviceLearnsThatItsAccountChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		alice, bob, id := friends(t, s)
		network := &slowly{dial: s.dial, may: make(chan struct{})}
		read := sync.OnceFunc(func() { close(network.may) })
		defer read()
		alice.reopen(network.connect)
		check(t, alice.Sync(t.Context()))
		for range 150 { // what is on its way
			must(bob.SendText(t.Context(), id, strings.Repeat("x", 1800)))
		}
		check(t, bob.Sync(t.Context()))
		x := s.steal(t, bob)
		junk := &message.PrivateMessage{GroupID: conversation.GroupID(id, 0), Epoch: 1, Type: message.ContentApplication, EncryptedSenderData: []byte("bob"), Ciphertext: []byte("junk")}
		for i := range 1200 { // and what waits behind it
			_, err := wire.Call(t.Context(), x, wire.Send{Channel: id, ID: [16]byte{1, byte(i >> 8), byte(i)}, Payload: (&message.Message{Private: junk}).Marshal()})
			check(t, err)
		}
		_, err := s.device(t).Login(t.Context(), "alice", with(secret), "phone")
		check(t, err)
		if alice.noticed("device-added") {
			t.Fatal("it reads what is pushed: this shows nothing")
		}
		read()
		time.Sleep(time.Second) // of the bubble: the server takes its time for some answers
		synctest.Wait()
		if lagging, account := network.pushed(t); lagging == 0 || account > 0 {
			t.Fatalf("%d pushes were about the account, and %d said that some were left out: this shows nothing", account, lagging)
		}
		if !alice.noticed("device-added") {
			t.Errorf("it was told %v", alice.notices)
		}
	})
}
