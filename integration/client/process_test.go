//go:build linux

package client_test

import (
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience is how long anything may take that does not fail.
const patience = time.Minute

type key struct{}

// background is what a story has running.
type background struct {
	processes map[string]*process
	ports     map[string]string // where servers listened
	others    sync.WaitGroup    // goroutines of the story, ended by closers
	closers   []func()
}

func of(ts *testscript.TestScript) *background { return ts.Value(key{}).(*background) }

func (b *background) end() {
	for _, p := range b.processes {
		p.kill()
	}
	for _, c := range b.closers {
		c()
	}
	b.others.Wait()
}

// process is a program in the background.
type process struct {
	cmd  *exec.Cmd
	out  string // files
	err  string
	done chan struct{}
	code int // once done; -1 after a signal
}

// start starts a program whose output goes to base.out and base.err.
func start(cmd *exec.Cmd, base string) (*process, error) {
	p := &process{cmd: cmd, out: base + ".out", err: base + ".err", done: make(chan struct{})}
	var files [2]*os.File
	for i, name := range []string{p.out, p.err} {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		files[i] = f
	}
	cmd.Stdout, cmd.Stderr = files[0], files[1]
	tie(cmd)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.done)
		_ = cmd.Wait()
		p.code = cmd.ProcessState.ExitCode()
	}()
	return p, nil
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// ends waits for the process and returns its exit code.
func (p *process) ends() (int, error) {
	select {
	case <-p.done:
		return p.code, nil
	case <-time.After(patience):
		return 0, errors.New("it does not end")
	}
}

// environment is what programs of a story get.
func environment(ts *testscript.TestScript) (vars []string) {
	for _, name := range strings.Fields(`PATH HOME TMPDIR XDG_DATA_HOME XDG_CONFIG_HOME XDG_STATE_HOME LC_ALL
		QPQ_SERVER QPQ_PROFILE SSL_CERT_FILE TERM NO_COLOR`) {
		if v := ts.Getenv(name); v != "" {
			vars = append(vars, name+"="+v)
		}
	}
	return vars
}

// command returns a program of a story, found by its PATH.
func command(ts *testscript.TestScript, args []string) *exec.Cmd {
	name := args[0]
	if own := filepath.Join(programs, name); strings.HasPrefix(name, "qpq") {
		name = own
	}
	cmd := exec.Command(name, args[1:]...)
	cmd.Dir, cmd.Env = ts.MkAbs("."), environment(ts)
	return cmd
}

func positive(ts *testscript.TestScript, neg bool, args []string, least int) {
	if neg || len(args) < least {
		ts.Fatalf("used in the wrong way: see the top of main_test.go")
	}
}

func cmdStart(ts *testscript.TestScript, neg bool, args []string) {
	positive(ts, neg, args, 2)
	b, name := of(ts), args[0]
	if b.processes[name] != nil {
		ts.Fatalf("%s runs already", name)
	}
	p, err := start(command(ts, args[1:]), ts.MkAbs(name))
	ts.Check(err)
	b.processes[name] = p
}

func take(ts *testscript.TestScript, name string) *process {
	p := of(ts).processes[name]
	if p == nil {
		ts.Fatalf("%s does not run", name)
	}
	delete(of(ts).processes, name)
	return p
}

func (p *process) show(ts *testscript.TestScript) {
	for _, name := range []string{p.out, p.err} {
		if b, err := os.ReadFile(name); err == nil && len(b) > 0 {
			ts.Logf("[%s]\n%s", filepath.Base(name), b)
		}
	}
}

func cmdFinish(ts *testscript.TestScript, neg bool, args []string) {
	positive(ts, neg, args, 1)
	want := 0
	if len(args) > 1 {
		var err error
		want, err = strconv.Atoi(args[1])
		ts.Check(err)
	}
	p := of(ts).processes[args[0]]
	if p == nil {
		ts.Fatalf("%s does not run", args[0])
	}
	code, err := p.ends()
	p.show(ts)
	if err != nil || code != want {
		ts.Fatalf("%s ended with %d, not %d: %v", args[0], code, want, err)
	}
	take(ts, args[0])
}

func cmdHalt(ts *testscript.TestScript, neg bool, args []string) {
	positive(ts, neg, args, 1)
	signal := syscall.SIGTERM
	if len(args) > 1 && args[1] == "INT" {
		signal = syscall.SIGINT
	}
	p := take(ts, args[0])
	ts.Check(p.cmd.Process.Signal(signal))
	if _, err := p.ends(); err != nil {
		p.kill()
		p.show(ts)
		ts.Fatalf("%s: %v", args[0], err)
	}
}

func cmdKill9(ts *testscript.TestScript, neg bool, args []string) {
	positive(ts, neg, args, 1)
	take(ts, args[0]).kill()
}

func cmdWaitFor(ts *testscript.TestScript, neg bool, args []string) {
	positive(ts, neg, args, 2)
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	file := ts.MkAbs(args[0])
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		b, err := os.ReadFile(file)
		if err == nil && re.Match(b) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s never had %q:\n%s", args[0], args[1], b)
		}
	}
}

func cmdSet(ts *testscript.TestScript, neg bool, args []string) {
	positive(ts, neg, args, 3)
	re, err := regexp.Compile("(?m)" + args[2])
	ts.Check(err)
	m := re.FindStringSubmatch(ts.ReadFile(args[1]))
	if len(m) < 2 {
		ts.Fatalf("%s has no match for %q", args[1], args[2])
	}
	ts.Setenv(args[0], m[1])
}

func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	positive(ts, neg, args, 2)
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	checkExit(ts, want, ts.Exec(args[1], args[2:]...))
}

// cmdPlain takes from root the right to files that their modes forbid.
func cmdPlain(ts *testscript.TestScript, neg bool, args []string) {
	positive(ts, neg, args, 2)
	if os.Geteuid() == 0 {
		args = append([]string{args[0], "setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"}, args[1:]...)
	}
	cmdExits(ts, neg, args)
}

func checkExit(ts *testscript.TestScript, want int, err error) {
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		ts.Fatalf("%v", err)
	}
	code := 0
	if exit != nil {
		code = exit.ExitCode()
	}
	if code != want {
		ts.Fatalf("ended with %d, not %d", code, want)
	}
}

func cmdHolds(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("used in the wrong way: see the top of main_test.go")
	}
	want, err := hex.DecodeString(args[0])
	ts.Check(err)
	found := 0
	for _, pattern := range args[1:] {
		files, err := filepath.Glob(ts.MkAbs(pattern))
		ts.Check(err)
		for _, file := range files {
			b, err := os.ReadFile(file)
			ts.Check(err)
			found += strings.Count(string(b), string(want))
		}
	}
	if (found > 0) == neg {
		ts.Fatalf("found %d times", found)
	}
}

// condition knows what the machine can do.
func condition(name string) (bool, error) {
	switch name {
	case "mounts": // a file system of one's own can be had
		return exec.Command("unshare", "-rm", "true").Run() == nil, nil
	}
	return false, errors.New("unknown condition")
}
