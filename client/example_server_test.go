package client_test

import (
	"context"
	"crypto/rand"
	"errors"
	"os"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/client/disk"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/internal/testserver"
	"github.com/quicproquo/qpq/opaque"
)

// The examples run against a real server in this process, with a database of its own. What fails here panics.

type exampleServer struct {
	*testserver.Server
	dir     string
	members []*member
}

func startServer() *exampleServer {
	dir := must(os.MkdirTemp("", "qpq-example-"))
	return &exampleServer{Server: testserver.In(dir, nil, func(err error) { panic(err) }), dir: dir}
}

// Close ends the members, and then the server.
func (s *exampleServer) Close() {
	for _, m := range s.members {
		m.close()
	}
	s.Stop()
	_ = must(0, os.RemoveAll(s.dir))
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
	m.Client = client.New(client.Config{Profile: m.profile, Dial: m.server.Dial, Server: domain, KSF: opaque.Identity, Files: disk.Files{}})
}

func (m *member) close() { _ = must(0, errors.Join(m.Client.Close(), m.profile.Close())) }

// Restart ends the client and begins anew with its profile.
func (m *member) Restart() {
	m.close()
	m.open()
}
