package loadtest

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/opaque"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/wire"
)

// suites are the MLS cipher suites of the devices: those of qpq.
var suites = []uint16{uint16(0xF001)}

// person is an account with one device, and its client.
type person struct {
	fleet    *fleet
	user     qpq.UserID
	password []byte
	device   *identity.DeviceKey
	state    *identity.AccountState
	inbox    *inbox // nil where nobody reads it

	use     sync.RWMutex // held for reading by calls, for writing by what replaces the connection
	session *transport.Session
	counter uint64
}

func (f *fleet) configuration(exporter []byte) opaque.Configuration {
	c := opaque.Configuration{Context: wire.OPAQUEContext(exporter), KSF: opaque.Identity}
	if f.plan.Stretch {
		c.KSF = nil
	}
	return c
}

func (p *person) identities() opaque.Identities {
	client, server := wire.OPAQUEIdentities(p.user)
	return opaque.Identities{Client: client, Server: server}
}

// newPerson makes somebody's name, password and device. The password is a key of 256 bits: stretching it would add nothing.
func (f *fleet) newPerson(name string) (*person, error) {
	user, err := identity.ParseUser(name + "@" + f.info.Domain)
	if err != nil {
		return nil, err
	}
	p := &person{fleet: f, user: user}
	secret := make([]byte, 32)
	rand.Read(secret)
	p.password = base64.RawStdEncoding.AppendEncode(nil, secret)
	p.device, err = identity.NewDeviceKey(rand.Reader)
	return p, err
}

// register signs somebody up, on a connection that serves nobody yet.
func (p *person) register(ctx context.Context, s *transport.Session, token wire.Secret) error {
	begun, request, err := opaque.StartRegistration(p.fleet.configuration(nil), p.password)
	if err != nil {
		return err
	}
	reply, err := wire.Call(ctx, s, wire.RegisterStart{User: p.user, Token: token, Request: request})
	if err != nil {
		return err
	}
	done, err := begun.Finish(reply.Response, p.identities())
	if err != nil {
		return err
	}
	defer clear(done.ExportKey)
	state, keys, err := p.found(done.ExportKey)
	if err != nil {
		return err
	}
	_, err = wire.Call(ctx, s, wire.RegisterFinish{User: p.user, Token: token, Record: done.Record, State: state.Bytes(), Keys: keys})
	if err == nil {
		p.state = state
	}
	return err
}

// found makes the keys of an account and its first state.
func (p *person) found(export []byte) (*identity.AccountState, wire.VaultKeys, error) {
	account, err := identity.NewAccountKey(rand.Reader)
	if err != nil {
		return nil, wire.VaultKeys{}, err
	}
	defer account.Wipe()
	vault, err := identity.NewVaultKey(rand.Reader)
	if err != nil {
		return nil, wire.VaultKeys{}, err
	}
	defer vault.Wipe()
	request, err := p.device.Request(p.user, suites)
	if err != nil {
		return nil, wire.VaultKeys{}, err
	}
	state, err := identity.NewAccount(account, request, vault, time.Now())
	if err != nil {
		return nil, wire.VaultKeys{}, err
	}
	password, err := identity.NewPasswordKey(p.user, export, nil)
	if err != nil {
		return nil, wire.VaultKeys{}, err
	}
	defer password.Wipe()
	keys, err := wire.SealKeys(rand.Reader, state, 1, wire.Secrets{Password: password, Account: account, Vault: vault})
	return state, keys, err
}

// connect opens the person's connection, in place of one there may be, and proves the device on it.
func (p *person) connect(ctx context.Context) error {
	p.use.Lock()
	defer p.use.Unlock()
	return p.reconnect(ctx)
}

// reconnect is connect for who holds the lock.
func (p *person) reconnect(ctx context.Context) error {
	var push func([]byte)
	if p.inbox != nil {
		push = p.inbox.Pushed
	}
	s, err := p.fleet.dial(ctx, push)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, p.fleet.plan.Patience)
	defer cancel()
	if err := p.authenticate(ctx, s); err != nil {
		_ = s.Close()
		return err
	}
	before := p.session
	if p.session = s; before != nil {
		_ = before.Close()
	}
	if p.inbox != nil {
		p.inbox.Missed() // what came meanwhile was told to nobody
	}
	return nil
}

// authenticate proves the device. Its counter of sessions is not kept: where the server's is ahead, it goes on from there.
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
	statement := identity.Session{Domain: p.user.Domain, User: p.user, Device: p.device.ID(), Counter: p.counter, Nonce: challenge.Nonce, Exporter: exporter}
	signature, err := p.device.SignSession(statement)
	if err != nil {
		return err
	}
	reply, err := wire.Call(ctx, s, wire.Authenticate{User: p.user, Device: p.device.ID(), Counter: p.counter, Signature: signature})
	p.counter = max(p.counter, reply.Counter)
	return err
}

// login proves the password on a connection of its own, and ends it.
func (p *person) login(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.fleet.plan.Patience)
	defer cancel()
	s, err := p.fleet.dial(ctx, nil)
	if err != nil {
		return err
	}
	defer s.Close()
	exporter, err := s.Peer().Exporter(identity.ExporterLabel, 32)
	if err != nil {
		return err
	}
	begun, ke1, err := opaque.StartLogin(p.fleet.configuration(exporter), p.password)
	if err != nil {
		return err
	}
	reply, err := wire.Call(ctx, s, wire.LoginStart{User: p.user, KE1: ke1})
	if err != nil {
		return err
	}
	done, err := begun.Finish(reply.KE2, p.identities())
	if err != nil {
		return fmt.Errorf("log in as %s: %w", p.user, err)
	}
	clear(done.ExportKey)
	_, err = wire.Call(ctx, s, wire.LoginFinish{KE3: done.KE3})
	return err
}

// line returns the person's connection for one call, with what ends the use of it. One that was lost is replaced.
func (p *person) line(ctx context.Context) (*transport.Session, func(), error) {
	p.use.RLock()
	if p.alive() {
		return p.session, p.use.RUnlock, nil
	}
	p.use.RUnlock()
	p.use.Lock()
	if !p.alive() {
		if err := p.reconnect(ctx); err != nil {
			p.use.Unlock()
			return nil, nil, err
		}
	}
	p.use.Unlock()
	p.use.RLock()
	return p.session, p.use.RUnlock, nil
}

func (p *person) alive() bool {
	if p.session == nil {
		return false
	}
	select {
	case <-p.session.Done():
		return false
	default:
		return true
	}
}

// leave ends the person's connection.
func (p *person) leave() {
	p.use.Lock()
	defer p.use.Unlock()
	if p.session != nil {
		_ = p.session.Close()
		p.session = nil
	}
}

// Call implements wire.Caller. A call is repeated once where the connection was lost before an answer came, as clients do with what may be repeated.
func (p *person) Call(ctx context.Context, method uint16, request []byte) (status uint16, reply []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, p.fleet.plan.Patience)
	defer cancel()
	for range 2 {
		s, done, failed := p.line(ctx)
		if failed != nil {
			return 0, nil, failed
		}
		status, reply, err = s.Call(ctx, method, request)
		done()
		var lost *transport.CallError
		if !errors.As(err, &lost) || ctx.Err() != nil {
			return status, reply, err
		}
		p.fleet.record.fail("connection", err)
	}
	return status, reply, err
}
