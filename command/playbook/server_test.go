package playbook_test

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/command"
	"github.com/quicproquo/qpq/command/playbook"
	"github.com/quicproquo/qpq/internal/testserver"
	"github.com/quicproquo/qpq/opaque"
)

// server is what the people of a playbook talk by.
type server struct {
	*testserver.Server
	t *testing.T
}

func newServer(t *testing.T) *server {
	t.Helper()
	return &server{testserver.New(t, nil), t}
}

// session is a real client on a profile in a file.
type session struct {
	profile *profile.Profile
	client  *client.Client
}

// Call implements playbook.Session.
func (s *session) Call(ctx context.Context, c *command.Command, args json.RawMessage, ui command.UI) (command.Output, error) {
	return c.Run(ctx, &command.Env{Client: s.client, UI: ui}, args)
}

// Close implements playbook.Session.
func (s *session) Close() error { return errors.Join(s.client.Close(), s.profile.Close()) }

// open opens a temporary profile.
func (s *server) open(dir string) func(context.Context, playbook.Profile) (playbook.Session, error) {
	return func(_ context.Context, of playbook.Profile) (playbook.Session, error) {
		p, err := profile.Open(profile.Config{Path: filepath.Join(dir, of.User+".db"), Key: make([]byte, profile.KeySize)})
		if err != nil {
			return nil, err
		}
		return &session{p, client.New(client.Config{Profile: p, Server: "example.org", KSF: opaque.Identity, Backoff: time.Millisecond,
			Notice: func(n client.Notice) { of.Notice(n.Text) }, Dial: s.Dial})}, nil
	}
}

// played is what a run came to.
type played struct {
	mu      sync.Mutex
	events  []playbook.Event
	junit   playbook.JUnit
	summary *playbook.Summary
	err     error
}

// play plays a text. with may change what is given to it.
func (s *server) play(ctx context.Context, name, text string, with func(*playbook.Config)) *played {
	s.t.Helper()
	book, err := playbook.Load(name, []byte(text))
	check(s.t, err)
	out := &played{}
	temp := s.t.TempDir()
	cfg := playbook.Config{Open: s.open(temp), Temp: temp, Lookup: func(string) (string, bool) { return "", false },
		Read: func(path string) ([]byte, error) { return nil, errors.New("there is no " + path) },
		Report: func(e playbook.Event) {
			out.junit.Report(e)
			out.mu.Lock()
			defer out.mu.Unlock()
			out.events = append(out.events, e)
		}}
	if with != nil {
		with(&cfg)
	}
	out.summary, out.err = book.Play(ctx, cfg)
	return out
}

// steps are the events of steps that have a status.
func (p *played) steps(status string) (list []playbook.Event) {
	for _, e := range p.events {
		if e.Event == "step" && e.Status == status {
			list = append(list, e)
		}
	}
	return list
}
