package command_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/command"
)

// spectator hands on what it is shown.
type spectator struct {
	person
	seen chan command.EntryJSON
}

func newSpectator() *spectator { return &spectator{seen: make(chan command.EntryJSON, 100)} }

func (s *spectator) Result(o command.Output) error {
	var e command.EntryJSON
	raw, err := json.Marshal(o.Value)
	if err == nil {
		err = json.Unmarshal(raw, &e)
	}
	s.seen <- e
	return err
}

// next returns the text of the next message.
func (s *spectator) next() string {
	for e := range s.seen {
		if e.Type == "message" {
			return e.Text
		}
	}
	return ""
}

// shared is a device whose client takes the commands of other processes.
func (d *device) shared() (call func(ctx context.Context, ui command.UI, name, args string) (command.Output, error), end func()) {
	d.t.Helper()
	path := filepath.Join(d.t.TempDir(), "socket")
	l, err := net.Listen("unix", path)
	check(d.t, err)
	h := &command.Holder{Client: d.client, Release: "1"}
	var served sync.WaitGroup
	served.Go(func() { check(d.t, h.Serve(context.Background(), l)) })
	end = sync.OnceFunc(func() { // waits for all commands
		check(d.t, l.Close())
		served.Wait()
	})
	d.t.Cleanup(end)
	return func(ctx context.Context, ui command.UI, name, args string) (command.Output, error) {
		conn, err := net.Dial("unix", path)
		check(d.t, err)
		return command.Handover(ctx, conn, command.Request{Release: "1", Command: name, Args: json.RawMessage(args)}, ui)
	}, end
}

func TestWatchIsHandedOver(t *testing.T) {
	s := newServer(t)
	alice, bob := s.registered("alice"), s.registered("bob")
	alice.run("dm", "user", "bob")
	call, end := alice.shared()
	watching, cancel := context.WithCancel(t.Context())
	var watchers sync.WaitGroup
	var seen [3]*spectator // several at once: one of them does the work
	for i := range seen {
		seen[i] = newSpectator()
		watchers.Go(func() {
			if _, err := call(watching, seen[i], "watch", `{"after": 0}`); qpq.CodeOf(err) != "cancelled" {
				t.Errorf("a watch ended with %v", err)
			}
		})
	}
	bob.run("send", "conversation", "alice", "text", "ping")
	for _, w := range seen {
		if got := w.next(); got != "ping" {
			t.Errorf("saw %q", got)
		}
	}
	if _, err := call(t.Context(), &person{}, "send", `{"conversation": "bob", "text": "pong"}`); err != nil {
		t.Errorf("a command meanwhile: %v", err)
	}
	for _, w := range seen {
		if got := w.next(); got != "pong" {
			t.Errorf("saw %q", got)
		}
	}
	cancel()
	watchers.Wait()
	end() // would wait for ever for a watch that goes on
	if got := bob.texts("recv"); !slices.Equal(got, []string{"pong"}) {
		t.Errorf("bob received %q", got)
	}
}

func TestAWatchGoesOnWhenAnotherEnds(t *testing.T) {
	s := newServer(t)
	alice, bob := s.registered("alice"), s.registered("bob")
	alice.run("dm", "user", "bob")
	call, _ := alice.shared()
	first, stopFirst := context.WithCancel(t.Context())
	second, stopSecond := context.WithCancel(t.Context())
	var watchers sync.WaitGroup
	start := func(ctx context.Context) *spectator {
		w := newSpectator()
		watchers.Go(func() { _, _ = call(ctx, w, "watch", `{"after": 0, "conversation": "bob"}`) })
		return w
	}
	a := start(first)
	bob.run("send", "conversation", "alice", "text", "one")
	a.next()
	b := start(second)
	b.next()
	stopFirst()
	bob.run("send", "conversation", "alice", "text", "two")
	if got := b.next(); got != "two" {
		t.Errorf("saw %q", got)
	}
	stopSecond()
	watchers.Wait()
}

func TestReceiversThatWaitShareWhatComes(t *testing.T) {
	s := newServer(t)
	alice, bob := s.registered("alice"), s.registered("bob")
	alice.run("dm", "user", "bob")
	call, _ := alice.shared()
	ctx, cancel := context.WithCancel(t.Context())
	var receivers sync.WaitGroup
	all := newSpectator()
	for range 2 {
		receivers.Go(func() {
			if _, err := call(ctx, all, "recv", `{"wait": "10m"}`); err != nil && qpq.CodeOf(err) != "cancelled" {
				t.Errorf("a receiver ended with %v", err)
			}
		})
	}
	var got []string
	for _, text := range []string{"one", "two"} {
		bob.run("send", "conversation", "alice", "text", text)
		got = append(got, all.next())
	}
	cancel() // one may have taken both
	receivers.Wait()
	if !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("received %q", got)
	}
	select {
	case e := <-all.seen:
		t.Errorf("received %v too", e)
	default:
	}
}

// deaf is somebody whose output is full.
type deaf struct{ person }

func (deaf) Result(command.Output) error { return errFull }

func TestWhatACallerCouldNotShowComesAgain(t *testing.T) {
	s := newServer(t)
	alice, bob := s.registered("alice"), s.registered("bob")
	alice.run("dm", "user", "bob")
	bob.run("send", "conversation", "alice", "text", "hello")
	call, _ := alice.shared()
	if _, err := call(t.Context(), &deaf{}, "recv", `{}`); qpq.CodeOf(err) != errFull.Code {
		t.Errorf("got %v", err)
	}
	w := newSpectator()
	if _, err := call(t.Context(), w, "recv", `{}`); err != nil {
		t.Fatal(err)
	}
	if got := w.next(); got != "hello" {
		t.Errorf("then %q", got)
	}
}

func TestAWatchMovesWhenItsHolderEnds(t *testing.T) {
	s := newServer(t)
	alice, bob := s.registered("alice"), s.registered("bob")
	alice.run("dm", "user", "bob")
	call, end := alice.shared()
	w, moved := newSpectator(), make(chan error, 1)
	go func() {
		_, err := call(t.Context(), w, "watch", `{"after": 0, "conversation": "bob"}`)
		moved <- err
	}()
	bob.run("send", "conversation", "alice", "text", "one")
	last := <-w.seen
	for last.Text != "one" {
		last = <-w.seen
	}
	end()
	var m *command.Moved
	if err := <-moved; !errors.As(err, &m) {
		t.Fatalf("ended with %v", err)
	}
	var args struct {
		After        int64
		Conversation string
	}
	check(t, json.Unmarshal(m.Args, &args))
	if args.After != last.Position || args.Conversation != "bob" {
		t.Errorf("it is to go on with %s, after %d", m.Args, last.Position)
	}
}

func TestAHolderThatIsInterruptedLetsCallersGo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	path := filepath.Join(t.TempDir(), "socket")
	l, err := net.Listen("unix", path)
	check(t, err)
	h := &command.Holder{Client: offline(t), Release: "1"}
	var served sync.WaitGroup
	served.Go(func() { check(t, h.Serve(ctx, l)) })
	conn, err := net.Dial("unix", path)
	check(t, err)
	s := &silent{asked: make(chan struct{})}
	go func() {
		<-s.asked
		cancel()
	}()
	begun, stop := context.WithCancel(t.Context())
	defer stop()
	go func() { // the person is asked for ever: what ends this is that the holder does
		<-ctx.Done()
		check(t, l.Close())
		served.Wait()
		stop()
	}()
	_, err = command.Handover(begun, conn, command.Request{Release: "1", Command: "login", Args: json.RawMessage(`{"user": "alice"}`)}, s)
	if qpq.KindOf(err) != qpq.Unavailable {
		t.Errorf("got %v", err)
	}
}
