package clients_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/client/conversation"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/internal/clients"
	"github.com/quicproquo/qpq/internal/testserver"
	"github.com/quicproquo/qpq/mls/message"
	"github.com/quicproquo/qpq/opaque"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/wire"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// person is a whole client with its profile.
type person struct {
	*client.Client
	profile *profile.Profile
}

func join(t *testing.T, s *testserver.Server, name string) person {
	t.Helper()
	p, err := profile.NewMemory(nil).Open(bytes.Repeat([]byte{7}, profile.KeySize))
	check(t, err)
	c := client.New(client.Config{Profile: p, Dial: s.Dial, Server: testserver.Domain, KSF: opaque.Identity, Notice: func(client.Notice) {}})
	t.Cleanup(func() { check(t, errors.Join(c.Close(), p.Close())) })
	password, err := client.NewPassword([]byte("correct horse battery " + name))
	check(t, err)
	_, err = c.Register(t.Context(), client.Registration{User: name, Password: password, DeviceName: "first"})
	check(t, err)
	return person{c, p}
}

// reader is a connection as the device of a person, whose inbox is read and whose calls are counted.
type reader struct {
	*transport.Session
	*clients.Inbox

	mu    sync.Mutex
	calls map[uint16]int
	taken []uint64
	fail  error         // of take
	late  time.Duration // of the bubble, that an acknowledgement takes
}

func (r *reader) Call(ctx context.Context, method uint16, request []byte) (uint16, []byte, error) {
	r.mu.Lock()
	r.calls[method]++
	late := r.late
	r.mu.Unlock()
	if method == (wire.InboxAck{}).Method().Ordinal {
		time.Sleep(late)
	}
	return r.Session.Call(ctx, method, request)
}

// did returns how many rows were taken, fetches and acknowledgements were made since it was asked last.
func (r *reader) did() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := fmt.Sprintf("%d taken, %d fetched, %d acknowledged", len(r.taken), r.calls[wire.InboxFetch{}.Method().Ordinal], r.calls[wire.InboxAck{}.Method().Ordinal])
	clear(r.calls)
	r.taken = nil
	return s
}

func (r *reader) failing(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail = err
}

func read(t *testing.T, s *testserver.Server, p person) *reader {
	t.Helper()
	a, err := p.profile.Account()
	check(t, err)
	conn, err := s.Dial(t.Context(), "", nil)
	check(t, err)
	r := &reader{calls: map[uint16]int{}}
	r.Inbox = clients.NewInbox(r, clients.Position{}, func(row wire.InboxRow) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.fail == nil {
			r.taken = append(r.taken, row.Sequence)
		}
		return r.fail
	})
	r.Session = transport.NewSession(conn, transport.SessionConfig{Push: r.Pushed})
	t.Cleanup(func() { _ = r.Session.Close() })
	challenge, err := wire.Call(t.Context(), r, wire.AuthChallenge{})
	check(t, err)
	statement := identity.Session{Domain: testserver.Domain, User: a.User, Device: a.Device.ID(), Counter: a.Counter + 1, Nonce: challenge.Nonce}
	signature, err := a.Device.SignSession(statement)
	check(t, err)
	_, err = wire.Call(t.Context(), r, wire.Authenticate{User: a.User, Device: a.Device.ID(), Counter: a.Counter + 1, Signature: signature})
	check(t, err)
	return r
}

// TestInbox: what is pushed is taken without a call, what is not is fetched, and acknowledgements wait for one another.
func TestInbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := testserver.New(t, nil)
		alice, bob := join(t, s, "alice"), join(t, s, "bob")
		id, err := alice.Direct(t.Context(), qpq.UserID{Name: "bob", Domain: testserver.Domain})
		check(t, err)
		says := func(texts ...string) {
			t.Helper()
			for _, text := range texts {
				m, err := alice.SendText(t.Context(), id, text)
				check(t, err)
				check(t, alice.Sync(t.Context()))
				check(t, alice.Wait(t.Context(), id, m))
			}
		}
		says("one", "two")
		r := read(t, s, bob)
		check(t, r.Drain(t.Context()))
		did := func(what, want string) {
			t.Helper()
			time.Sleep(3 * time.Second) // of the bubble
			synctest.Wait()
			if got := r.did(); got != want {
				t.Errorf("%s: %s, not %s", what, got, want)
			}
		}
		did("what was there", "4 taken, 1 fetched, 1 acknowledged") // the conversation, the welcome, and both

		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		follow := func() { ended <- r.Follow(ctx) }
		go follow()
		says("three", "four", "five")
		did("small ones", "3 taken, 0 fetched, 1 acknowledged")
		says(strings.Repeat("large ", 1000))
		did("a large one", "1 taken, 1 fetched, 1 acknowledged")
		junk := &message.PrivateMessage{GroupID: conversation.GroupID(id, 0), Epoch: 1, Type: message.ContentApplication, EncryptedSenderData: []byte("bob"), Ciphertext: []byte("junk")}
		own := wire.Send{Channel: id, ID: [16]byte{1}, Payload: (&message.Message{Private: junk}).Marshal()}
		reply, err := wire.Call(t.Context(), r, own)
		check(t, err)
		r.Sent(reply)
		says("six")
		did("an own one, and another", "1 taken, 0 fetched, 1 acknowledged")
		for i := range 130 {
			own.ID = [16]byte{2, byte(i)}
			reply, err := wire.Call(t.Context(), r, own)
			check(t, err)
			r.Sent(reply)
			synctest.Wait()
		}
		did("many", "0 taken, 0 fetched, 3 acknowledged")
		r.Missed()
		did("perhaps something", "0 taken, 1 fetched, 0 acknowledged")

		r.mu.Lock()
		r.late = time.Minute
		r.mu.Unlock()
		says("acknowledged slowly")
		did("one of which the acknowledgement takes long", "1 taken, 0 fetched, 1 acknowledged")
		says("meanwhile")
		did("one meanwhile", "1 taken, 0 fetched, 0 acknowledged")
		r.mu.Lock()
		r.late = 0
		r.mu.Unlock()
		time.Sleep(time.Minute) // of the bubble
		did("after it", "0 taken, 0 fetched, 1 acknowledged")

		bad := errors.New("cannot be taken")
		r.failing(bad)
		says("seven")
		if err := <-ended; err != bad {
			t.Errorf("it ended with %v", err)
		}
		r.failing(nil)
		go follow()
		says("eight")
		did("what could not be taken comes again", "2 taken, 1 fetched, 1 acknowledged")
		says("nine")
		stop()
		check(t, <-ended)
		check(t, r.Acknowledge(t.Context()))
		if at := r.Position(); at.Read != at.Acknowledged {
			t.Errorf("%+v", at)
		}
	})
}
