package node

import (
	"bytes"
	"crypto/ecdsa"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/store/sqlite"
)

func TestHome(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	h, err := OpenHome(dir, "v1")
	check(t, err)
	_, err = h.Passwords()
	check(t, err)
	key, err := h.SigningKey()
	check(t, err)
	cert, err := h.Certificate("example.org", "", "", time.Now())
	check(t, err)
	fingerprint := cert.Fingerprint()
	engine, err := sqlite.Open(t.Context(), sqlite.Config{Path: h.Database()})
	check(t, err)
	check(t, engine.Close())

	check(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		info := must(d.Info())
		want := os.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %o", path, info.Mode().Perm())
		}
		return err
	}))
	if exposed := h.Exposed(); len(exposed) != 0 {
		t.Errorf("exposed: %v", exposed)
	}
	if _, err := OpenHome(dir, "v1"); !errors.Is(err, qpq.Exists) || !strings.Contains(err.Error(), "release v1") {
		t.Errorf("a second server: %v", err)
	}
	if _, err := SharedHome(dir, "v2"); !errors.Is(err, qpq.Exists) {
		t.Errorf("sharing with another release: %v", err)
	}
	shared, err := SharedHome(dir, "v1")
	check(t, err)
	check(t, shared.Close())
	check(t, h.Close())

	h, err = OpenHome(dir, "v1")
	check(t, err)
	defer h.Close()
	if again := must(h.SigningKey()); !again.Equal(key) {
		t.Error("the signing key changed")
	}
	if again := must(h.Certificate("example.org", "", "", time.Now())); again.Fingerprint() != fingerprint || !again.Own() {
		t.Error("the certificate changed")
	}
	check(t, os.Remove(h.path(fileCertificate)))
	if again := must(h.Certificate("example.org", "", "", time.Now())); again.Fingerprint() != fingerprint || again.NewKey() {
		t.Error("a certificate that was lost came back with another key")
	}
	check(t, errors.Join(os.Remove(h.path(fileCertificate)), os.Remove(h.path(fileTLSKey))))
	if again := must(h.Certificate("example.org", "", "", time.Now())); again.Fingerprint() == fingerprint || !again.NewKey() {
		t.Error("a key that was lost was made anew, and nobody is told")
	}
	check(t, os.Chmod(h.path(filePasswords), 0o644))
	if exposed := h.Exposed(); len(exposed) != 1 || filepath.Base(exposed[0]) != filePasswords {
		t.Errorf("exposed: %v", exposed)
	}
}

func TestLostAndDamagedKeys(t *testing.T) {
	h, err := OpenHome(t.TempDir(), "v1")
	check(t, err)
	defer h.Close()
	must(h.Passwords())
	must(h.SigningKey())
	check(t, os.WriteFile(h.Database(), nil, 0o600))
	read := map[string]func() error{
		filePasswords: func() error { _, err := h.Passwords(); return err },
		fileSigning:   func() error { _, err := h.SigningKey(); return err },
	}
	for name, load := range read {
		good := must(os.ReadFile(h.path(name)))
		for what, content := range map[string][]byte{
			"empty": {}, "cut": good[:len(good)/2], "longer": append(bytes.Clone(good), "x"...), "other": []byte("-----BEGIN X-----\n-----END X-----\n"),
		} {
			check(t, os.WriteFile(h.path(name), content, 0o600))
			if err := load(); !errors.Is(err, qpq.Damaged) {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
		check(t, os.Remove(h.path(name)))
		if err := load(); !errors.Is(err, qpq.Damaged) {
			t.Errorf("%s lost: %v", name, err)
		}
		if _, err := os.Stat(h.path(name)); err == nil {
			t.Errorf("%s was made anew over a database", name)
		}
		check(t, os.WriteFile(h.path(name), good, 0o600))
		check(t, load())
	}
}

func TestCertificate(t *testing.T) {
	h, err := OpenHome(t.TempDir(), "v1")
	check(t, err)
	defer h.Close()
	now := time.Now()
	c, err := h.Certificate("example.org", "", "", now)
	check(t, err)
	check(t, c.Check("example.org", now))
	if _, ok := c.Leaf().PublicKey.(*ecdsa.PublicKey); !ok {
		t.Errorf("%T", c.Leaf().PublicKey)
	}
	for what, f := range map[string]func() error{
		"another name": func() error { return c.Check("b.example", now) },
		"too early":    func() error { return c.Check("example.org", now.AddDate(-1, 0, 0)) },
		"too late":     func() error { return c.Check("example.org", now.AddDate(selfSignedYears, 0, 1)) },
		"almost":       func() error { return c.Check("example.org", now.AddDate(selfSignedYears, 0, -1)) },
	} {
		if err := f(); !errors.Is(err, qpq.Invalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := h.Certificate("example.org", c.certFile, "", now); !errors.Is(err, qpq.Invalid) {
		t.Errorf("a certificate without a key: %v", err)
	}
	if _, err := h.Certificate("example.org", c.certFile, h.path("none"), now); !errors.Is(err, qpq.NotFound) {
		t.Errorf("a key that is not there: %v", err)
	}
}

func TestCertificateIsReloaded(t *testing.T) {
	dir := t.TempDir()
	a, err := OpenHome(filepath.Join(dir, "a"), "v1")
	check(t, err)
	defer a.Close()
	b, err := OpenHome(filepath.Join(dir, "b"), "v1")
	check(t, err)
	defer b.Close()
	must(b.Certificate("example.org", "", "", time.Now()))
	cert, key := filepath.Join(dir, "x.crt"), filepath.Join(dir, "x.key")
	copyPair := func(from *Home, at time.Time) {
		for to, name := range map[string]string{cert: fileCertificate, key: fileTLSKey} {
			check(t, os.WriteFile(to, must(os.ReadFile(from.path(name))), 0o600))
			check(t, os.Chtimes(to, at, at))
		}
	}
	must(a.Certificate("example.org", "", "", time.Now()))
	copyPair(a, time.Now().Add(-time.Hour))
	c, err := b.Certificate("example.org", cert, key, time.Now())
	check(t, err)
	first := c.Fingerprint()
	if changed, err := c.Reload(); changed || err != nil || c.Own() {
		t.Errorf("nothing changed: %v %v", changed, err)
	}
	check(t, os.WriteFile(key, []byte("half a key"), 0o600))
	if _, err := c.Reload(); !errors.Is(err, qpq.Invalid) || c.Fingerprint() != first {
		t.Errorf("a broken key: %v", err)
	}
	copyPair(b, time.Now())
	if changed, err := c.Reload(); !changed || err != nil || c.Fingerprint() == first {
		t.Errorf("a new certificate: %v %v", changed, err)
	}
	served := must(c.TLS().GetCertificate(nil))
	if !bytes.Equal(served.Certificate[0], c.Leaf().Raw) {
		t.Error("the old certificate is served")
	}
}
