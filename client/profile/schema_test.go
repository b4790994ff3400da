//go:build !js

package profile_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/profile"
)

const (
	later  = `CREATE TABLE later (x INTEGER) STRICT` // a version that there is not yet
	server = "example.org:4433"
)

// older makes a database with version n of the schema and closes it.
func older(t *testing.T, n int) profile.Config {
	t.Helper()
	c := profile.Config{Path: filepath.Join(t.TempDir(), "profile.db"), Key: bytes.Repeat([]byte{7}, profile.KeySize)}
	p, err := profile.OpenAt(c, n)
	check(t, err)
	check(t, p.SetPin(server, []byte(fmt.Sprintf("of schema %d", n))))
	check(t, p.Close())
	check(t, os.Chmod(c.Path, 0o600))
	return c
}

// holds checks what a database has that was made by older, opened by a release that knows as many versions as it has.
func holds(t *testing.T, p *profile.Profile, pinned int, version int) {
	t.Helper()
	if got := must(p.Version()); got != version {
		t.Errorf("schema %d, not %d", got, version)
	}
	if pin := must(p.Pin(server)); string(pin) != fmt.Sprintf("of schema %d", pinned) {
		t.Errorf("pin %q", pin)
	}
	check(t, p.Close())
}

func TestUpgradeCopiesFirst(t *testing.T) {
	newest := profile.Schemas()
	for n := 1; n <= newest; n++ {
		t.Run(fmt.Sprintf("schema %d is kept as it was", n), func(t *testing.T) {
			c := older(t, n)
			check(t, os.WriteFile(c.Path+".schema-1", []byte("of another upgrade"), 0o600))
			p, err := profile.OpenAt(c, newest, later)
			check(t, err)
			holds(t, p, n, newest+1)
			copied := c
			copied.Path = fmt.Sprintf("%s.schema-%d", c.Path, n)
			if info := must(os.Stat(copied.Path)); info.Mode().Perm() != 0o600 {
				t.Errorf("the copy has mode %v", info.Mode())
			}
			p, err = profile.OpenAt(copied, n)
			check(t, err)
			holds(t, p, n, n)
			if list := must(filepath.Glob(c.Path + "*")); len(list) != 2 {
				t.Errorf("files are left: %v", list)
			}
		})
	}
}

func TestNothingToUpgradeIsNotCopied(t *testing.T) {
	c := older(t, profile.Schemas())
	p, err := profile.Open(c)
	check(t, err)
	check(t, p.Close())
	if list := must(filepath.Glob(c.Path + "*")); len(list) != 1 {
		t.Errorf("files: %v", list)
	}
}

func TestFailedUpgradeChangesNothing(t *testing.T) {
	newest := profile.Schemas()
	unchanged := func(c profile.Config) {
		t.Helper()
		p, err := profile.OpenAt(c, newest)
		check(t, err)
		holds(t, p, newest, newest)
	}
	t.Run("where no copy can be made", func(t *testing.T) {
		c := older(t, newest)
		check(t, os.MkdirAll(filepath.Join(fmt.Sprintf("%s.schema-%d", c.Path, newest), "in the way"), 0o700))
		if _, err := profile.OpenAt(c, newest, later); err == nil {
			t.Error("upgraded without a copy")
		}
		unchanged(c)
	})
	t.Run("where a migration fails halfway", func(t *testing.T) {
		c := older(t, newest)
		if _, err := profile.OpenAt(c, newest, later+"; no SQL"); err == nil {
			t.Error("what is no SQL was run")
		}
		unchanged(c)
		p, err := profile.OpenAt(c, newest, later) // not there already
		check(t, err)
		holds(t, p, newest, newest+1)
	})
}

func TestForgetRemovesCopies(t *testing.T) {
	c := older(t, profile.Schemas())
	kept := c.Path + ".schema-1"
	check(t, os.WriteFile(kept, []byte("an older state"), 0o600))
	p, err := profile.Open(c)
	check(t, err)
	check(t, p.Forget())
	check(t, p.Close())
	if _, err := os.Stat(kept); err == nil {
		t.Error("a copy of the account is left")
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	c := older(t, profile.Schemas())
	p, err := profile.Open(c)
	check(t, err)
	check(t, profile.SetSchema(p, 99))
	check(t, p.Close())
	_, err = profile.Open(c)
	if !errors.Is(err, qpq.Unsupported) || qpq.CodeOf(err) != "profile-newer" || !strings.Contains(err.Error(), "a release that knows schema 99") {
		t.Errorf("got %v", err)
	}
}
