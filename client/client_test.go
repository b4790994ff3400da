package client_test

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/client/disk"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/node"
	"github.com/quicproquo/qpq/opaque"
	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/store/folder"
	"github.com/quicproquo/qpq/store/sqlite"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/transport/mem"
	"github.com/quicproquo/qpq/wire"
)

const domain = "example.org"

// server is a real server that is reached through memory.
type server struct {
	t        *testing.T
	path     string
	cfg      node.Config
	listener *mem.Listener
	stop     func()
}

func newServer(t *testing.T, change func(*node.Config)) *server {
	t.Helper()
	password := opaque.Configuration{}
	setup := must(opaque.NewServerSetup(password))
	_, key, err := ed25519.GenerateKey(nil)
	check(t, err)
	s := &server{t: t, path: filepath.Join(t.TempDir(), "qpq.db")}
	s.cfg = node.Config{Domain: domain, Passwords: opaque.NewServer(password, setup), SigningKey: key}
	s.cfg.Limits = node.Limits{AddressRate: 1e6, AccountRate: 1e6, PasswordFloor: time.Nanosecond, LookupFloor: time.Nanosecond}
	if change != nil {
		change(&s.cfg)
	}
	s.start()
	t.Cleanup(func() { s.stop() })
	return s
}

func (s *server) start(also ...transport.Listener) {
	s.t.Helper()
	engine, err := sqlite.Open(context.Background(), sqlite.Config{Path: s.path})
	check(s.t, err)
	blobs, err := folder.Open(s.path + ".files")
	check(s.t, err)
	s.cfg.Store, err = store.Open(context.Background(), engine, store.Config{Domain: domain, Now: time.Now(), Blobs: blobs})
	check(s.t, err)
	n, err := node.New(s.cfg)
	check(s.t, err)
	s.listener = mem.Listen("server")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx, append(also, s.listener)...) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		check(s.t, <-done)
		check(s.t, engine.Close())
	})
}

// dial is what clients reach the server by.
func (s *server) dial(ctx context.Context, _ string, _ func(tls.ConnectionState) error) (transport.Conn, error) {
	return s.listener.Dial(ctx, "client")
}

// device is one client with its profile.
type device struct {
	*client.Client
	t       *testing.T
	home    *profile.Home
	profile *profile.Profile
	dir     string
	address string // where visit goes

	mu      sync.Mutex
	notices []client.Notice
	told    chan struct{} // has room for one: there are more notices
}

func (s *server) device(t *testing.T) *device {
	d := &device{t: t, dir: t.TempDir(), told: make(chan struct{}, 1)}
	d.open(s.dial)
	t.Cleanup(d.close)
	return d
}

func (d *device) open(dial client.Dialer) {
	d.t.Helper()
	var err error
	d.home, err = profile.OpenHome(d.dir, nil)
	check(d.t, err)
	d.profile, err = d.home.Open()
	check(d.t, err)
	d.Client = client.New(client.Config{Profile: d.profile, Dial: dial, Server: domain, KSF: opaque.Identity, Files: disk.Files{}, Notice: func(n client.Notice) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.notices = append(d.notices, n)
		select {
		case d.told <- struct{}{}:
		default:
		}
	}})
}

func (d *device) close() {
	check(d.t, errors.Join(d.Client.Close(), d.profile.Close(), d.home.Close()))
}

func (d *device) reopen(dial client.Dialer) {
	d.t.Helper()
	d.close()
	d.open(dial)
}

func (d *device) noticed(code string) bool { return d.notice(code) != "" }

// notice returns the first notice of a code, empty where there is none.
func (d *device) notice(code string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, n := range d.notices {
		if n.Code == code {
			return n.Text
		}
	}
	return ""
}

// count returns how many notices of a code there were.
func (d *device) count(code string) (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, notice := range d.notices {
		if notice.Code == code {
			n++
		}
	}
	return n
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func wants(t *testing.T, err error, kind qpq.Kind, code string) {
	t.Helper()
	if !errors.Is(err, kind) || qpq.CodeOf(err) != code {
		t.Errorf("got %v (%s), want %v (%s)", err, qpq.CodeOf(err), kind, code)
	}
}

func with(password string) client.Credentials {
	return client.Credentials{Password: must(client.NewPassword([]byte(password)))}
}

const secret = "correct horse battery"

func (d *device) register(name string) *client.Whoami {
	d.t.Helper()
	w, err := d.Register(d.t.Context(), client.Registration{User: name, Password: with(secret).Password, DeviceName: "first"})
	check(d.t, err)
	return w
}

func TestRegister(t *testing.T) {
	s := newServer(t, nil)
	d := s.device(t)
	w := d.register("Alice")
	if w.User.String() != "alice@example.org" || !w.Admin || w.Name != "first" || w.Devices != 1 || w.Carrier != "mem" {
		t.Errorf("whoami: %+v", w)
	}
	_, err := d.Register(t.Context(), client.Registration{User: "bob", Password: with(secret).Password})
	wants(t, err, qpq.Exists, "signed-in")
	for _, name := range []string{"alice", "ALICE", "ａｌｉｃｅ"} {
		_, err = s.device(t).Register(t.Context(), client.Registration{User: name, Password: with(secret).Password})
		wants(t, err, qpq.Exists, wire.CodeNameTaken)
	}
	_, err = s.device(t).Register(t.Context(), client.Registration{User: "bob", Password: with("short").Password})
	wants(t, err, qpq.Invalid, "weak-password")
	_, err = s.device(t).Register(t.Context(), client.Registration{User: "bob@elsewhere.org", Password: with(secret).Password})
	wants(t, err, qpq.NotFound, wire.CodeWrongDomain)
	_, err = s.device(t).Whoami(t.Context())
	wants(t, err, qpq.NotFound, "not-signed-in")
}

func TestTheDeviceSurvivesARestart(t *testing.T) {
	s := newServer(t, nil)
	d := s.device(t)
	before := d.register("alice")
	d.reopen(s.dial)
	s.stop()
	s.start()
	after, err := d.Whoami(t.Context())
	check(t, err)
	if after.Device != before.Device || after.StateVersion != 1 {
		t.Errorf("before %+v, after %+v", before, after)
	}
	if len(d.notices) > 0 {
		t.Errorf("notices: %v", d.notices)
	}
}

func TestKeyPackagesAreKept(t *testing.T) {
	s := newServer(t, nil)
	a, b := s.device(t), s.device(t)
	a.register("alice")
	b.register("bob")
	list := must(a.profile.KeyPackages())
	if len(list) != 21 {
		t.Fatalf("%d key packages in the profile", len(list))
	}
	state, err := b.Lookup(t.Context(), a.user())
	check(t, err)
	if state.User != a.user() || must(b.profile.Contact(a.user())).Version != 1 {
		t.Errorf("looked up %+v", state)
	}
}

func (d *device) user() qpq.UserID { return must(d.profile.Account()).User }

func TestLogin(t *testing.T) {
	s := newServer(t, nil)
	first, second := s.device(t), s.device(t)
	first.register("alice")
	_, err := second.Login(t.Context(), "alice", with("wrong password"), "")
	wants(t, err, qpq.Denied, wire.CodeLoginFailed)
	_, err = second.Login(t.Context(), "nobody", with(secret), "")
	wants(t, err, qpq.Denied, wire.CodeLoginFailed)
	w, err := second.Login(t.Context(), "alice@example.org", with(secret), "second")
	check(t, err)
	if w.Devices != 2 || w.StateVersion != 2 || w.Name != "second" {
		t.Errorf("whoami: %+v", w)
	}
	list, err := first.Devices(t.Context())
	check(t, err)
	if len(list) != 2 || list[0].Name != "first" || !list[0].This || list[1].Name != "second" || list[1].This {
		t.Errorf("devices: %+v", list)
	}
	first.eventually("device-added")
}

// eventually waits for a notice that comes by itself.
func (d *device) eventually(code string) {
	for !d.noticed(code) {
		<-d.told
	}
}

func TestRecoveryCode(t *testing.T) {
	s := newServer(t, nil)
	first, second := s.device(t), s.device(t)
	code := must(identity.NewRecoveryCode(strings.NewReader(strings.Repeat("r", 64))))
	_, err := first.Register(t.Context(), client.Registration{User: "alice", Password: with(secret).Password, Recovery: code})
	check(t, err)
	_, err = second.Login(t.Context(), "alice", with(secret), "")
	wants(t, err, qpq.Invalid, client.CodeRecoveryNeeded)
	wrong := with(secret)
	wrong.Recovery = must(identity.NewRecoveryCode(strings.NewReader(strings.Repeat("w", 64))))
	_, err = second.Login(t.Context(), "alice", wrong, "")
	wants(t, err, qpq.Denied, "wrong-recovery")
	right := with(secret)
	right.Recovery = code
	_, err = second.Login(t.Context(), "alice", right, "")
	check(t, err)
}

func TestChangePassword(t *testing.T) {
	s := newServer(t, nil)
	first, second := s.device(t), s.device(t)
	first.register("alice")
	_, err := second.Login(t.Context(), "alice", with(secret), "second")
	check(t, err)
	second.close() // offline
	wants(t, first.ChangePassword(t.Context(), with("not the password"), with("another good one")), qpq.Denied, wire.CodeLoginFailed)
	wants(t, first.ChangePassword(t.Context(), with(secret), with("short")), qpq.Invalid, "weak-password")
	check(t, first.ChangePassword(t.Context(), with(secret), with("another good one")))
	second.open(s.dial)
	list, err := second.Devices(t.Context()) // it still opens the vault
	check(t, err)
	if len(list) != 2 || list[0].Name != "first" {
		t.Errorf("devices: %+v", list)
	}
	third := s.device(t)
	_, err = third.Login(t.Context(), "alice", with(secret), "")
	wants(t, err, qpq.Denied, wire.CodeLoginFailed)
	_, err = third.Login(t.Context(), "alice", with("another good one"), "third")
	check(t, err)
}

func TestRevoke(t *testing.T) {
	s := newServer(t, nil)
	first, second, third := s.device(t), s.device(t), s.device(t)
	first.register("alice")
	stolen, err := second.Login(t.Context(), "alice", with(secret), "stolen")
	check(t, err)
	_, err = third.Login(t.Context(), "alice", with(secret), "third")
	check(t, err)
	check(t, first.VaultPut(t.Context(), "contacts", []byte("bob"), 0))
	wants(t, second.RevokeDevice(t.Context(), stolen.Device, with(secret)), qpq.Invalid, "own-device")
	wants(t, first.RevokeDevice(t.Context(), stolen.Device, with("wrong password")), qpq.Denied, wire.CodeLoginFailed)
	check(t, first.RevokeDevice(t.Context(), stolen.Device, with(secret)))
	_, err = second.Devices(t.Context())
	wants(t, err, qpq.Denied, wire.CodeDeviceUnknown)
	list, err := third.Devices(t.Context())
	check(t, err)
	if len(list) != 2 || list[0].Name != "first" || list[1].Name != "third" {
		t.Errorf("devices: %+v", list)
	}
	content, version, err := third.VaultGet(t.Context(), "contacts")
	if err != nil || string(content) != "bob" || version != 2 {
		t.Errorf("the vault: %q %d %v", content, version, err)
	}
	check(t, first.RevokeDevice(t.Context(), stolen.Device, with(secret))) // again changes nothing
	again, err := second.Login(t.Context(), "alice", with(secret), "found again")
	check(t, err)
	if again.Device == stolen.Device {
		t.Error("a revoked device came back")
	}
}

func TestTooManyDevices(t *testing.T) {
	s := newServer(t, nil)
	s.device(t).register("alice")
	for range identity.MaxDevices - 1 {
		_, err := s.device(t).Login(t.Context(), "alice", with(secret), "")
		check(t, err)
	}
	_, err := s.device(t).Login(t.Context(), "alice", with(secret), "")
	wants(t, err, qpq.Exhausted, "too-many-devices")
}

func TestLink(t *testing.T) {
	s := newServer(t, nil)
	first, second := s.device(t), s.device(t)
	first.register("alice")
	linking, err := first.LinkStart(t.Context())
	check(t, err)
	type result struct {
		w   *client.Whoami
		err error
	}
	joined := make(chan result, 1)
	go func() {
		w, err := second.LinkJoin(t.Context(), "alice", linking.Code, "second", func(qpq.DeviceID) {})
		joined <- result{w, err}
	}()
	request, err := linking.Wait(t.Context())
	check(t, err)
	wants(t, linking.Approve(t.Context(), with("wrong password")), qpq.Denied, wire.CodeLoginFailed)
	check(t, linking.Approve(t.Context(), with(secret)))
	r := <-joined
	check(t, r.err)
	if r.w.Device != request.ID() || r.w.Devices != 2 || r.w.Name != "second" {
		t.Errorf("whoami: %+v", r.w)
	}
	other := s.device(t)
	_, err = other.LinkJoin(t.Context(), "alice", must(identity.NewLinkCode(strings.NewReader(strings.Repeat("x", 64)))), "", func(qpq.DeviceID) {})
	wants(t, err, qpq.NotFound, wire.CodeLinkUnknown)
	_, err = other.Whoami(t.Context())
	wants(t, err, qpq.NotFound, "not-signed-in")
}

func TestAnInterruptedLinkGoesOn(t *testing.T) {
	s := newServer(t, nil)
	first, second := s.device(t), s.device(t)
	first.register("alice")
	linking, err := first.LinkStart(t.Context())
	check(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	joined := make(chan error, 1)
	go func() {
		_, err := second.LinkJoin(ctx, "alice", linking.Code, "second", func(qpq.DeviceID) {})
		joined <- err
	}()
	_, err = linking.Wait(t.Context())
	check(t, err)
	cancel()
	wants(t, <-joined, qpq.Unavailable, "cancelled")
	second.reopen(s.dial)
	check(t, linking.Approve(t.Context(), with(secret)))
	w, err := second.Whoami(t.Context())
	check(t, err)
	if w.Devices != 2 {
		t.Errorf("whoami: %+v", w)
	}
}

func TestDelete(t *testing.T) {
	s := newServer(t, nil)
	first, second := s.device(t), s.device(t)
	first.register("alice")
	_, err := second.Login(t.Context(), "alice", with(secret), "")
	check(t, err)
	wants(t, first.Delete(t.Context(), with("wrong password")), qpq.Denied, wire.CodeLoginFailed)
	check(t, first.Delete(t.Context(), with(secret)))
	_, err = first.Whoami(t.Context())
	wants(t, err, qpq.NotFound, "not-signed-in")
	_, err = second.Whoami(t.Context())
	wants(t, err, qpq.Denied, wire.CodeDeviceUnknown)
	_, err = s.device(t).Register(t.Context(), client.Registration{User: "alice", Password: with(secret).Password})
	wants(t, err, qpq.Exists, wire.CodeNameTaken)
}

func TestADeletionThatWasCutOffIsFinishedOrUndone(t *testing.T) {
	s := newServer(t, nil)
	first, second := s.device(t), s.device(t)
	first.register("alice")
	_, err := second.Login(t.Context(), "alice", with(secret), "")
	check(t, err)
	check(t, first.profile.SetStatus(profile.Deleting)) // the server was never asked
	first.reopen(s.dial)
	_, err = first.Whoami(t.Context())
	check(t, err)
	if status := must(first.profile.Account()).Status; status != profile.Enrolled {
		t.Errorf("status %d", status)
	}
	check(t, first.profile.SetStatus(profile.Deleting)) // the server was asked, and its answer got lost
	check(t, second.Delete(t.Context(), with(secret)))
	first.reopen(s.dial)
	_, err = first.Whoami(t.Context())
	wants(t, err, qpq.NotFound, "not-signed-in")
	if !first.noticed("interrupted") {
		t.Errorf("notices: %v", first.notices)
	}
}

func TestACopyOfAProfileIsToldApart(t *testing.T) {
	s := newServer(t, nil)
	d := s.device(t)
	d.register("alice")
	d.close()
	backup := t.TempDir()
	check(t, copyFiles(d.dir, backup))
	d.open(s.dial)
	_, err := d.Whoami(t.Context()) // the session that the copy knows nothing of
	check(t, err)
	used := must(d.profile.KeyPackages())
	d.close()
	old := &device{t: t, dir: backup}
	old.open(s.dial)
	defer old.close()
	_, err = old.Whoami(t.Context())
	check(t, err)
	if !old.noticed("old-copy") {
		t.Errorf("notices: %v", old.notices)
	}
	fresh := must(old.profile.KeyPackages())
	for _, k := range fresh {
		if slices.ContainsFunc(used, func(u profile.KeyPackage) bool { return string(u.Ref) == string(k.Ref) }) {
			t.Fatal("the copy keeps a key package that the newer state may have used")
		}
	}
	if len(fresh) != 21 {
		t.Errorf("%d key packages", len(fresh))
	}
	d.open(s.dial)
}

func TestAReplacementThatWasCutOffIsMadeUpFor(t *testing.T) {
	s := newServer(t, nil)
	d := s.device(t)
	d.register("alice")
	check(t, d.profile.Rewind(40)) // and the server was not told of other key packages
	d.reopen(s.dial)
	_, err := d.Whoami(t.Context())
	check(t, err)
	if n := len(must(d.profile.KeyPackages())); n != 21 {
		t.Errorf("the server offers 21 key packages, and this device can use %d", n)
	}
	d.reopen(s.dial)
	_, err = d.Whoami(t.Context())
	check(t, err)
	if n := len(must(d.profile.KeyPackages())); n != 21 {
		t.Errorf("replaced once more: %d key packages", n)
	}
}

// late is a connection whose end is not told to who looks.
type late struct {
	transport.Conn
	done  chan struct{}
	close func()
}

func (l late) Done() <-chan struct{} { return l.done }

func (l late) Close(code transport.Code, text string) error {
	l.close()
	return l.Conn.Close(code, text)
}

func TestACallThatWasLostIsRepeatedOnAnotherConnection(t *testing.T) {
	s := newServer(t, nil)
	first, second := s.device(t), s.device(t)
	first.register("alice")
	var conns []transport.Conn
	first.reopen(func(ctx context.Context, address string, verify func(tls.ConnectionState) error) (transport.Conn, error) {
		conn, err := s.dial(ctx, address, verify)
		conns = append(conns, conn)
		done := make(chan struct{})
		return late{conn, done, sync.OnceFunc(func() { close(done) })}, err
	})
	linking, err := first.LinkStart(t.Context())
	check(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	joined := make(chan error, 1)
	go func() {
		_, err := second.LinkJoin(ctx, "alice", linking.Code, "", func(qpq.DeviceID) {})
		joined <- err
	}()
	check(t, conns[0].Close(transport.CodeDone, ""))
	_, err = linking.Wait(t.Context())
	if len(conns) != 2 || err != nil {
		t.Errorf("%d connections, %v", len(conns), err)
	}
	cancel()
	wants(t, <-joined, qpq.Unavailable, "cancelled")
}

// deaf is a connection that loses what the server says by itself.
type deaf struct{ transport.Conn }

func (d deaf) Accept(ctx context.Context) (transport.Stream, error) {
	for {
		stream, err := d.Conn.Accept(ctx)
		if err != nil {
			return nil, err
		}
		stream.Reset(transport.CodeDone)
	}
}

func TestWhoIsSupersededDoesNotFightBack(t *testing.T) {
	s := newServer(t, nil)
	d := s.device(t)
	d.register("alice")
	d.close()
	twin := &device{t: t, dir: t.TempDir()}
	check(t, copyFiles(d.dir, twin.dir))
	d.open(func(ctx context.Context, address string, verify func(tls.ConnectionState) error) (transport.Conn, error) {
		conn, err := s.dial(ctx, address, verify)
		return deaf{conn}, err
	})
	_, err := d.Whoami(t.Context())
	check(t, err)
	twin.open(s.dial)
	defer twin.close()
	_, err = twin.Whoami(t.Context())
	check(t, err)
	for { // until the news arrives that the connection has ended
		if _, err = d.Devices(t.Context()); err != nil {
			break
		}
	}
	wants(t, err, qpq.Conflict, "superseded")
	_, err = d.Whoami(t.Context())
	wants(t, err, qpq.Conflict, "superseded")
	_, err = twin.Devices(t.Context())
	check(t, err)
}

// TestAServerFromYesterday: the device gives back what the server lost, so that it lets in the one that was added since, which
// can open the vault; with two versions missing people are told, and what the device knows stays.
func TestAServerFromYesterday(t *testing.T) {
	for _, added := range []int{1, 2} {
		t.Run(fmt.Sprintf("%d versions are missing", added), func(t *testing.T) {
			s := newServer(t, nil)
			d := s.device(t)
			d.register("alice")
			check(t, d.VaultPut(t.Context(), "contacts", []byte("bob"), 0))
			s.stop()
			yesterday := filepath.Join(t.TempDir(), "qpq.db")
			check(t, sqlite.Copy(s.path, yesterday))
			s.start()
			var second *device
			for range added {
				second = s.device(t)
				_, err := second.Login(t.Context(), "alice", with(secret), "second")
				check(t, err)
			}
			_, err := d.Devices(t.Context())
			check(t, err)
			s.stop()
			s.path = yesterday
			s.start()
			w, err := d.Whoami(t.Context())
			if check(t, err); int(w.StateVersion) != 1+added {
				t.Errorf("the device knows version %d", w.StateVersion)
			}
			if d.noticed("rolled-back") != (added == 2) || d.noticed("given-back") != (added == 1) {
				t.Errorf("the server forgot a device, and the person was told %v", d.notices)
			}
			list, devicesErr := d.Devices(t.Context())
			_, secondErr := second.Whoami(t.Context())
			if added == 2 {
				wants(t, devicesErr, qpq.Damaged, "rolled-back")
				wants(t, secondErr, qpq.Denied, wire.CodeDeviceUnknown)
				return
			}
			check(t, errors.Join(devicesErr, secondErr))
			if len(list) != 2 {
				t.Errorf("devices: %+v", list)
			}
			content, _, err := second.VaultGet(t.Context(), "contacts")
			if check(t, err); string(content) != "bob" {
				t.Errorf("the vault says %q", content)
			}
			check(t, d.RevokeDevice(t.Context(), must(second.Whoami(t.Context())).Device, with(secret)))
		})
	}
}

func copyFiles(from, to string) error {
	for _, name := range []string{"profile.db", "profile.db-wal", "profile.key"} {
		b, err := os.ReadFile(filepath.Join(from, name))
		if errors.Is(err, fs.ErrNotExist) { // the second one is there while the profile is open
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), b, 0o600)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
