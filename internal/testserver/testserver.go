// Package testserver is a real server for tests: with a database and files of its own, reached through memory.
package testserver

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/node"
	"github.com/quicproquo/qpq/opaque"
	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/store/folder"
	"github.com/quicproquo/qpq/store/sqlite"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/transport/mem"
)

// Domain is what all these servers serve.
const Domain = "example.org"

// Server is a server that can be stopped and started again. What fails in it fails the test.
type Server struct {
	// Path is the database; files are in Path + ".files". It may change while the server is stopped.
	Path string
	// Config is what the server runs with. Store is the one since the last Start.
	Config node.Config

	fail   func(error)
	ended  func() error // waits for the server that runs
	cancel context.CancelFunc

	mu       sync.Mutex
	listener *mem.Listener // nil while it is stopped
}

// New starts a server that ends with the test. Its limits are so wide, and its pauses so short, that only tests that are about them
// meet them; change, if not nil, sees the configuration before the first start.
func New(t testing.TB, change func(*node.Config)) *Server {
	t.Helper()
	s := In(t.TempDir(), change, func(err error) {
		t.Helper()
		t.Fatal(err)
	})
	t.Cleanup(s.Stop)
	return s
}

// In starts a server with its data in a folder, for examples, which have no test. Whoever calls it calls Stop. An error goes to fail,
// which does not return.
func In(dir string, change func(*node.Config), fail func(error)) *Server {
	s := &Server{Path: filepath.Join(dir, "qpq.db"), fail: fail}
	setup, err := opaque.NewServerSetup(opaque.Configuration{})
	s.check(err)
	_, key, err := ed25519.GenerateKey(nil)
	s.check(err)
	s.Config = node.Config{Domain: Domain, Passwords: opaque.NewServer(opaque.Configuration{}, setup), SigningKey: key,
		Limits: node.Limits{AddressRate: 1e6, AccountRate: 1e6, PasswordFloor: time.Nanosecond, LookupFloor: time.Nanosecond}}
	if change != nil {
		change(&s.Config)
	}
	s.Start()
	return s
}

// Start starts a server that was stopped. It is reached by other listeners too, if any are given.
func (s *Server) Start(also ...transport.Listener) {
	engine, err := sqlite.Open(context.Background(), sqlite.Config{Path: s.Path})
	s.check(err)
	blobs, err := folder.Open(s.Path + ".files")
	s.check(err)
	s.Config.Store, err = store.Open(context.Background(), engine, store.Config{Domain: Domain, Now: time.Now(), Blobs: blobs})
	s.check(err)
	n, err := node.New(s.Config)
	s.check(err)
	listener := mem.Listen("server")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx, append(also, listener)...) }()
	s.cancel, s.ended = cancel, func() error { return errors.Join(<-done, engine.Close()) }
	s.reach(listener)
}

// Stop ends the server, if it runs, and returns when everything is closed.
func (s *Server) Stop() {
	if s.reach(nil) == nil {
		return
	}
	s.cancel()
	s.check(s.ended())
}

// reach has clients come in by a listener, by none if it is nil, and returns the one before.
func (s *Server) reach(l *mem.Listener) *mem.Listener {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.listener
	s.listener = l
	return before
}

// Dial is a client.Dialer. While the server is stopped it fails with qpq.Unavailable.
func (s *Server) Dial(ctx context.Context, _ string, _ func(tls.ConnectionState) error) (transport.Conn, error) {
	s.mu.Lock()
	l := s.listener
	s.mu.Unlock()
	if l == nil {
		return nil, qpq.E(qpq.Unavailable, "cannot-connect", "the server is stopped")
	}
	return l.Dial(ctx, "client")
}

func (s *Server) check(err error) {
	if err != nil {
		s.fail(err)
	}
}
