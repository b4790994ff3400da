package repl_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/client/disk"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/command"
	"github.com/quicproquo/qpq/command/repl"
	"github.com/quicproquo/qpq/command/repl/editor"
	"github.com/quicproquo/qpq/internal/testserver"
	"github.com/quicproquo/qpq/opaque"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// server is what the sessions of a test talk with.
type server struct {
	*testserver.Server
	t *testing.T
}

func newServer(t *testing.T) *server {
	t.Helper()
	return &server{testserver.New(t, nil), t}
}

// sitter is somebody at a session: what they type goes in, and what they see comes out.
type sitter struct {
	t     *testing.T
	in    *io.PipeWriter
	ended chan error

	mu   sync.Mutex
	seen strings.Builder
	past int // how much of it was expected
	more chan struct{}
}

func (s *sitter) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen.Write(b)
	select {
	case s.more <- struct{}{}:
	default:
	}
	return len(b), nil
}

func (s *sitter) types(text string) {
	_, err := io.WriteString(s.in, text)
	check(s.t, err)
}

// sees waits until something is shown.
func (s *sitter) sees(text string) {
	s.t.Helper()
	late := time.After(time.Minute)
	for {
		s.mu.Lock()
		at := strings.Index(s.seen.String()[s.past:], text)
		if at >= 0 {
			s.past += at + len(text)
		}
		s.mu.Unlock()
		if at >= 0 {
			return
		}
		select {
		case <-s.more:
		case <-late:
			s.t.Fatalf("%q is never shown:\n%s", text, s.seen.String())
		}
	}
}

// sits begins a session, with a line editor or without.
func (s *server) sits(edits bool) *sitter {
	t := s.t
	p, err := profile.Open(profile.Config{Path: filepath.Join(t.TempDir(), "profile.db"), Key: make([]byte, profile.KeySize)})
	check(t, err)
	in, out := io.Pipe()
	who := &sitter{t: t, in: out, ended: make(chan error, 1), more: make(chan struct{}, 1)}
	var r *repl.REPL
	c := client.New(client.Config{Profile: p, Server: testserver.Domain, KSF: opaque.Identity, Files: disk.Files{}, Backoff: time.Millisecond, Dial: s.Dial,
		Notice: func(n client.Notice) { r.Notice(n) }})
	cfg := repl.Config{Person: edits, DeviceName: "desk", Call: func(ctx context.Context, q *command.Command, args json.RawMessage, ui command.UI) (command.Output, error) {
		return q.Run(ctx, &command.Env{Client: c, UI: ui}, args)
	}}
	if edits {
		e := editor.New(editor.Config{In: in, Out: who, Size: func() (int, int) { return 80, 24 },
			Complete: func(before string) (int, []string) { return r.Complete(before) }}, editor.Prompt{Text: "> "})
		t.Cleanup(e.Close)
		cfg.Console = repl.Terminal(e, func(string) ([]byte, bool, error) { return nil, false, nil })
	} else {
		cfg.Console = repl.NewPlain(in, who, who, false, nil, nil)
	}
	r = repl.New(cfg)
	if !edits {
		w, err := client.NewPassword([]byte("correct horse battery"))
		check(t, err)
		_, err = c.Register(t.Context(), client.Registration{User: "bob", Password: w})
		check(t, err)
	}
	go func() { who.ended <- r.Run(context.Background()) }()
	t.Cleanup(func() {
		_ = out.Close()
		check(t, errors.Join(c.Close(), p.Close()))
	})
	return who
}

// TestSessions: one with a line editor and one of lines talk, over an outage too.
func TestSessions(t *testing.T) {
	s := newServer(t)
	bob, alice := s.sits(false), s.sits(true)
	alice.sees("Do you have an account already?")
	alice.types("what\r")
	alice.sees("answer y or n")
	alice.sees("already? [y/N] ")
	alice.types("\r")
	alice.sees("Name: ")
	alice.types("alice\r")
	alice.sees("Choose a password: ")
	alice.types("correct horse battery\r")
	alice.sees("Again: ")
	alice.types("correct horse battery\r/help dm\r") // nothing that is typed early is lost
	alice.sees("You are alice@example.org")
	alice.sees("/dm USER [TEXT]")
	alice.types("/dm b\t\x15/dm bob\r")
	alice.sees("is open")
	alice.types("hello\r")
	alice.sees("alice: hello")
	bob.sees("[alice] hello")
	picture := filepath.Join(t.TempDir(), "x.bin")
	check(t, os.WriteFile(picture, make([]byte, 3<<20), 0o600))
	alice.types("/send-file " + picture + "\r")
	alice.sees("(x.bin 100%)")
	alice.sees("x.bin is sent")
	bob.types("/recv\n")
	bob.sees("alice: hello")
	bob.types("/switch alice@example.org\n")
	bob.types("hi alice\n")
	alice.sees("bob: hi alice")
	s.Stop()
	alice.sees("offline: ")
	alice.types("are you there?\r")
	alice.sees("alice (queued): are you there?")
	bob.sees("offline: ")
	bob.types("now I am\n")
	check(t, bob.in.Close())
	bob.sees("waiting for the server to take")
	s.Start()
	alice.sees("bob: now I am")
	check(t, <-bob.ended)
	alice.types("\x03")
	alice.sees("Ctrl-C once more")
	alice.types("\x03")
	check(t, <-alice.ended)
	if strings.Contains(alice.seen.String(), "horse") {
		t.Error("the password is shown")
	}
}
