package client_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/node"
	"github.com/quicproquo/qpq/opaque"
	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/store/sqlite"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/transport/mem"
)

// The examples run against a real server in this process, with a database of its own. What fails here panics.

type exampleServer struct {
	listener *mem.Listener
	members  []*member
	stop     func() error
}

func startServer() *exampleServer {
	dir := must(os.MkdirTemp("", "qpq-example-"))
	ctx, cancel := context.WithCancel(context.Background())
	engine := must(sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(dir, "qpq.db")}))
	opened := must(store.Open(ctx, engine, store.Config{Domain: domain, Now: time.Now()}))
	passwords := opaque.Configuration{}
	_, key, err := ed25519.GenerateKey(nil)
	server := must(node.New(node.Config{Domain: domain, Store: opened, Passwords: opaque.NewServer(passwords, must(opaque.NewServerSetup(passwords))), SigningKey: must(key, err)}))
	s := &exampleServer{listener: mem.Listen("server")}
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx, s.listener) }()
	s.stop = func() error {
		cancel()
		return errors.Join(<-done, engine.Close(), os.RemoveAll(dir))
	}
	return s
}

// Dial is a client.Dialer.
func (s *exampleServer) Dial(ctx context.Context, _ string, _ func(tls.ConnectionState) error) (transport.Conn, error) {
	return s.listener.Dial(ctx, "client")
}

// Close ends the members, and then the server.
func (s *exampleServer) Close() {
	for _, m := range s.members {
		m.close()
	}
	_ = must(0, s.stop())
}

// member is somebody with an account and one device.
type member struct {
	*client.Client
	User qpq.UserID

	server  *exampleServer
	key     []byte
	memory  profile.Memory
	profile *profile.Profile
}

func newProfileKey() []byte {
	key := make([]byte, profile.KeySize)
	rand.Read(key)
	return key
}

// SignUp does what Example shows.
func (s *exampleServer) SignUp(name string) *member {
	m := &member{server: s, key: newProfileKey()}
	m.open()
	s.members = append(s.members, m)
	password := must(client.NewPassword([]byte("correct horse battery")))
	m.User = must(m.Register(context.Background(), client.Registration{User: name, Password: password})).User
	return m
}

func (m *member) open() {
	m.profile = must(m.memory.Open(m.key))
	m.Client = client.New(client.Config{Profile: m.profile, Dial: m.server.Dial, Server: domain, KSF: opaque.Identity})
}

func (m *member) close() { _ = must(0, errors.Join(m.Client.Close(), m.profile.Close())) }

// Restart ends the client and begins anew with its profile.
func (m *member) Restart() {
	m.close()
	m.open()
}
