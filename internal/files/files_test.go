//go:build !js

package files_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/quicproquo/qpq/internal/files"
)

func TestWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	for _, content := range []string{"first, and longer", "second"} {
		if err := files.Write(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != content {
			t.Errorf("%q, %v", got, err)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 && filepath.Separator == '/' {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	only(t, filepath.Dir(path), "key")
}

func TestWhatFailsLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "taken", "by a folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := files.Write(filepath.Join(dir, "taken"), []byte("x")); err == nil {
		t.Error("a folder was replaced")
	}
	only(t, dir, "taken")
	if err := files.Write(filepath.Join(dir, "no folder", "x"), nil); err == nil {
		t.Error("a folder was made")
	}
}

// only checks what is in a folder.
func only(t *testing.T, dir, name string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil || len(list) != 1 || list[0].Name() != name {
		t.Errorf("%v, %v", list, err)
	}
}

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	open := func() *os.File {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	first, second := open(), open()
	defer second.Close()
	if err := files.Lock(first); err != nil {
		t.Fatal(err)
	}
	if err := files.Lock(second); err == nil {
		t.Error("two have it")
	}
	defer inherited(t, first)() // as a program has it that is being started
	if err := files.Unlock(first); err != nil {
		t.Fatal(err)
	}
	if err := files.Lock(second); err != nil {
		t.Errorf("nobody has it: %v", err)
	}
}
