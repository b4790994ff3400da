package world

import (
	"context"
	"crypto/ed25519"
	"errors"
	"sync"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/node"
	"github.com/quicproquo/qpq/opaque"
	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/store/folder"
	"github.com/quicproquo/qpq/store/sqlite"
)

// domain is whose server it is.
const domain = "example.org"

// Server is the machine of the server: the real one, on a disk that can fail.
type Server struct {
	w      *World
	disk   *Disk
	blobs  string // the folder of files
	config node.Config

	mu   sync.Mutex
	stop func() // ends the running server and lets go of the disk; nil while it is down
	lost bool   // it does not start any more
}

func newServer(w *World) (*Server, error) {
	s := &Server{w: w}
	s.disk = w.newDisk(w.net.cutAll)
	if w.plant.Lies {
		s.disk.lie()
	}
	s.blobs = w.t.TempDir()
	setup, err := opaque.NewServerSetup(opaque.Configuration{})
	if err != nil {
		return nil, err
	}
	s.config = node.Config{
		Domain: domain, Passwords: opaque.NewServer(opaque.Configuration{}, setup),
		SigningKey: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)), Software: "world",
		// What limits protect from is not played here, and would make refusals of what people want. A device has few key packages: they take long to make, and run
		// out now and then.
		Limits: node.Limits{AddressRate: 1e6, AccountRate: 1e6, Attempts: 1000, ClaimBurst: 10000, Sweep: time.Hour, PasswordFloor: -1, LookupFloor: -1, Inbox: w.scenario.Inbox,
			KeyPackages: 5},
	}
	return s, nil
}

// start runs the server on what its disk holds. It fails where the machine dies meanwhile.
func (s *Server) start() error {
	engine, err := sqlite.Open(context.Background(), sqlite.Config{Path: s.disk.path("qpq.db"), VFS: s.disk.Name()})
	if err != nil {
		return err
	}
	var e store.Engine = engine
	if s.w.plant.Engine != nil {
		e = s.w.plant.Engine(e)
	}
	blobs, err := folder.Open(s.blobs)
	if err != nil {
		return errors.Join(err, engine.Close())
	}
	var contents store.Contents = blobs
	if s.w.plant.Contents != nil {
		contents = s.w.plant.Contents(contents)
	}
	config := s.config
	config.FreeDisk = s.disk.free
	if config.Store, err = store.Open(context.Background(), e, store.Config{Domain: domain, Now: time.Now(), Blobs: contents}); err != nil {
		return errors.Join(err, engine.Close())
	}
	n, err := node.New(config)
	if err != nil {
		return errors.Join(err, engine.Close())
	}
	listener, err := s.w.driver.network.Listen()
	if err != nil {
		return errors.Join(err, engine.Close())
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = n.Run(ctx, listener) // ends with the listener that is closed at a shutdown
	}()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stop = func() {
		cancel()
		<-done
		_ = listener.Close()
		_ = engine.Close() // fails where the machine is dead
	}
	return nil
}

// down ends the running server, if one runs.
func (s *Server) down() {
	s.mu.Lock()
	stop := s.stop
	s.stop = nil
	s.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// watch keeps the machine running until ctx ends: who runs it starts it again a while after it died.
func (s *Server) watch(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			s.down()
			return
		case <-s.disk.Death():
			s.down()
			pause(ctx, s.w.soon(2*time.Second))
			s.disk.Revive()
			s.up()
		}
	}
}

// gone reports whether the server does not start any more.
func (s *Server) gone() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost
}

// up starts the server, and again where it dies at that.
func (s *Server) up() {
	err := s.start()
	for err != nil && s.disk.Full() && !s.disk.Dead() { // who runs it makes room, and starts it again
		s.w.log("server", "does not start: %s", cause(err))
		pause(context.Background(), s.w.soon(time.Second))
		err = s.start()
	}
	if err == nil {
		return
	}
	if !s.disk.Dead() {
		s.w.fail("the server does not start: %s", cause(err))
		s.mu.Lock()
		defer s.mu.Unlock()
		s.lost = true
		return
	}
	s.w.log("server", "died while it started")
}

var errDown = qpq.E(qpq.Unavailable, "cannot-connect", "nobody listens")
