// Package peer runs somebody else's implementation as a process of its own, and talks to it in lines of
// JSON.
package peer

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Peer is a running implementation. Its calls take place one after the other.
type Peer struct {
	in  *json.Encoder
	out *bufio.Scanner
}

// Start installs the packages that the lock file in the current folder names, unless they are there, and
// starts a script. It ends with the test.
func Start(t testing.TB, script string) *Peer {
	t.Helper()
	install(t)
	cmd := exec.Command("node", script)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v: is Node.js installed?", script, err)
	}
	t.Cleanup(func() {
		in.Close() // the script ends when its input does
		_, _ = io.Copy(io.Discard, out)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s ended with %v", script, err)
		}
	})
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 64<<20)
	return &Peer{json.NewEncoder(in), lines}
}

// install runs npm ci where what it would install is not there.
func install(t testing.TB) {
	want, err := os.ReadFile("package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	stamp := filepath.Join("node_modules", ".installed")
	if got, err := os.ReadFile(stamp); err == nil && string(got) == string(want) {
		return
	}
	if out, err := exec.Command("npm", "ci", "--no-audit", "--no-fund").CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	if err := os.WriteFile(stamp, want, 0o644); err != nil {
		t.Fatal(err)
	}
}

// Error is what the peer says went wrong.
type Error string

func (e Error) Error() string { return "peer: " + string(e) }

// Call has the peer do something and decodes what comes of it into result.
func (p *Peer) Call(method string, params, result any) error {
	if err := p.in.Encode(map[string]any{"method": method, "params": params}); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	if !p.out.Scan() {
		return fmt.Errorf("%s: the peer ended: %w", method, p.out.Err())
	}
	var reply struct {
		Error  *Error
		Result json.RawMessage
	}
	if err := json.Unmarshal(p.out.Bytes(), &reply); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	if reply.Error != nil {
		return fmt.Errorf("%s: %w", method, *reply.Error)
	}
	return json.Unmarshal(reply.Result, result)
}
