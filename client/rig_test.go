package client_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/client/disk"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/internal/testserver"
	"github.com/quicproquo/qpq/node"
	"github.com/quicproquo/qpq/opaque"
)

const domain = testserver.Domain

// server is what the devices of a test talk with.
type server struct {
	*testserver.Server
	t    *testing.T
	dial client.Dialer
}

func newServer(t *testing.T, change func(*node.Config)) *server {
	t.Helper()
	s := testserver.New(t, change)
	return &server{s, t, s.Dial}
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

func (d *device) user() qpq.UserID { return must(d.profile.Account()).User }

// eventually waits for a notice that comes by itself.
func (d *device) eventually(code string) {
	for !d.noticed(code) {
		<-d.told
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
