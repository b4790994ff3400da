// Package node measures what the server does for people: connecting with a device, and proving a password.
package node

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/node"
	"github.com/quicproquo/qpq/opaque"
	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/store/sqlite"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/transport/quic"
	"github.com/quicproquo/qpq/wire"
)

const domain = "example.org"

// passwords is OPAQUE as the protocol says, but for what clients alone pay: stretching the password.
var passwords = opaque.Configuration{KSF: opaque.Identity}

// server is a real server on loopback.
type server struct {
	at, from *quic.Endpoint
	trust    *tls.Config
	engine   *sqlite.Engine
	stop     context.CancelFunc
	ended    chan error
}

func start(dir string) (*server, error) {
	setup, err := opaque.NewServerSetup(passwords)
	if err != nil {
		return nil, err
	}
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	s := &server{trust: &tls.Config{InsecureSkipVerify: true}, ended: make(chan error, 1)}
	if s.engine, err = sqlite.Open(context.Background(), sqlite.Config{Path: dir + "/qpq.db"}); err != nil {
		return nil, err
	}
	opened, err := store.Open(context.Background(), s.engine, store.Config{Domain: domain, Now: time.Now()})
	if err != nil {
		return nil, err
	}
	n, err := node.New(node.Config{
		Domain: domain, Passwords: opaque.NewServer(passwords, setup), SigningKey: key, Store: opened,
		Limits: node.Limits{AddressRate: 1e9, AccountRate: 1e9, AddressConnections: 1e6, Attempts: 1e9, PasswordFloor: time.Nanosecond, LookupFloor: time.Nanosecond},
	})
	if err != nil {
		return nil, err
	}
	if s.at, err = quic.NewEndpoint("127.0.0.1:0", quic.Config{}); err != nil {
		return nil, err
	}
	if s.from, err = quic.NewEndpoint("127.0.0.1:0", quic.Config{}); err != nil {
		return nil, err
	}
	certificate, err := selfSigned()
	if err != nil {
		return nil, err
	}
	l, err := s.at.Listen(certificate)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	go func() { s.ended <- n.Run(ctx, l) }()
	return s, nil
}

func (s *server) close() error {
	s.stop()
	return errors.Join(<-s.ended, s.from.Close(), s.at.Close(), s.engine.Close())
}

func selfSigned() (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{domain}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, err
}

func (s *server) connect(ctx context.Context) (*transport.Session, error) {
	conn, err := s.from.Dial(ctx, s.at.Addr().String(), s.trust)
	if err != nil {
		return nil, err
	}
	return transport.NewSession(conn, transport.SessionConfig{}), nil
}

// person is an account with one device.
type person struct {
	user    qpq.UserID
	device  *identity.DeviceKey
	counter uint64
}

// register signs somebody up; the password is the name.
func register(ctx context.Context, c wire.Caller, name string) (*person, error) {
	p := &person{user: qpq.UserID{Name: name, Domain: domain}}
	started, request, err := opaque.StartRegistration(passwords, []byte(name))
	if err != nil {
		return nil, err
	}
	reply, err := wire.Call(ctx, c, wire.RegisterStart{User: p.user, Request: request})
	if err != nil {
		return nil, err
	}
	registered, err := started.Finish(reply.Response, p.identities())
	if err != nil {
		return nil, err
	}
	password, err := identity.NewPasswordKey(p.user, registered.ExportKey, nil)
	if err != nil {
		return nil, err
	}
	account, err := identity.NewAccountKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	vault, err := identity.NewVaultKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	if p.device, err = identity.NewDeviceKey(rand.Reader); err != nil {
		return nil, err
	}
	asks, err := p.device.Request(p.user, []uint16{0xF001})
	if err != nil {
		return nil, err
	}
	state, err := identity.NewAccount(account, asks, vault, time.Now())
	if err != nil {
		return nil, err
	}
	keys, err := wire.SealKeys(rand.Reader, state, 1, wire.Secrets{Password: password, Account: account, Vault: vault})
	if err != nil {
		return nil, err
	}
	_, err = wire.Call(ctx, c, wire.RegisterFinish{User: p.user, Record: registered.Record, State: state.Bytes(), Keys: keys})
	return p, err
}

func (p *person) identities() opaque.Identities {
	client, server := wire.OPAQUEIdentities(p.user)
	return opaque.Identities{Client: client, Server: server}
}

// authenticate proves the device on a connection.
func (p *person) authenticate(ctx context.Context, s *transport.Session) error {
	challenge, err := wire.Call(ctx, s, wire.AuthChallenge{})
	if err != nil {
		return err
	}
	exporter, err := s.Peer().Exporter(identity.ExporterLabel, 32)
	if err != nil {
		return err
	}
	p.counter++
	statement := identity.Session{Domain: domain, User: p.user, Device: p.device.ID(), Counter: p.counter, Nonce: challenge.Nonce, Exporter: exporter}
	signature, err := p.device.SignSession(statement)
	if err != nil {
		return err
	}
	_, err = wire.Call(ctx, s, wire.Authenticate{User: p.user, Device: p.device.ID(), Counter: p.counter, Signature: signature})
	return err
}

// login proves the password on a connection.
func (p *person) login(ctx context.Context, c *transport.Session) error {
	exporter, err := c.Peer().Exporter(identity.ExporterLabel, 32)
	if err != nil {
		return err
	}
	bound := passwords
	bound.Context = wire.OPAQUEContext(exporter)
	started, ke1, err := opaque.StartLogin(bound, []byte(p.user.Name))
	if err != nil {
		return err
	}
	reply, err := wire.Call(ctx, c, wire.LoginStart{User: p.user, KE1: ke1})
	if err != nil {
		return err
	}
	done, err := started.Finish(reply.KE2, p.identities())
	if err != nil {
		return err
	}
	_, err = wire.Call(ctx, c, wire.LoginFinish{KE3: done.KE3})
	return err
}
