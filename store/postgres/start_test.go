package postgres_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// start runs a PostgreSQL of its own, on a socket in a temporary directory, until the test ends, and
// returns how to connect to it. It installs Debian's if there is none.
func start(t *testing.T) (address string) {
	t.Helper()
	if out, err := exec.Command("../../scripts/setup", "postgresql").CombinedOutput(); err != nil {
		t.Fatalf("install PostgreSQL: %v\n%s", err, out)
	}
	installed, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(installed) == 0 {
		t.Fatalf("no PostgreSQL under /usr/lib/postgresql: %v", err)
	}
	slices.Sort(installed)
	bin := installed[len(installed)-1]

	dir := t.TempDir()
	as := servant(t, dir)
	run := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(bin, name), args...)
		cmd.Dir, cmd.SysProcAttr = dir, &syscall.SysProcAttr{Credential: as}
		return cmd
	}
	data := filepath.Join(dir, "data")
	if out, err := run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	server := run("postgres", "-D", data, "-k", dir, "-c", "listen_addresses=", "-c", "fsync=off")
	serve(t, server)
	return fmt.Sprintf("host=%s user=postgres dbname=postgres sslmode=disable", dir)
}

// servant returns who the server shall be, and gives that user the directory: PostgreSQL does not run
// as root. It returns nil if the tests do not either.
func servant(t *testing.T, dir string) *syscall.Credential {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		t.Fatal(err)
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	if err1 != nil || err2 != nil {
		t.Fatalf("user postgres has ids %q and %q", u.Uid, u.Gid)
	}
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(dir), 0o711); err != nil { // the way to it
		t.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// serve starts the server, returns once it accepts connections, and ends it with the test.
func serve(t *testing.T, server *exec.Cmd) {
	t.Helper()
	stderr, err := server.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	ready, ended := make(chan bool, 1), make(chan []string, 1)
	go func() {
		var log []string
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			log = append(log, lines.Text())
			if strings.Contains(lines.Text(), "ready to accept connections") {
				ready <- true
			}
		}
		ended <- log
	}()
	t.Cleanup(func() {
		_ = server.Process.Signal(os.Interrupt) // fast shutdown
		if log, err := <-ended, server.Wait(); err != nil && t.Failed() {
			t.Logf("PostgreSQL: %v\n%s", err, strings.Join(log, "\n"))
		}
	})
	select {
	case <-ready:
	case log := <-ended:
		ended <- log
		t.Fatalf("PostgreSQL ended at its start:\n%s", strings.Join(log, "\n"))
	}
}
