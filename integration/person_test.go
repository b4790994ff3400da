//go:build linux

package integration_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/opaque"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/transport/quic"
	"github.com/quicproquo/qpq/wire"
)

// cheap is OPAQUE as the protocol says, but for what makes each guess expensive: that is the client's affair.
var cheap = opaque.Configuration{KSF: opaque.Identity}

var suites = []uint16{1}

// endpoint is the one socket of all clients.
var endpoint = sync.OnceValues(func() (*quic.Endpoint, error) { return quic.NewEndpoint(":0", quic.Config{}) })

// dial opens a session. Trust in servers is the client's affair, and tested there.
func dial(ctx context.Context, address string, push func(wire.PushEvent)) (*transport.Session, error) {
	from, err := endpoint()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := from.Dial(ctx, address, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return nil, err
	}
	return transport.NewSession(conn, transport.SessionConfig{Push: func(b []byte) {
		if p, err := wire.Unmarshal[wire.Push](b); err == nil && push != nil {
			push(p.Event)
		}
	}}), nil
}

// person is somebody with an account, as a client would keep it.
type person struct {
	user     qpq.UserID
	password string
	account  *identity.AccountKey
	vault    *identity.VaultKey
	states   []*identity.AccountState
	keys     wire.VaultKeys
	device   *identity.DeviceKey
	counter  uint64
	next     string // the password that a change was begun to
	watching *transport.Session
}

// session is a connection to a server.
type session interface {
	wire.Caller
	Peer() transport.Peer
}

func newPerson(user qpq.UserID) (*person, error) {
	p := &person{user: user, password: "correct horse " + user.Name}
	var errs [3]error
	p.account, errs[0] = identity.NewAccountKey(rand.Reader)
	p.vault, errs[1] = identity.NewVaultKey(rand.Reader)
	p.device, errs[2] = identity.NewDeviceKey(rand.Reader)
	return p, errors.Join(errs[:]...)
}

func (p *person) hangUp() {
	if p.watching != nil {
		_ = p.watching.Close()
		p.watching = nil
	}
}

func (p *person) state() *identity.AccountState { return p.states[len(p.states)-1] }

func (p *person) identities() opaque.Identities {
	client, server := wire.OPAQUEIdentities(p.user)
	return opaque.Identities{Client: client, Server: server}
}

// enrolment runs OPAQUE's registration over start, which returns the server's response.
func (p *person) enrolment(password string, start func(request []byte) ([]byte, error)) (*opaque.Registered, error) {
	begun, request, err := opaque.StartRegistration(cheap, []byte(password))
	if err != nil {
		return nil, err
	}
	response, err := start(request)
	if err != nil {
		return nil, err
	}
	return begun.Finish(response, p.identities())
}

// seal wraps the keys of the vault for a state and the export key of a password.
func (p *person) seal(state *identity.AccountState, version uint64, export []byte) (wire.VaultKeys, error) {
	key, err := identity.NewPasswordKey(p.user, export, nil)
	if err != nil {
		return wire.VaultKeys{}, err
	}
	return wire.SealKeys(rand.Reader, state, version, wire.Secrets{Password: key, Account: p.account, Vault: p.vault})
}

// register signs up.
func (p *person) register(ctx context.Context, s session, token string) (admin bool, err error) {
	secret := wire.NewSecret(token)
	result, err := p.enrolment(p.password, func(request []byte) ([]byte, error) {
		r, err := wire.Call(ctx, s, wire.RegisterStart{User: p.user, Token: secret, Request: request})
		return r.Response, err
	})
	if err != nil {
		return false, err
	}
	request, err := p.device.Request(p.user, suites)
	if err != nil {
		return false, err
	}
	state, err := identity.NewAccount(p.account, request, p.vault, time.Now())
	if err != nil {
		return false, err
	}
	keys, err := p.seal(state, 1, result.ExportKey)
	if err != nil {
		return false, err
	}
	p.states, p.keys = []*identity.AccountState{state}, keys // kept before they are sent
	r, err := wire.Call(ctx, s, wire.RegisterFinish{User: p.user, Token: secret, Record: result.Record, State: state.Bytes(), Keys: keys})
	return r.Admin, err
}

// login proves the password on a connection and returns the export key.
func (p *person) login(ctx context.Context, s session, password string) ([]byte, error) {
	exporter, err := s.Peer().Exporter(identity.ExporterLabel, 32)
	if err != nil {
		return nil, err
	}
	bound := cheap
	bound.Context = wire.OPAQUEContext(exporter)
	begun, ke1, err := opaque.StartLogin(bound, []byte(password))
	if err != nil {
		return nil, err
	}
	r, err := wire.Call(ctx, s, wire.LoginStart{User: p.user, KE1: ke1})
	if err != nil {
		return nil, err
	}
	done, err := begun.Finish(r.KE2, p.identities())
	if err != nil { // a client stops here; this one asks on, to hear what the server says
		_, refused := wire.Call(ctx, s, wire.LoginFinish{KE3: make([]byte, 64)})
		return nil, refused
	}
	_, err = wire.Call(ctx, s, wire.LoginFinish{KE3: done.KE3})
	return done.ExportKey, err
}

// openVault logs in and opens what only the password opens: the account key and the vault's.
func (p *person) openVault(ctx context.Context, s session) error {
	export, err := p.login(ctx, s, p.password)
	if err != nil {
		return err
	}
	r, err := wire.Call(ctx, s, wire.VaultKeysGet{})
	if err != nil {
		return err
	}
	key, err := identity.NewPasswordKey(p.user, export, nil)
	if err != nil {
		return err
	}
	look, err := wire.Call(ctx, s, wire.AccountLookup{User: p.user})
	if err != nil {
		return err
	}
	state, err := identity.ParseAccountState(look.States[len(look.States)-1])
	if err != nil {
		return err
	}
	return openWith(key, state, r.Keys)
}

// authenticate starts a session of the device, whose counter was kept before.
func (p *person) authenticate(ctx context.Context, s session) (wire.AuthenticateReply, error) {
	var none wire.AuthenticateReply
	challenge, err := wire.Call(ctx, s, wire.AuthChallenge{})
	if err != nil {
		return none, err
	}
	exporter, err := s.Peer().Exporter(identity.ExporterLabel, 32)
	if err != nil {
		return none, err
	}
	p.counter++
	statement := identity.Session{Domain: p.user.Domain, User: p.user, Device: p.device.ID(), Counter: p.counter, Nonce: challenge.Nonce, Exporter: exporter}
	signature, err := p.device.SignSession(statement)
	if err != nil {
		return none, err
	}
	return wire.Call(ctx, s, wire.Authenticate{User: p.user, Device: p.device.ID(), Counter: p.counter, Signature: signature})
}

// enrol adds a device by the password. The person goes on with the new one.
func (p *person) enrol(ctx context.Context, s session) error {
	export, err := p.login(ctx, s, p.password)
	if err != nil {
		return err
	}
	device, err := identity.NewDeviceKey(rand.Reader)
	if err != nil {
		return err
	}
	request, err := device.Request(p.user, suites)
	if err != nil {
		return err
	}
	next, err := p.state().Next(identity.Change{Key: p.account, Now: time.Now(), Add: []*identity.DeviceRequest{request}})
	if err != nil {
		return err
	}
	keys, err := p.seal(next, p.keys.Version+1, export)
	if err != nil {
		return err
	}
	if _, err := wire.Call(ctx, s, wire.AccountPublish{State: next.Bytes(), Keys: &keys}); err != nil {
		return err
	}
	p.states, p.keys, p.device, p.counter = append(p.states, next), keys, device, 0
	_, err = p.authenticate(ctx, s)
	return err
}

// changePassword replaces record and wraps.
func (p *person) changePassword(ctx context.Context, s session, password string) error {
	if _, err := p.login(ctx, s, p.password); err != nil {
		return err
	}
	result, err := p.enrolment(password, func(request []byte) ([]byte, error) {
		r, err := wire.Call(ctx, s, wire.PasswordStart{Request: request})
		return r.Response, err
	})
	if err != nil {
		return err
	}
	keys, err := p.seal(p.state(), p.keys.Version+1, result.ExportKey)
	if err != nil {
		return err
	}
	if _, err := wire.Call(ctx, s, wire.PasswordFinish{Record: result.Record, Keys: keys}); err != nil {
		return err
	}
	p.password, p.keys = password, keys
	return nil
}

// act carries out an action of a story on a connection of its own.
func (p *person) act(ctx context.Context, address, action, argument string) (says string, err error) {
	s, err := dial(ctx, address, nil)
	if err != nil {
		return "", err
	}
	defer s.Close()
	switch action {
	case "register":
		admin, err := p.register(ctx, s, argument)
		return fmt.Sprintf("admin %t", admin), err
	case "authenticate":
		r, err := p.authenticate(ctx, s)
		return fmt.Sprintf("admin %t stale %t state %d", r.Admin, r.Stale, r.StateVersion), err
	case "login":
		if argument != "" {
			_, err := p.login(ctx, s, argument)
			return "", err
		}
		return "vault opened", p.openVault(ctx, s)
	case "enrol":
		return "", p.enrol(ctx, s)
	case "passwd":
		return "", p.changePassword(ctx, s, argument)
	case "delete":
		if _, err := p.login(ctx, s, p.password); err != nil {
			return "", err
		}
		_, err := wire.Call(ctx, s, wire.AccountDelete{User: p.user})
		return "", err
	}
	return "", fmt.Errorf("there is no action %q", action)
}

// named returns a person of a story; who is not known yet is made up.
func (s *story) named(name string) (*person, error) {
	if p := s.people[name]; p != nil {
		return p, nil
	}
	domain := "localhost"
	if local, at, ok := strings.Cut(name, "@"); ok {
		name, domain = local, at
	}
	p, err := newPerson(qpq.UserID{Name: name, Domain: domain})
	if err == nil {
		s.people[name] = p
	}
	return p, err
}

func cmdPerson(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 3 || len(args) == 4)
	p, err := of(ts).named(args[2])
	ts.Check(err)
	if args[0] == "register" { // whoever registers begins anew
		fresh, err := newPerson(p.user)
		ts.Check(err)
		*p = *fresh
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	says, err := p.act(ctx, args[1], args[0], strings.Join(args[3:], ""))
	outcome(ts, neg, says, err)
}

// outcome tells a story what came of a call.
func outcome(ts *testscript.TestScript, neg bool, says string, err error) {
	if (err != nil) != neg {
		ts.Fatalf("%s %v (%s)", says, err, qpq.CodeOf(err))
	}
	if err != nil {
		fmt.Fprintf(ts.Stderr(), "%s: %v\n", qpq.CodeOf(err), err)
		return
	}
	fmt.Fprintln(ts.Stdout(), says)
}

func cmdInfo(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 1)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := dial(ctx, args[0], nil)
	if err != nil {
		outcome(ts, neg, "", err)
		return
	}
	defer s.Close()
	r, err := wire.Call(ctx, s, wire.ServerInfo{})
	who := map[wire.Registration]string{wire.RegistrationOpen: "open", wire.RegistrationToken: "token", wire.RegistrationClosed: "closed"}
	outcome(ts, neg, fmt.Sprintf("domain %s, registration %s, software %s, signing key %x", r.Domain, who[r.Registration], r.Software, r.SigningKey), err)
}

func cmdWatch(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 2)
	p, err := of(ts).named(args[1])
	ts.Check(err)
	file, err := os.Create(ts.MkAbs(p.user.Name + ".pushes"))
	ts.Check(err)
	ctx := context.Background()
	p.watching, err = dial(ctx, args[0], func(e wire.PushEvent) { fmt.Fprintf(file, "%T %+v\n", e, e) })
	ts.Check(err)
	_, err = p.authenticate(ctx, p.watching)
	ts.Check(err)
	ended := make(chan struct{})
	go func(s *transport.Session) {
		defer close(ended)
		<-s.Done()
		fmt.Fprintln(file, "the connection ended")
		_ = file.Close()
	}(p.watching)
	of(ts).closers = append(of(ts).closers, func() { p.hangUp(); <-ended })
}

// openWith opens what only the password opens.
func openWith(key *identity.PasswordKey, state *identity.AccountState, keys wire.VaultKeys) error {
	if _, err := key.OpenAccount(state, keys.AccountKey); err != nil {
		return fmt.Errorf("open the account key: %w", err)
	}
	if _, err := key.OpenVault(state, keys.PasswordWrap); err != nil {
		return fmt.Errorf("open the vault: %w", err)
	}
	return nil
}
