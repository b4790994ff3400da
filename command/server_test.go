package command_test

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/client/disk"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/command"
	"github.com/quicproquo/qpq/internal/testserver"
	"github.com/quicproquo/qpq/opaque"
)

// server is what the devices of a test talk with.
type server struct {
	*testserver.Server
	t *testing.T
}

func newServer(t *testing.T) *server {
	t.Helper()
	return &server{testserver.New(t, nil), t}
}

// device is a client with its person, who calls commands.
type device struct {
	person
	t       *testing.T
	profile *profile.Profile
	client  *client.Client
}

func (s *server) device() *device {
	s.t.Helper()
	p, err := profile.Open(profile.Config{Path: filepath.Join(s.t.TempDir(), "profile.db"), Key: make([]byte, profile.KeySize)})
	check(s.t, err)
	d := &device{t: s.t, profile: p, person: person{answers: map[string]string{"password": "correct horse battery"}}}
	s.open(d)
	s.t.Cleanup(func() { check(s.t, errors.Join(d.client.Close(), p.Close())) })
	return d
}

// open begins with what the profile holds.
func (s *server) open(d *device) {
	d.client = client.New(client.Config{Profile: d.profile, Server: testserver.Domain, KSF: opaque.Identity, Files: disk.Files{}, Backoff: time.Millisecond,
		Notice: func(client.Notice) {}, Dial: s.Dial})
}

// registered is a device of a new account.
func (s *server) registered(name string) *device {
	s.t.Helper()
	d := s.device()
	d.run("register", "user", name)
	return d
}

// try runs a command. Its arguments are names, each with a value.
func (d *device) try(ctx context.Context, name string, args ...any) (command.Output, error) {
	d.t.Helper()
	values := map[string]any{}
	for i := 0; i < len(args); i += 2 {
		values[args[i].(string)] = args[i+1]
	}
	raw, err := json.Marshal(values)
	check(d.t, err)
	return find(d.t, name).Run(ctx, &command.Env{Client: d.client, UI: d}, raw)
}

// run runs a command that succeeds, and returns its result as programs see it.
func (d *device) run(name string, args ...any) map[string]any {
	d.t.Helper()
	out, err := d.try(d.t.Context(), name, args...)
	if err != nil {
		d.t.Fatalf("%s %v: %v", name, args, err)
	}
	value := map[string]any{}
	raw, err := json.Marshal(out.Value)
	check(d.t, err)
	if strings.HasPrefix(string(raw), "{") {
		check(d.t, json.Unmarshal(raw, &value))
	}
	return value
}

// texts runs a command and returns the texts of the messages that it gives.
func (d *device) texts(name string, args ...any) (list []string) {
	d.t.Helper()
	d.results = nil
	d.run(name, args...)
	for _, o := range d.results {
		if e := o.Value.(command.EntryJSON); e.Type == "message" {
			list = append(list, e.Text)
		}
	}
	return list
}
