package daemon_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/command/daemon"
)

func TestAddressesThatOthersReach(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0", "example.org:0", "127.0.0.1", "", "localhost.example.org:0", "[fe80::1%lo]:0"} {
		if l, err := daemon.ListenWeb(address); qpq.CodeOf(err) != "not-loopback" {
			t.Errorf("%q: %v, %v", address, l, err)
		}
	}
	for _, address := range []string{"127.0.0.1:0", "localhost:0", "127.1.2.3:0"} {
		l, err := daemon.ListenWeb(address)
		check(t, err)
		if _, err := daemon.ListenWeb(l.Addr().String()); qpq.CodeOf(err) != "cannot-listen" {
			t.Errorf("a second one at %s: %v", l.Addr(), err)
		}
		check(t, l.Close())
	}
}

func TestToken(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "profile")
	first, err := daemon.Token(dir)
	check(t, err)
	if info, err := os.Stat(daemon.TokenFile(dir)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its file is %v, %v", info, err)
	}
	if again, err := daemon.Token(dir); err != nil || again != first {
		t.Errorf("then it is another one, %v", err)
	}
	check(t, os.Chmod(daemon.TokenFile(dir), 0o640))
	if _, err := daemon.Token(dir); qpq.CodeOf(err) != "token-unusable" {
		t.Errorf("one that others can read: %v", err)
	}
	check(t, os.Remove(daemon.TokenFile(dir)))
	if other, err := daemon.Token(dir); err != nil || other == first || len(other) < 40 {
		t.Errorf("a new one is %d bytes, %v", len(other), err)
	}
	check(t, os.WriteFile(daemon.TokenFile(dir), []byte("short\n"), 0o600))
	if _, err := daemon.Token(dir); qpq.CodeOf(err) != "token-unusable" {
		t.Errorf("a damaged one: %v", err)
	}
}

func TestSocketFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	path := daemon.Socket(dir)
	l, err := daemon.Listen(path)
	check(t, err)
	for file, want := range map[string]os.FileMode{path: 0o600, dir: 0o700} {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s is %v, %v", file, info.Mode(), err)
		}
	}
	if _, err := daemon.Listen(path); qpq.CodeOf(err) != "daemon-runs" {
		t.Errorf("a second daemon: %v", err)
	}
	check(t, l.Close())
	if list, err := os.ReadDir(dir); err != nil || len(list) > 0 {
		t.Errorf("it left %v, %v", list, err)
	}

	killed, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	check(t, err)
	killed.SetUnlinkOnClose(false)
	check(t, killed.Close())
	l, err = daemon.Listen(path)
	check(t, err)
	check(t, os.Remove(path)) // another one took the path meanwhile
	other, err := daemon.Listen(path)
	check(t, err)
	check(t, l.Close())
	if _, err := os.Stat(path); err != nil {
		t.Errorf("one that ends took the socket of another: %v", err)
	}
	check(t, other.Close())

	if _, err := daemon.Listen(filepath.Join(dir, strings.Repeat("long/", 30), "socket")); qpq.CodeOf(err) != "socket-path" {
		t.Errorf("a path that is too long: %v", err)
	}

	check(t, os.RemoveAll(path))
	busy, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"}) // it listens, and does not answer
	check(t, err)
	if _, err := daemon.Listen(path); qpq.CodeOf(err) != "socket-taken" {
		t.Errorf("one that somebody else has: %v", err)
	}
	check(t, busy.Close())
	check(t, os.RemoveAll(path))

	check(t, os.WriteFile(path, []byte("mine"), 0o600))
	if _, err := daemon.Listen(path); qpq.CodeOf(err) != "not-a-socket" {
		t.Errorf("a file: %v", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "mine" {
		t.Errorf("then it holds %q, %v", text, err)
	}
}
