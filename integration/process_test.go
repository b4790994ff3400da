//go:build linux

package integration_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience is how long anything may take that does not fail.
const patience = time.Minute

// process is a program in the background.
type process struct {
	cmd  *exec.Cmd
	out  string // files
	err  string
	done chan struct{}
	code int // once done; -1 after a signal

	address, fingerprint, metrics string // of a server, once it is ready
}

// start starts a program whose output goes to base.out and base.err.
func start(cmd *exec.Cmd, base string) (*process, error) {
	p := &process{cmd: cmd, out: base + ".out", err: base + ".err", done: make(chan struct{})}
	out, err := os.Create(p.out)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	stderr, err := os.OpenFile(p.err, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer stderr.Close()
	cmd.Stdout, cmd.Stderr = out, stderr
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

// ends waits for the process and returns its exit code. One that does not end is killed.
func (p *process) ends() (int, error) {
	select {
	case <-p.done:
		return p.code, nil
	case <-time.After(patience):
		p.kill()
		return 0, errors.New("it does not end")
	}
}

// stop sends a signal and waits for the end, which a server has to come to with exit code 0.
func (p *process) stop(signal os.Signal) error {
	if err := p.cmd.Process.Signal(signal); err != nil {
		return err
	}
	code, err := p.ends()
	if err == nil && p.address != "" && code != 0 {
		text, _ := os.ReadFile(p.err)
		err = fmt.Errorf("the server ended with %d: %s", code, text)
	}
	return err
}

// environment is what programs of a story get.
func environment(ts *testscript.TestScript) (vars []string) {
	for _, name := range strings.Fields(`PATH HOME TMPDIR XDG_DATA_HOME XDG_CONFIG_HOME XDG_STATE_HOME LC_ALL TZ
		QPQ_SERVER QPQ_PROFILE QPQ_VAR_hush SSL_CERT_FILE TERM NO_COLOR DBUS_SESSION_BUS_ADDRESS
		QPQ_LISTEN QPQ_LISTN QPQ_DOMAIN QPQ_REGISTRATION QPQ_LOG_LEVEL QPQ_CONFIG QPQ_MAX_CONNECTIONS`) {
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

func cmdStart(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) > 1 && of(ts).processes[args[0]] == nil)
	p, err := start(command(ts, args[1:]), ts.MkAbs(args[0]))
	ts.Check(err)
	of(ts).processes[args[0]] = p
}

// running returns a program of a story by its name.
func running(ts *testscript.TestScript, name string) *process {
	p := of(ts).processes[name]
	if p == nil {
		ts.Fatalf("%s does not run", name)
	}
	return p
}

// take returns a program that the story is about to end.
func take(ts *testscript.TestScript, name string) *process {
	p := running(ts, name)
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
	usage(ts, !neg && (len(args) == 1 || len(args) == 2))
	want := 0
	if len(args) > 1 {
		var err error
		want, err = strconv.Atoi(args[1])
		ts.Check(err)
	}
	p := take(ts, args[0])
	code, err := p.ends()
	p.show(ts)
	if err != nil || code != want {
		ts.Fatalf("%s ended with %d, not %d: %v", args[0], code, want, err)
	}
}

var signals = map[string]syscall.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "HUP": syscall.SIGHUP}

func cmdSignal(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 2 && signals[args[1]] != 0)
	ts.Check(running(ts, args[0]).cmd.Process.Signal(signals[args[1]]))
}

func cmdHalt(ts *testscript.TestScript, neg bool, args []string) {
	signal := "TERM"
	if len(args) > 1 {
		signal = args[1]
	}
	usage(ts, !neg && len(args) > 0 && signals[signal] != 0)
	p := take(ts, args[0])
	if err := p.stop(signals[signal]); err != nil {
		p.show(ts)
		ts.Fatalf("%s: %v", args[0], err)
	}
}

func cmdKill9(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) >= 1)
	take(ts, args[0]).kill()
}

func cmdWaitFor(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) >= 2)
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

// cmdUntil runs a program again and again until it prints what it should.
func cmdUntil(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) >= 2)
	re, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		err := ts.Exec(args[1], args[2:]...)
		out := ts.ReadFile("stdout")
		if re.MatchString(out) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%q never printed %q: %v\n%s%s", args[1:], args[0], err, out, ts.ReadFile("stderr"))
		}
	}
}

func cmdSet(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) >= 3)
	re, err := regexp.Compile("(?m)" + args[2])
	ts.Check(err)
	m := re.FindStringSubmatch(ts.ReadFile(args[1]))
	if len(m) < 2 {
		ts.Fatalf("%s has no match for %q", args[1], args[2])
	}
	ts.Setenv(args[0], m[1])
}

func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) >= 2)
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	checkExit(ts, want, ts.Exec(args[1], args[2:]...))
}

// cmdPlain takes from root the right to files that their modes forbid.
func cmdPlain(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) >= 2)
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
	usage(ts, len(args) >= 2)
	want, err := hex.DecodeString(args[0])
	ts.Check(err)
	found := 0
	for _, pattern := range args[1:] {
		files, err := filepath.Glob(ts.MkAbs(pattern))
		ts.Check(err)
		for _, file := range files {
			ts.Check(filepath.WalkDir(file, func(path string, entry os.DirEntry, err error) error {
				if err != nil || !entry.Type().IsRegular() {
					return err
				}
				b, err := os.ReadFile(path)
				found += strings.Count(string(b), string(want))
				return err
			}))
		}
	}
	if (found > 0) == neg {
		ts.Fatalf("found %d times", found)
	}
}
