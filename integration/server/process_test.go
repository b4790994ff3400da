package server_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience is how long anything may take that does not fail.
const patience = time.Minute

// server is a qpq-server that runs.
type server struct {
	cmd         *exec.Cmd
	out, err    string // files of what it says
	done        chan struct{}
	address     string // once ready
	fingerprint string
	metrics     string
}

// startServer starts a server whose output goes to base.out and base.err, and waits until it is ready.
func startServer(base string, env []string, args ...string) (*server, error) {
	s := &server{cmd: exec.Command(program, args...), out: base + ".out", err: base + ".err", done: make(chan struct{})}
	s.cmd.Dir, s.cmd.Env = filepath.Dir(base), env
	tie(s.cmd)
	stderr, err := os.OpenFile(s.err, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer stderr.Close()
	out, err := os.Create(s.out)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	s.cmd.Stdout, s.cmd.Stderr = out, stderr
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(s.done)
		_ = s.cmd.Wait()
	}()
	if err := s.ready(); err != nil {
		s.kill()
		return nil, err
	}
	return s, nil
}

var said = regexp.MustCompile(`(?s)listening on (\S+) .*fingerprint (SHA256:\S+)\n(?:metrics on (\S+)/metrics\n)?.*ready\n`)

// ready waits until the server says so.
func (s *server) ready() error {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		b, err := os.ReadFile(s.out)
		if err != nil {
			return err
		}
		if m := said.FindSubmatch(b); m != nil {
			s.address, s.fingerprint, s.metrics = string(m[1]), string(m[2]), string(m[3])
			return nil
		}
		select {
		case <-s.done:
			text, _ := os.ReadFile(s.err)
			return fmt.Errorf("the server ended with %d: %s", s.cmd.ProcessState.ExitCode(), text)
		default:
		}
	}
	return errors.New("the server is never ready")
}

func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	<-s.done
}

// stop sends a signal and waits for the end.
func (s *server) stop(signal os.Signal) error {
	if err := s.cmd.Process.Signal(signal); err != nil {
		return err
	}
	select {
	case <-s.done:
	case <-time.After(patience):
		s.kill()
		return errors.New("it does not end")
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		text, _ := os.ReadFile(s.err)
		return fmt.Errorf("it ended with %d: %s", code, text)
	}
	return nil
}

// environment is what programs of a story get.
func environment(ts *testscript.TestScript) (vars []string) {
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "LC_ALL", "NO_COLOR", "TERM",
		"QPQ_LISTEN", "QPQ_LISTN", "QPQ_DOMAIN", "QPQ_REGISTRATION", "QPQ_LOG_LEVEL", "QPQ_CONFIG", "QPQ_MAX_CONNECTIONS"} {
		if v := ts.Getenv(name); v != "" {
			vars = append(vars, name+"="+v)
		}
	}
	return vars
}

func has(args []string, flag string) bool {
	return slices.ContainsFunc(args, func(a string) bool { return a == flag || strings.HasPrefix(a, flag+"=") })
}

func cmdServe(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) > 0 && of(ts).servers[args[0]] == nil)
	name, flags := args[0], args[1:]
	if !has(flags, "--data") && !has(flags, "--config") {
		flags = append(flags, "--data", name+".data")
	}
	if !has(flags, "--listen") && !has(flags, "--config") {
		flags = append(flags, "--listen", "127.0.0.1:0")
	}
	s, err := startServer(ts.MkAbs(name), environment(ts), flags...)
	if err != nil {
		ts.Fatalf("%v", err)
	}
	of(ts).servers[name] = s
	ts.Setenv(name, s.address)
	ts.Setenv(name+"_fingerprint", s.fingerprint)
	ts.Setenv(name+"_metrics", s.metrics)
}

// running returns a server of a story by its name.
func running(ts *testscript.TestScript, name string) *server {
	s := of(ts).servers[name]
	if s == nil {
		ts.Fatalf("%s does not run", name)
	}
	return s
}

func cmdHalt(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) > 0)
	s := running(ts, args[0])
	delete(of(ts).servers, args[0])
	signal := syscall.SIGTERM
	if len(args) > 1 && args[1] == "INT" {
		signal = syscall.SIGINT
	}
	if err := s.stop(signal); err != nil {
		ts.Fatalf("%s: %v", args[0], err)
	}
}

func cmdSignal(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 2 && args[1] == "HUP")
	ts.Check(running(ts, args[0]).cmd.Process.Signal(syscall.SIGHUP))
}

func cmdKill9(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 1)
	running(ts, args[0]).kill()
	delete(of(ts).servers, args[0])
}

func cmdWaitFor(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 2)
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		b, err := os.ReadFile(ts.MkAbs(args[0]))
		if err == nil && re.Match(b) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s never had %q:\n%s", args[0], args[1], b)
		}
	}
}

func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) > 0)
	runTo(ts, exec.Command(program, args[1:]...), args[0])
}

func cmdPlain(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) > 0)
	cmd := exec.Command(program, args[1:]...)
	unprivileged(ts, cmd)
	runTo(ts, cmd, args[0])
}

// runTo runs a program that must end with an exit code.
func runTo(ts *testscript.TestScript, cmd *exec.Cmd, code string) {
	want, err := strconv.Atoi(code)
	ts.Check(err)
	cmd.Dir, cmd.Env = ts.MkAbs("."), environment(ts)
	var stderr strings.Builder
	cmd.Stdout, cmd.Stderr = ts.Stdout(), io.MultiWriter(ts.Stderr(), &stderr)
	tie(cmd)
	ts.Check(cmd.Start())
	end := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer end.Stop()
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		ts.Fatalf("%v", err)
	}
	if got := cmd.ProcessState.ExitCode(); got != want {
		ts.Fatalf("ended with %d, not %d: %s", got, want, stderr.String())
	}
}
