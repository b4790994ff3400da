//go:build linux

package integration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/quicproquo/qpq"
	registry "github.com/quicproquo/qpq/command"
)

// TestEveryCommandIsReachable: what can be done at all can be done in every front end, and is documented. Each front end is asked for real,
// once for all commands, and says which of them it has; a new one is a row.
func TestEveryCommandIsReachable(t *testing.T) {
	t.Parallel()
	r := &fronts{t: t, home: t.TempDir()}
	server, err := startServer(exec.Command(filepath.Join(programs, "qpq-server"), "--domain", "localhost", "--listen", freeAddress(),
		"--data", filepath.Join(r.home, "server")), filepath.Join(r.home, "server"))
	if err != nil {
		t.Fatal(err)
	}
	r.address = server.address
	defer func() {
		if err := server.stop(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
	}()
	if err := os.WriteFile(filepath.Join(r.home, "password"), []byte("correct horse battery\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.run("", "register", "alice", "--password-file", "password")
	for name, missing := range map[string]func([]*registry.Command) []string{
		"the command line": r.oneShot, "the session at the terminal": r.repl, "the full screen": r.screen, "the daemon": r.daemon, "the Go API": r.api, "the reference": r.documented,
	} {
		for _, command := range missing(registry.All()) {
			t.Errorf("%s has no %s", name, command)
		}
	}
}

// fronts asks front ends what they have. Each of its methods returns the names of the commands that are missing.
type fronts struct {
	t             *testing.T
	home, address string
}

// run runs qpq, and returns its output.
func (r *fronts) run(input string, args ...string) string {
	r.t.Helper()
	cmd := exec.Command(filepath.Join(programs, "qpq"), args...)
	cmd.Dir, cmd.Stdin = r.home, strings.NewReader(input)
	cmd.Env = []string{"HOME=" + r.home, "QPQ_SERVER=" + r.address, "LC_ALL=C.UTF-8", "PATH=" + os.Getenv("PATH")}
	var failure bytes.Buffer
	cmd.Stderr = &failure
	out, err := cmd.Output()
	if err != nil {
		r.t.Fatalf("qpq %v: %v\n%s%s", args, err, out, failure.String())
	}
	return string(out)
}

// without returns those for which has is not true.
func without(all []*registry.Command, has func(*registry.Command) bool) (missing []string) {
	for _, c := range all {
		if !has(c) {
			missing = append(missing, c.Name)
		}
	}
	return missing
}

func (r *fronts) oneShot(all []*registry.Command) []string {
	return without(all, func(c *registry.Command) bool {
		return strings.Contains(r.run("", append([]string{"help"}, strings.Fields(c.Name)...)...), "qpq "+c.Usage())
	})
}

func (r *fronts) repl(all []*registry.Command) []string {
	var lines strings.Builder
	for _, c := range all {
		fmt.Fprintf(&lines, "/help %s\n", strings.ReplaceAll(c.Name, " ", "-"))
	}
	shown := r.run(lines.String(), "repl") // fails where it knows one of them not
	return without(all, func(c *registry.Command) bool { return strings.Contains(shown, "\n"+c.Summary+"\n") })
}

// screen asks the help of the full screen about each command.
func (r *fronts) screen(all []*registry.Command) []string {
	w, err := openWindows(r.home, []string{"HOME=" + r.home, "QPQ_SERVER=" + r.address, "LC_ALL=C.UTF-8", "PATH=" + os.Getenv("PATH")})
	if err == nil {
		err = w.open("all", "240", "50", []string{"qpq"})
	}
	if err != nil {
		r.t.Fatal(err)
	}
	defer w.close()
	shows := func(text string) bool {
		for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			if shown, err := w.tmux("capture-pane", "-p", "-t", "all"); err == nil && strings.Contains(shown, text) {
				return true
			}
		}
		return false
	}
	if !shows("No conversations yet") {
		r.t.Fatal("the screen does not begin")
	}
	return without(all, func(c *registry.Command) bool {
		line := "/help " + strings.ReplaceAll(c.Name, " ", "-")
		if _, err := w.tmux("send-keys", "-t", "all", "-l", "--", line); err != nil || !shows(line) {
			return false
		}
		_, err := w.tmux("send-keys", "-t", "all", "Enter")
		return err == nil && shows("│"+c.Summary)
	})
}

// nonsense is an argument that no command has: one that refuses it was reached, and did nothing.
const nonsense = "no such argument"

func (r *fronts) daemon(all []*registry.Command) []string {
	lines := `{"jsonrpc":"2.0","id":"all","method":"rpc.discover"}` + "\n"
	for _, c := range all {
		lines += fmt.Sprintf(`{"jsonrpc":"2.0","id":%q,"method":%q,"params":{%q:true}}`+"\n", c.Name, strings.ReplaceAll(c.Name, " ", "."), nonsense)
	}
	listed, refused := map[string]bool{}, map[string]bool{}
	for decode := json.NewDecoder(strings.NewReader(r.run(lines, "daemon", "--stdio"))); decode.More(); {
		var m struct {
			ID     string
			Result struct{ Methods []struct{ Name string } }
			Error  struct {
				Code    int
				Message string
			}
		}
		if err := decode.Decode(&m); err != nil {
			r.t.Fatal(err)
		}
		for _, method := range m.Result.Methods {
			listed[method.Name] = true
		}
		refused[m.ID] = m.Error.Code == -32602 && strings.HasPrefix(m.Error.Message, m.ID+": ")
	}
	return without(all, func(c *registry.Command) bool { return listed[strings.ReplaceAll(c.Name, " ", ".")] && refused[c.Name] })
}

func (r *fronts) api(all []*registry.Command) []string {
	return without(all, func(c *registry.Command) bool {
		found, err := registry.Find(c.Name)
		if err != nil {
			return false
		}
		_, err = found.Run(context.Background(), &registry.Env{}, json.RawMessage(fmt.Sprintf(`{%q:true}`, nonsense)))
		return qpq.CodeOf(err) == "usage" && strings.HasPrefix(err.Error(), c.Name+": ")
	})
}

func (r *fronts) documented(all []*registry.Command) []string {
	page, err := os.ReadFile("../docs/commands.md")
	if err != nil {
		r.t.Fatal(err)
	}
	return without(all, func(c *registry.Command) bool {
		return strings.Contains(string(page), "\n## `qpq "+c.Usage()+"`\n\n"+strings.ToUpper(c.Summary[:1])+c.Summary[1:]+".\n")
	})
}
