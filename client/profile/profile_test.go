//go:build !js

package profile_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/identity"
)

// ring is a keyring, as far as a profile can tell.
type ring map[string][]byte

func (r ring) Load(dir string) ([]byte, error) { return bytes.Clone(r[dir]), nil }
func (r ring) Store(dir string, key []byte) error {
	r[dir] = bytes.Clone(key)
	return nil
}

func open(t *testing.T, dir string, keys profile.Keys) *profile.Profile {
	t.Helper()
	h, err := profile.OpenHome(dir, keys)
	check(t, err)
	p, err := h.Open()
	check(t, err)
	t.Cleanup(func() { _ = errors.Join(p.Close(), h.Close()) })
	return p
}

func TestAccountSurvives(t *testing.T) {
	dir := t.TempDir()
	a := newAccount()
	p := open(t, dir, nil)
	if _, err := p.Account(); !errors.Is(err, profile.ErrNoAccount) {
		t.Fatalf("a new profile: %v", err)
	}
	check(t, p.SetAccount(a))
	check(t, p.Confirm(a.State))
	for want := uint64(1); want <= 3; want++ {
		if n := must(p.Advance()); n != want {
			t.Fatalf("counter %d, want %d", n, want)
		}
	}
	p = reopen(t, p, dir)
	got := must(p.Account())
	if got.User != alice || got.Server != a.Server || !got.Device.Equal(a.Device) || got.Counter != 3 ||
		got.Status != profile.Enrolled || got.State.Hash() != a.State.Hash() || got.Link != nil {
		t.Errorf("read back: %+v", got)
	}
}

func reopen(t *testing.T, p *profile.Profile, dir string) *profile.Profile {
	t.Helper()
	check(t, p.Close())
	return must(profile.Open(profile.Config{Path: filepath.Join(dir, "profile.db"), Key: keyOf(t, dir)}))
}

func keyOf(t *testing.T, dir string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "profile.key"))
	check(t, err)
	return must(base64.StdEncoding.DecodeString(strings.TrimSpace(string(text))))
}

func TestLinkSurvives(t *testing.T) {
	dir := t.TempDir()
	p := open(t, dir, nil)
	a := newAccount()
	a.State, a.Status = nil, profile.Linking
	a.Link = &profile.Link{Code: must(identity.NewLinkCode(rand.Reader)), Sealed: []byte("request")}
	check(t, p.SetAccount(a))
	got := must(reopen(t, p, dir).Account())
	if got.State != nil || got.Link == nil || got.Link.Code.Reveal() != a.Link.Code.Reveal() || string(got.Link.Sealed) != "request" {
		t.Errorf("read back: %+v", got)
	}
}

// TestAClosedProfileSaysSo: who still uses a profile that somebody closed is told.
func TestAClosedProfileSaysSo(t *testing.T) {
	p := open(t, t.TempDir(), nil)
	check(t, p.SetAccount(newAccount()))
	check(t, p.Close())
	_, reading := p.Account()
	writing := p.Change(func(tx *profile.Tx) error { return tx.SetInbox(profile.Inbox{Processed: 1}) })
	for _, err := range []error{reading, writing, p.SetAccount(newAccount())} {
		if !errors.Is(err, profile.ErrClosed) || qpq.KindOf(err) != qpq.Unavailable {
			t.Errorf("got %v", err)
		}
	}
	check(t, p.Close())
}

func TestOneProcessHoldsIt(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, nil)
	if _, err := profile.OpenHome(dir, nil); !errors.Is(err, qpq.Exists) || qpq.CodeOf(err) != "profile-in-use" {
		t.Errorf("a second one got %v", err)
	}
}

func TestNothingIsReadable(t *testing.T) {
	dir := t.TempDir()
	p := open(t, dir, nil)
	a := newAccount()
	check(t, p.SetAccount(a))
	check(t, p.SetDeviceName(a.Device.ID(), "the-name-of-a-device"))
	check(t, p.AddKeyPackages([]profile.KeyPackage{{Ref: []byte("a reference"), Bundle: []byte("a private bundle"), Expires: time.Now()}}))
	key := keyOf(t, dir)
	for _, f := range must(os.ReadDir(dir)) { // before the database is closed: the journal too
		b := must(os.ReadFile(filepath.Join(dir, f.Name())))
		id := a.Device.ID()
		for what, secret := range map[string][]byte{
			"the user": []byte(alice.Name), "a name": []byte("the-name-of-a-device"), "the schema": []byte("CREATE TABLE"),
			"a bundle": []byte("a private bundle"), "the device key": a.Device.Bytes()[1:], "the device": id[:], "the key": key,
		} {
			if bytes.Contains(b, secret) {
				t.Errorf("%s holds %s", f.Name(), what)
			}
		}
		if info := must(f.Info()); info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", f.Name(), info.Mode())
		}
	}
}

func TestKeyring(t *testing.T) {
	dir, keys := t.TempDir(), ring{}
	p := open(t, dir, keys)
	check(t, p.SetAccount(newAccount()))
	if _, err := os.Stat(filepath.Join(dir, "profile.key")); err == nil || len(keys[dir]) != profile.KeySize {
		t.Error("the key is in a file although there is a keyring")
	}
	check(t, p.Close())
	other := filepath.Join(t.TempDir(), "copy")
	check(t, os.CopyFS(other, os.DirFS(dir)))
	h := must(profile.OpenHome(other, ring{}))
	defer h.Close()
	if _, err := h.Open(); !errors.Is(err, qpq.Damaged) || qpq.CodeOf(err) != "key-missing" {
		t.Errorf("without its key: %v", err)
	}
}

func TestDamage(t *testing.T) {
	dir := t.TempDir()
	p := open(t, dir, nil)
	check(t, p.SetAccount(newAccount()))
	check(t, p.Close())
	key, path := keyOf(t, dir), filepath.Join(dir, "profile.db")
	whole := must(os.ReadFile(path))
	try := func(name string, b, key []byte) {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "profile.db")
			check(t, os.WriteFile(file, b, 0o600))
			p, err := profile.Open(profile.Config{Path: file, Key: key})
			if err == nil {
				_, err = p.Account()
				defer p.Close()
			}
			if !errors.Is(err, qpq.Damaged) {
				t.Errorf("got %v", err)
			}
		})
	}
	try("another key", whole, bytes.Repeat([]byte{1}, profile.KeySize))
	try("the first page cut", whole[:100], key)
	for at := 50; at < len(whole); at += 4096 { // each page of 4096 bytes
		changed := bytes.Clone(whole)
		changed[at] ^= 1
		file := filepath.Join(t.TempDir(), "profile.db")
		check(t, os.WriteFile(file, changed, 0o600))
		p, err := profile.Open(profile.Config{Path: file, Key: key})
		if err == nil {
			if a, err := p.Account(); err == nil && a.User != alice {
				t.Errorf("a changed byte at %d gave another account", at)
			}
			check(t, p.Close())
		} else if !errors.Is(err, qpq.Damaged) {
			t.Errorf("a changed byte at %d: %v", at, err)
		}
	}
}

func TestRewindDropsKeyPackages(t *testing.T) {
	p := open(t, t.TempDir(), nil)
	check(t, p.SetAccount(newAccount()))
	now := time.Now().Truncate(time.Second)
	check(t, p.AddKeyPackages([]profile.KeyPackage{
		{Ref: []byte{1}, Suite: 7, Bundle: []byte("one"), Expires: now.Add(-time.Hour)},
		{Ref: []byte{2}, Suite: 7, Bundle: []byte("two"), Expires: now, LastResort: true},
	}))
	check(t, p.DropKeyPackages(now))
	list := must(p.KeyPackages())
	if len(list) != 1 || string(list[0].Bundle) != "two" || !list[0].LastResort || !list[0].Expires.Equal(now) || list[0].Suite != 7 {
		t.Fatalf("key packages: %+v", list)
	}
	check(t, p.Rewind(41))
	if list := must(p.KeyPackages()); len(list) != 0 {
		t.Error("an old copy keeps key packages that the newer one may have used")
	}
	if !must(p.Account()).Replace {
		t.Error("that the server's key packages are to be replaced is forgotten")
	}
	check(t, p.Replaced())
	if must(p.Account()).Replace {
		t.Error("replacing them has no end")
	}
	if n := must(p.Advance()); n != 42 {
		t.Errorf("the counter goes on at %d", n)
	}
}

func TestNothingGoesBackwards(t *testing.T) {
	p := open(t, t.TempDir(), nil)
	own := newAccount()
	own.Status = profile.Enrolled
	check(t, p.SetAccount(own))
	check(t, p.SetVaultVersion("contacts", 3))
	check(t, p.SetVaultVersion("contacts", 2))
	check(t, p.Leave())
	if state := must(p.Contact(alice)); state == nil || state.Hash() != own.State.Hash() {
		t.Error("who leaves forgets the newest state of the account")
	}
	check(t, p.SetAccount(own))
	if n := must(p.VaultVersion("contacts")); n != 3 {
		t.Errorf("version %d", n)
	}
	check(t, p.Forget())
	if state := must(p.Contact(alice)); state != nil {
		t.Error("who forgets knows the account still")
	}
	device, key := must(identity.NewDeviceKey(rand.Reader)), must(identity.NewAccountKey(rand.Reader))
	first := must(identity.NewAccount(key, must(device.Request(alice, []uint16{1})), must(identity.NewVaultKey(rand.Reader)), time.Now()))
	second := must(first.Next(identity.Change{Key: key, Now: time.Now()}))
	check(t, p.SetContact(second))
	check(t, p.SetContact(first))
	if got := must(p.Contact(alice)); got.Version != 2 {
		t.Errorf("state %d", got.Version)
	}
}

// TestAccountsThatChanged: who has a newer state is kept in mind until conversations were looked after by it. The first sight of somebody, and what is
// known already, change nothing.
func TestAccountsThatChanged(t *testing.T) {
	p := open(t, t.TempDir(), nil)
	own, bob := newAccount(), qpq.UserID{Name: "bob", Domain: "example.org"}
	own.Status = profile.Enrolled
	check(t, p.SetAccount(own))
	device, key := must(identity.NewDeviceKey(rand.Reader)), must(identity.NewAccountKey(rand.Reader))
	first := must(identity.NewAccount(key, must(device.Request(bob, []uint16{1})), must(identity.NewVaultKey(rand.Reader)), time.Now()))
	second := must(first.Next(identity.Change{Key: key, Now: time.Now()}))
	changed := func(want ...qpq.UserID) {
		t.Helper()
		if got := must(p.ChangedAccounts()); !slices.Equal(got, want) {
			t.Errorf("changed: %v, want %v", got, want)
		}
	}
	check(t, errors.Join(p.SetContact(first), p.SetContact(first), p.SetState(own.State), p.Confirm(own.State)))
	changed()
	check(t, p.SetContact(second))
	changed(bob)
	check(t, p.Change(func(tx *profile.Tx) error { return tx.ClearChanged(bob) }))
	check(t, p.SetContact(first))
	changed()
}
