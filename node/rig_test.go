package node

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/opaque"
	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/store/folder"
	"github.com/quicproquo/qpq/store/sqlite"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/wire"
)

const domain = "example.org"

// cheap is OPAQUE as the protocol says, but for what makes each guess expensive.
var cheap = opaque.Configuration{KSF: opaque.Identity}

// rig is a server over a real store, for one test.
type rig struct {
	*Server
	t   testing.TB
	cfg Config
	dir string
}

func newRig(t testing.TB, change func(*Config)) *rig {
	t.Helper()
	setup, err := opaque.NewServerSetup(cheap)
	check(t, err)
	_, key, err := ed25519.GenerateKey(nil)
	check(t, err)
	r := &rig{t: t, dir: t.TempDir()}
	r.cfg = Config{Domain: domain, Passwords: opaque.NewServer(cheap, setup), SigningKey: key}
	r.cfg.Limits = Limits{AddressRate: 1e6, AccountRate: 1e6, PasswordFloor: time.Nanosecond, LookupFloor: time.Nanosecond}
	if change != nil {
		change(&r.cfg)
	}
	r.start(filepath.Join(r.dir, "qpq.db"))
	return r
}

// start makes the server over the store in a file.
func (r *rig) start(path string) {
	r.t.Helper()
	engine, err := sqlite.Open(r.t.Context(), sqlite.Config{Path: path})
	check(r.t, err)
	r.t.Cleanup(func() { check(r.t, engine.Close()) })
	blobs, err := folder.Open(filepath.Join(r.dir, "files"))
	check(r.t, err)
	r.cfg.Store, err = store.Open(r.t.Context(), engine, store.Config{Domain: domain, Now: time.Now(), Blobs: blobs})
	check(r.t, err)
	r.Server, err = New(r.cfg)
	check(r.t, err)
}

// line is a connection to the server. Most tests use one without a network: what they are about is not
// the transport.
type line struct {
	r      *rig
	c      *conn              // without a network: the server's side
	over   *transport.Session // with a network: the client's side
	secret []byte             // of the TLS exporter, or what stands for it

	mu     sync.Mutex
	pushes []wire.PushEvent
	closed *transport.Code
}

func (r *rig) dial() *line { return r.dialFrom("192.0.2.1:1000") }

func (r *rig) dialFrom(address string) *line {
	r.t.Helper()
	l := &line{r: r, secret: make([]byte, 32)}
	rand.Read(l.secret)
	from, err := net.ResolveTCPAddr("tcp", address)
	check(r.t, err)
	l.c, err = r.connect(l, from)
	check(r.t, err)
	r.t.Cleanup(l.hangUp)
	return l
}

func (l *line) hangUp() { l.r.disconnect(l.c) }

// Call implements wire.Caller.
func (l *line) Call(ctx context.Context, method uint16, request []byte) (uint16, []byte, error) {
	if l.over != nil {
		return l.over.Call(ctx, method, request)
	}
	status, reply := l.r.dispatch(ctx, l.c, method, request)
	return status, reply, nil
}

// Exporter implements session.
func (l *line) Exporter(string, int) ([]byte, error) { return l.secret, nil }

// Push implements session.
func (l *line) Push(b []byte) bool {
	p, err := wire.Unmarshal[wire.Push](b)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pushes = append(l.pushes, p.Event)
	return err == nil
}

// Waiting implements session: who collects pushes has read them.
func (l *line) Waiting() int { return 0 }

// Close implements session.
func (l *line) Close(why transport.Code) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = &why
}

func (l *line) wasClosed() *transport.Code {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

func (l *line) pushed() []wire.PushEvent {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pushes
}

// call sends a request that must succeed.
func call[Q wire.Request[R], R any, PQ wire.Value[Q], PR wire.Value[R]](l *line, q Q) R {
	l.r.t.Helper()
	r, err := wire.Call[Q, R, PQ, PR](l.r.t.Context(), l, q)
	if err != nil {
		l.r.t.Fatalf("%s: %v (%s)", q.Method().Name, err, qpq.CodeOf(err))
	}
	return r
}

// refused sends a request that must fail with a kind and code.
func refused[Q wire.Request[R], R any, PQ wire.Value[Q], PR wire.Value[R]](l *line, q Q, kind qpq.Kind, code string) {
	l.r.t.Helper()
	_, err := wire.Call[Q, R, PQ, PR](l.r.t.Context(), l, q)
	if !errors.Is(err, kind) || qpq.CodeOf(err) != code {
		l.r.t.Errorf("%s: got %v (%s), want %v (%s)", q.Method().Name, err, qpq.CodeOf(err), kind, code)
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// must returns what cannot fail in a test.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// person is somebody with an account, as a client would have it.
type person struct {
	user     qpq.UserID
	password string
	account  *identity.AccountKey // a real client wipes it; here it stands for who knows the password
	vault    *identity.VaultKey
	states   []*identity.AccountState
	keys     wire.VaultKeys
	device   *device
}

// device is one device, with its counter.
type device struct {
	key     *identity.DeviceKey
	counter uint64
}

var suites = []uint16{1, 0xF001}

func newDevice() *device { return &device{key: must(identity.NewDeviceKey(rand.Reader))} }

func (d *device) request(u qpq.UserID) *identity.DeviceRequest {
	return must(d.key.Request(u, suites))
}

func (p *person) state() *identity.AccountState { return p.states[len(p.states)-1] }

func newPerson(name string) *person {
	p := &person{user: qpq.UserID{Name: name, Domain: domain}, password: "correct horse " + name, device: newDevice()}
	p.account, p.vault = must(identity.NewAccountKey(rand.Reader)), must(identity.NewVaultKey(rand.Reader))
	return p
}

// registration runs OPAQUE up to what registerFinish takes.
func (p *person) registration(l *line, token wire.Secret) wire.RegisterFinish {
	l.r.t.Helper()
	started, request, err := opaque.StartRegistration(cheap, []byte(p.password))
	check(l.r.t, err)
	reply := call(l, wire.RegisterStart{User: p.user, Token: token, Request: request})
	registered := must(started.Finish(reply.Response, ids(p.user)))
	state := must(identity.NewAccount(p.account, p.device.request(p.user), p.vault, time.Now()))
	keys := must(wire.SealKeys(rand.Reader, state, 1, p.secrets(registered.ExportKey)))
	p.states, p.keys = []*identity.AccountState{state}, keys
	return wire.RegisterFinish{User: p.user, Token: token, Record: registered.Record, State: state.Bytes(), Keys: keys}
}

func (p *person) secrets(export []byte) wire.Secrets {
	return wire.Secrets{Password: must(identity.NewPasswordKey(p.user, export, nil)), Account: p.account, Vault: p.vault}
}

func ids(u qpq.UserID) opaque.Identities {
	client, server := wire.OPAQUEIdentities(u)
	return opaque.Identities{Client: client, Server: server}
}

// register signs somebody up and authenticates the first device.
func (l *line) register(name string) *person {
	l.r.t.Helper()
	p := newPerson(name)
	call(l, p.registration(l, wire.Secret{}))
	l.authenticate(p, p.device)
	return p
}

// opaque returns what a login on this connection goes by.
func (l *line) opaque() opaque.Configuration {
	c := cheap
	c.Context = wire.OPAQUEContext(l.secret)
	return c
}

// login proves a password and returns the export key.
func (l *line) login(p *person) []byte {
	l.r.t.Helper()
	export, err := l.tryLogin(p.user, p.password)
	check(l.r.t, err)
	return export
}

func (l *line) tryLogin(u qpq.UserID, password string) ([]byte, error) {
	l.r.t.Helper()
	started, ke1, err := opaque.StartLogin(l.opaque(), []byte(password))
	check(l.r.t, err)
	reply, err := wire.Call(l.r.t.Context(), l, wire.LoginStart{User: u, KE1: ke1})
	if err != nil {
		return nil, err
	}
	done, err := started.Finish(reply.KE2, ids(u))
	if err != nil {
		return nil, err
	}
	_, err = wire.Call(l.r.t.Context(), l, wire.LoginFinish{KE3: done.KE3})
	return done.ExportKey, err
}

// statement is what a device signs to authenticate a line.
func (l *line) statement(p *person, d *device) wire.Authenticate {
	l.r.t.Helper()
	nonce := call(l, wire.AuthChallenge{}).Nonce
	s := identity.Session{Domain: domain, User: p.user, Device: d.key.ID(), Counter: d.counter, Nonce: nonce, Exporter: l.secret}
	return wire.Authenticate{User: p.user, Device: d.key.ID(), Counter: d.counter, Signature: must(d.key.SignSession(s))}
}

func (l *line) authenticate(p *person, d *device) wire.AuthenticateReply {
	l.r.t.Helper()
	d.counter++
	return call(l, l.statement(p, d))
}

// publish appends a state that does c, with what belongs to it. It returns what was sent.
func (p *person) publish(l *line, export []byte, c identity.Change) wire.AccountPublish {
	l.r.t.Helper()
	c.Key, c.Now = p.account, time.Now()
	next := must(p.state().Next(c))
	q := wire.AccountPublish{State: next.Bytes()}
	if c.NewKey != nil {
		p.account = c.NewKey
	}
	if c.Vault != nil {
		p.vault = c.Vault
		for _, item := range call(l, wire.VaultGet{}).Items {
			sealed := must(p.vault.Seal(rand.Reader, p.user, item.Name, item.Version+1, []byte("anew")))
			q.Items = append(q.Items, wire.VaultItem{Name: item.Name, Version: item.Version + 1, Sealed: sealed})
		}
	}
	keys := must(wire.SealKeys(rand.Reader, next, p.keys.Version+1, p.secrets(export)))
	q.Keys = &keys
	call(l, q)
	p.states, p.keys = append(p.states, next), keys
	return q
}

// enrol adds a device by the password, on a line of its own that ends up authenticated.
func (r *rig) enrol(p *person) (*device, *line) {
	r.t.Helper()
	d, l := newDevice(), r.dial()
	p.publish(l, l.login(p), identity.Change{Add: []*identity.DeviceRequest{d.request(p.user)}})
	l.authenticate(p, d)
	return d, l
}

// revoke revokes a device, with all that this takes.
func (p *person) revoke(l *line, export []byte, id qpq.DeviceID) wire.AccountPublish {
	l.r.t.Helper()
	return p.publish(l, export, identity.Change{
		Revoke: []qpq.DeviceID{id}, NewKey: must(identity.NewAccountKey(rand.Reader)), Vault: must(identity.NewVaultKey(rand.Reader)),
	})
}

// tryRevoke revokes a device once, whatever comes of it.
func (r *rig) tryRevoke(p *person, l *line, export []byte, d *device) (wire.AccountPublish, error) {
	r.t.Helper()
	vault, key := must(identity.NewVaultKey(rand.Reader)), must(identity.NewAccountKey(rand.Reader))
	next := must(p.state().Next(identity.Change{Key: p.account, NewKey: key, Vault: vault, Now: time.Now(), Revoke: []qpq.DeviceID{d.key.ID()}}))
	keys := must(wire.SealKeys(rand.Reader, next, p.keys.Version+1, wire.Secrets{
		Password: must(identity.NewPasswordKey(p.user, export, nil)), Account: key, Vault: vault}))
	q := wire.AccountPublish{State: next.Bytes(), Keys: &keys}
	for _, item := range call(l, wire.VaultGet{}).Items {
		q.Items = append(q.Items, wire.VaultItem{Name: item.Name, Version: item.Version + 1, Sealed: []byte("anew")})
	}
	_, err := wire.Call(r.t.Context(), l, q)
	return q, err
}

// keyPackage is what a server may know of a key package: its first bytes.
func keyPackage(suite uint16, rest string) wire.KeyPackage {
	data := append([]byte{0, 1, byte(suite >> 8), byte(suite), byte(len(rest))}, rest...)
	return wire.KeyPackage{Suite: suite, Data: data, Expires: time.Now().Add(time.Hour)}
}

// counted returns what a counter says.
func counted(c prometheus.Counter) float64 {
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		panic(err)
	}
	return m.GetCounter().GetValue()
}
