//go:build linux

package integration_test

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

var updateScreens = flag.Bool("update", false, "write the screens that stories expect anew")

// screensDir is where the screens are that stories expect.
const screensDir = "testdata/screen"

// windows are those of a terminal multiplexer (tmux), in which programs fill the screen.
type windows struct {
	dir string // where it keeps what it needs, and where programs are started
	env []string
}

func openWindows(dir string, env []string) (*windows, error) {
	conf := "set -g status off\nset -g remain-on-exit on\nset -sg escape-time 0\nset -g default-terminal tmux-256color\n"
	return &windows{dir, env}, os.WriteFile(filepath.Join(dir, ".tmux.conf"), []byte(conf), 0o600)
}

// tmux runs a command of it.
func (w *windows) tmux(args ...string) (string, error) {
	cmd := exec.Command("tmux", append([]string{"-u", "-S", filepath.Join(w.dir, ".tmux"), "-f", filepath.Join(w.dir, ".tmux.conf")}, args...)...)
	cmd.Env = append(slices.Clone(w.env), "SHELL=/bin/sh", "TERM=xterm-256color")
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("tmux %q: %w: %s", args, err, out)
	}
	return string(out), err
}

// status is the file that has how the program in a window ended.
func (w *windows) status(name string) string { return filepath.Join(w.dir, "."+name+".status") }

// open starts a program of ours in a window of its own.
func (w *windows) open(name, width, height string, program []string) error {
	line := []string{"new-session", "-d", "-s", name, "-x", width, "-y", height, "-c", w.dir}
	for _, v := range append(slices.Clone(w.env), "TZ="+midday()) {
		if !strings.HasPrefix(v, "TERM=") {
			line = append(line, "-e", v)
		}
	}
	program = slices.Clone(program)
	if strings.HasPrefix(program[0], "qpq") {
		program[0] = filepath.Join(programs, program[0])
	}
	// tmux does not always know how a program ended.
	if err := os.RemoveAll(w.status(name)); err != nil {
		return err
	}
	line = append(line, "--", "/bin/sh", "-c", `trap : INT QUIT; "$@"; echo $? >"$0"`, w.status(name))
	_, err := w.tmux(append(line, program...)...)
	return err
}

// close ends all windows, and returns when nothing runs in them any more.
func (w *windows) close() {
	sessions, err := w.tmux("list-panes", "-a", "-F", "#{pid} #{pane_pid}") // each leads one: setsid(2)
	_, _ = w.tmux("kill-server")
	if err != nil {
		return
	}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline) && livingIn(strings.Fields(sessions)); {
		time.Sleep(5 * time.Millisecond)
	}
}

// tmux runs a command of the terminal multiplexer of the story.
func (s *story) tmux(ts *testscript.TestScript, args ...string) (string, error) {
	return s.windowed(ts).tmux(args...)
}

// windowed returns the windows of the story.
func (s *story) windowed(ts *testscript.TestScript) *windows {
	if s.windows == nil {
		w, err := openWindows(ts.MkAbs("."), environment(ts))
		ts.Check(err)
		s.windows, s.closers = w, append(s.closers, w.close)
	}
	s.windows.env = environment(ts)
	return s.windows
}

// midday is a time zone in which it is about noon: no story sees a day end.
func midday() string {
	ahead := 12 - time.Now().UTC().Hour()
	return fmt.Sprintf("Etc/GMT%+d", -ahead)
}

func cmdWindow(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) > 2)
	width, height, ok := strings.Cut(args[1], "x")
	usage(ts, ok)
	ts.Check(of(ts).windowed(ts).open(args[0], width, height, args[2:]))
}

func cmdPress(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) > 1)
	_, err := of(ts).tmux(ts, append([]string{"send-keys", "-t", args[0]}, args[1:]...)...)
	ts.Check(err)
}

func cmdWrite(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 2)
	_, err := of(ts).tmux(ts, "send-keys", "-t", args[0], "-l", "--", args[1])
	ts.Check(err)
}

// cmdClick presses and lets go of the left button, as terminals that report the mouse tell of it.
func cmdClick(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 3)
	for _, end := range []string{"M", "m"} {
		_, err := of(ts).tmux(ts, "send-keys", "-t", args[0], "-l", "--", fmt.Sprintf("\x1b[<0;%s;%s%s", args[1], args[2], end))
		ts.Check(err)
	}
}

func cmdResize(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 2)
	width, height, ok := strings.Cut(args[1], "x")
	usage(ts, ok)
	_, err := of(ts).tmux(ts, "resize-window", "-t", args[0], "-x", width, "-y", height)
	ts.Check(err)
}

// captured returns what a window shows, without spaces at the ends of lines. Styles are the escape sequences of the terminal.
func captured(ts *testscript.TestScript, window string, styles bool) string {
	args := []string{"capture-pane", "-p", "-t", window}
	if styles {
		args = append(args, "-e")
	}
	out, err := of(ts).tmux(ts, args...)
	ts.Check(err)
	lines := strings.Split(strings.TrimRight(out, "\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n") + "\n"
}

// becomes waits until what a window shows is as it should be.
func becomes(ts *testscript.TestScript, window string, styles bool, right func(string) bool) (string, bool) {
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		shown := captured(ts, window, styles)
		if right(shown) {
			return shown, true
		}
		if time.Now().After(deadline) {
			return shown, false
		}
	}
}

func cmdShows(ts *testscript.TestScript, neg bool, args []string) {
	styles := len(args) > 0 && args[0] == "-styles"
	if styles {
		args = args[1:]
	}
	usage(ts, len(args) == 2)
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	if shown, ok := becomes(ts, args[0], styles, func(s string) bool { return re.MatchString(s) != neg }); !ok {
		ts.Fatalf("%s never shows it as it should be: %q\n%s", args[0], args[1], shown)
	}
}

// volatile is what differs from one day to the next.
var volatile = []struct {
	re   *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`── \w+, \d+ \w+ \d{4} ─+`), "── DAY ──"},
	{regexp.MustCompile(`\b\d\d:\d\d\b`), "HH:MM"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d`), "YYYY-MM-DD"},
	{regexp.MustCompile(`[█░]+ +\d+%.*`), "HOW FAR"},
	{regexp.MustCompile(`│([› ]) [a-z0-9]{8}  `), "│$1 NUMBER  "},
}

func masked(shown string) string {
	for _, v := range volatile {
		shown = v.re.ReplaceAllString(shown, v.with)
	}
	return shown
}

// cmdScreen waits until a window shows what a file has.
func cmdScreen(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 2)
	path := filepath.Join(of(ts).sources, screensDir, args[1]+".screen")
	want, err := os.ReadFile(path)
	if *updateScreens {
		before := ""
		shown, _ := becomes(ts, args[0], false, func(s string) bool { // twice the same
			same := masked(s) == before
			before = masked(s)
			time.Sleep(200 * time.Millisecond)
			return same
		})
		ts.Check(os.WriteFile(path, []byte(masked(shown)), 0o644))
		return
	}
	ts.Check(err)
	if shown, ok := becomes(ts, args[0], false, func(s string) bool { return masked(s) == string(want) }); !ok {
		ts.Fatalf("%s does not show what %s has (write it anew with -update, and look at the difference), but\n%s", args[0], path, masked(shown))
	}
}

// cmdEnded waits until the program of a window has ended with an exit code.
func cmdEnded(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 2)
	state := ""
	for deadline := time.Now().Add(patience); state == "" && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		out, err := os.ReadFile(of(ts).windowed(ts).status(args[0]))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			ts.Fatalf("%v", err)
		}
		state = strings.TrimSpace(string(out))
	}
	if state != args[1] {
		ts.Fatalf("%s is %q and did not end with %s:\n%s", args[0], state, args[1], captured(ts, args[0], false))
	}
}
