//go:build linux

package loadtest

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// built is the folder with the server, empty where no test asked for it.
var built string

// program is qpq-server, built once.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "qpq-loadtest-")
	if err != nil {
		return "", err
	}
	built = dir
	path := filepath.Join(dir, "qpq-server")
	out, err := exec.Command("go", "build", "-buildvcs=false", "-o", path, "github.com/quicproquo/qpq/cmd/qpq-server").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the server: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if built != "" {
		_ = os.RemoveAll(built)
	}
	os.Exit(code)
}

// server is a real server, as a process of its own.
type server struct {
	cmd              *exec.Cmd
	address, metrics string
	fingerprint      string
}

// wide are limits that one address which stands for many people does not meet.
var wide = []string{"--address-rate", "1000000", "--account-rate", "1000000", "--max-connections-per-address", "100000"}

// start starts a server that ends with the test.
func start(t *testing.T, flags ...string) *server {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	s := &server{}
	s.cmd = exec.Command(path, append([]string{"--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--log-level", "error", "--data", t.TempDir()}, flags...)...)
	var errs strings.Builder
	s.cmd.Stderr = &errs
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	})
	var said strings.Builder
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "ready" {
		fmt.Fprintln(&said, lines.Text())
	}
	find := func(pattern string) string {
		m := regexp.MustCompile(pattern).FindStringSubmatch(said.String())
		if m == nil {
			t.Fatalf("the server did not start: %s%s", said.String(), errs.String())
		}
		return m[1]
	}
	s.address, s.fingerprint, s.metrics = find(`listening on (\S+) \(UDP`), find(`fingerprint (\S+)`), find(`metrics on (\S+)`)
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return s
}

// short is a plan that a test can wait for.
func (s *server) short(scenario string, clients int) Plan {
	return Plan{Server: s.address, Scenario: scenario, Clients: clients, Duration: 400 * time.Millisecond, Slice: 50 * time.Millisecond, GroupSize: 5, FileSize: 300_000,
		Patience: 30 * time.Second}
}

// run carries out a plan that nothing goes wrong with.
func run(t *testing.T, p Plan, l Local) *Report {
	t.Helper()
	r, err := Run(t.Context(), p, l)
	if err != nil {
		t.Fatal(err)
	}
	if r.Failed() > 0 {
		t.Fatalf("errors: %+v", r.Errors)
	}
	return r
}

// count returns how many a series has.
func (r *Report) count(name string) int64 {
	if s := r.Find(name); s != nil {
		return s.Count
	}
	return 0
}
