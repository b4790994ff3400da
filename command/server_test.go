package command_test

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/client/disk"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/command"
	"github.com/quicproquo/qpq/node"
	"github.com/quicproquo/qpq/opaque"
	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/store/folder"
	"github.com/quicproquo/qpq/store/sqlite"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/transport/mem"
)

// server is a real server that is reached through memory.
type server struct {
	t        *testing.T
	path     string
	cfg      node.Config
	listener *mem.Listener
	stop     func()
}

func newServer(t *testing.T) *server {
	t.Helper()
	setup, err := opaque.NewServerSetup(opaque.Configuration{})
	check(t, err)
	_, key, err := ed25519.GenerateKey(nil)
	check(t, err)
	s := &server{t: t, path: filepath.Join(t.TempDir(), "qpq.db")}
	s.cfg = node.Config{Domain: "example.org", Passwords: opaque.NewServer(opaque.Configuration{}, setup), SigningKey: key,
		Limits: node.Limits{AddressRate: 1e6, AccountRate: 1e6, PasswordFloor: time.Nanosecond, LookupFloor: time.Nanosecond}}
	s.start()
	t.Cleanup(func() { s.stop() })
	return s
}

func (s *server) start() {
	engine, err := sqlite.Open(context.Background(), sqlite.Config{Path: s.path})
	check(s.t, err)
	blobs, err := folder.Open(s.path + ".files")
	check(s.t, err)
	s.cfg.Store, err = store.Open(context.Background(), engine, store.Config{Domain: s.cfg.Domain, Now: time.Now(), Blobs: blobs})
	check(s.t, err)
	n, err := node.New(s.cfg)
	check(s.t, err)
	s.listener = mem.Listen("server")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx, s.listener) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		check(s.t, <-done)
		check(s.t, engine.Close())
	})
}

// device is a client with its person, who calls commands.
type device struct {
	person
	t       *testing.T
	profile *profile.Profile
	client  *client.Client
}

func (s *server) device(name string) *device {
	s.t.Helper()
	p, err := profile.Open(profile.Config{Path: filepath.Join(s.t.TempDir(), "profile.db"), Key: make([]byte, profile.KeySize)})
	check(s.t, err)
	d := &device{t: s.t, profile: p, person: person{answers: map[string]string{"password": "correct horse battery"}}}
	s.open(d, name)
	s.t.Cleanup(func() { check(s.t, errors.Join(d.client.Close(), p.Close())) })
	return d
}

// open begins with what the profile holds.
func (s *server) open(d *device, name string) {
	d.client = client.New(client.Config{Profile: d.profile, Server: s.cfg.Domain, KSF: opaque.Identity, Files: disk.Files{}, Backoff: time.Millisecond, Notice: func(client.Notice) {},
		Dial: func(ctx context.Context, _ string, _ func(tls.ConnectionState) error) (transport.Conn, error) {
			c, err := s.listener.Dial(ctx, name)
			if err != nil {
				return nil, errOffline
			}
			return c, nil
		}})
}

// registered is a device of a new account.
func (s *server) registered(name string) *device {
	s.t.Helper()
	d := s.device(name)
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
