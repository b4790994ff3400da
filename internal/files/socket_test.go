//go:build unix

package files_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quicproquo/qpq/internal/files"
)

func TestListen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "socket")
	for range 2 { // the second one comes where the first one left its file
		l, err := files.Listen(path)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != os.ModeSocket|0o600 {
			t.Errorf("it is %v, %v", info.Mode(), err)
		}
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(conn.Close(), l.Close()); err != nil {
			t.Error(err)
		}
		only(t, dir, "socket")
		if _, err := net.Dial("unix", path); !files.Refused(err) {
			t.Errorf("where nobody listens: %v", err)
		}
	}
	if _, err := net.Dial("unix", filepath.Join(dir, "other")); !files.Refused(err) {
		t.Errorf("where there is nothing: %v", err)
	}
	if _, err := files.Listen(filepath.Join(dir, strings.Repeat("s", 200))); !errors.Is(err, files.ErrLongPath) {
		t.Errorf("a path that is too long: %v", err)
	}
	packets, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "packets"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	if _, err := net.Dial("unix", filepath.Join(dir, "packets")); err == nil || files.Refused(err) {
		t.Errorf("where somebody listens, and for something else: %v", err)
	}
}

// TestNobodyTakesTheNamesOfASocket: on its way it has names that nobody can take before, each time others.
func TestNobodyTakesTheNamesOfASocket(t *testing.T) {
	dir := t.TempDir()
	for i := range 1000 {
		if err := os.Mkdir(filepath.Join(dir, fmt.Sprintf(".s%d", i)), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	made := map[string]bool{}
	for range 20 {
		l, err := files.Listen(filepath.Join(dir, "socket"))
		if err != nil {
			t.Fatal(err)
		}
		made[l.Addr().String()] = true // where it was made
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	if len(made) < 20 {
		t.Errorf("names come again: %v", made)
	}
}
