//go:build linux

package integration_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// terminal is a pseudo-terminal (pty(7)) with a program at it.
type terminal struct {
	control, line *os.File
	ended         chan struct{} // closed when the program has ended

	mu    sync.Mutex
	shown bytes.Buffer
	seen  int // how much of it was expected
}

func openTerminal() (*terminal, error) {
	control, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	fd := int(control.Fd())
	number, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		return nil, errors.Join(err, control.Close())
	}
	line, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, errors.Join(err, control.Close())
	}
	return &terminal{control: control, line: line, ended: make(chan struct{})}, nil
}

func (t *terminal) read() {
	b := make([]byte, 4096)
	for {
		n, err := t.control.Read(b)
		t.mu.Lock()
		t.shown.Write(b[:n])
		t.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (t *terminal) screen() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return bytes.Clone(t.shown.Bytes())
}

func (t *terminal) echoes() bool {
	state, err := unix.IoctlGetTermios(int(t.line.Fd()), unix.TCGETS)
	return err != nil || state.Lflag&unix.ECHO != 0
}

// until waits for something that the program does. It may have ended by then: what it wrote last is read later.
func (t *terminal) until(done func() bool) error {
	for deadline := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			return errors.New("it never comes to that")
		}
	}
	return nil
}

// play does one line of a script.
func (t *terminal) play(ts *testscript.TestScript, line string) error {
	verb, rest, _ := strings.Cut(line, " ")
	switch verb {
	case "":
		return nil
	case "expect":
		re, err := regexp.Compile(rest)
		if err != nil {
			return err
		}
		return t.until(func() bool {
			at := re.FindIndex(t.screen()[t.seen:])
			if at != nil {
				t.seen += at[1]
			}
			return at != nil
		})
	case "secret":
		if err := t.until(func() bool { return !t.echoes() }); err != nil {
			return err
		}
		fallthrough
	case "type":
		_, err := t.control.WriteString(rest + "\n")
		return err
	case "tab":
		_, err := t.control.WriteString(rest + "\t")
		return err
	case "keys":
		text, err := strconv.Unquote(`"` + rest + `"`)
		if err != nil {
			return err
		}
		_, err = t.control.WriteString(text)
		return err
	case "interrupt":
		_, err := t.control.Write([]byte{3}) // ^C
		return err
	case "do":
		return do(ts, strings.Fields(rest))
	}
	return fmt.Errorf("no verb %q", verb)
}

// do carries out a command of the story, or runs a program that succeeds.
func do(ts *testscript.TestScript, args []string) error {
	for i := range args {
		args[i] = os.Expand(args[i], ts.Getenv)
	}
	if c, ok := commands[args[0]]; ok {
		c(ts, false, args[1:])
		return nil
	}
	out, err := command(ts, args).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

func cmdTTY(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) >= 3)
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	t, err := openTerminal()
	ts.Check(err)
	cmd := command(ts, args[2:])
	cmd.Stdin, cmd.Stdout, cmd.Stderr = t.line, t.line, t.line
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Pdeathsig: syscall.SIGKILL}
	ts.Check(cmd.Start())
	var reading sync.WaitGroup
	reading.Go(t.read)
	go func() {
		defer close(t.ended)
		_ = cmd.Wait()
	}()
	code, err := t.session(ts, cmd, strings.Split(ts.ReadFile(args[1]), "\n"))
	echoes := t.echoes()
	_ = t.line.Close()
	reading.Wait() // until all is read that was written
	_ = t.control.Close()
	ts.Logf("[screen]\n%s", t.screen())
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("screen"), t.screen(), 0o600))
	if code != want {
		ts.Fatalf("ended with %d, not %d", code, want)
	}
	if !echoes {
		ts.Fatalf("the terminal was left without echo")
	}
}

// session plays a script and waits for the program to end.
func (t *terminal) session(ts *testscript.TestScript, cmd *exec.Cmd, script []string) (int, error) {
	for _, line := range script {
		if err := t.play(ts, line); err != nil {
			_ = cmd.Process.Kill()
			<-t.ended
			return 0, fmt.Errorf("%s: %w", line, err)
		}
	}
	select {
	case <-t.ended:
	case <-time.After(patience):
		_ = cmd.Process.Kill()
		<-t.ended
		return 0, errors.New("it does not end")
	}
	return cmd.ProcessState.ExitCode(), nil
}
