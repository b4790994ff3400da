//go:build linux

// Package integration_test plays stories with the real programs: qpq as people use it, and qpq-server as its operator and as clients
// meet it. Each story is a file in testdata whose name says what it shows. Waiting is a command there (wait-for), never a sleep.
// Terminals, privileges, limits and the search for processes left behind are those of Linux.
//
// Besides what testscript offers, stories have these commands:
//
//	server NAME [flags]        starts qpq-server and waits until it is ready; sets $NAME to its address, $NAME_fingerprint and
//	                           $NAME_metrics. Unless flags say otherwise its data is in NAME.data, and it listens on a port of
//	                           127.0.0.1 that it has at a second start too
//	start NAME program [args]  starts a program in the background. What a program in the background says is in NAME.out, anew at
//	                           each start, and NAME.err
//	finish NAME [code]         waits for it to end with an exit code, 0 if none is given
//	signal NAME SIGNAL         sends it TERM, INT or HUP
//	halt NAME [signal]         sends it a signal, TERM if none is given, and waits for it to end; a server does so with exit code 0
//	kill9 NAME                 kills it
//	limit NAME BYTES|off       bounds the size of files that it may write
//	wait-for FILE PATTERN      waits until a file has a match
//	until PATTERN program [args]
//	                           runs a program again and again until what it prints has a match
//	set NAME FILE PATTERN      sets a variable to what the first group of a pattern matches; FILE may be stdout or stderr
//	exits CODE program [args]  runs a program that ends with an exit code
//	plain CODE program [args]  the same without the privileges of root, if the test has them
//	tty CODE SCRIPT prog [...] the same at a terminal, where SCRIPT says what happens, in lines: expect PATTERN, type TEXT,
//	                           tab TEXT (typed, and then the Tab key), secret TEXT (typed once the terminal echoes no more),
//	                           keys TEXT (with the escapes of Go), interrupt, do COMMAND (of the story, or a program that succeeds);
//	                           what was shown is in screen
//	window NAME WIDTHxHEIGHT program [args]
//	                           starts a program in a window (tmux) of its own, in a time zone in which it is about noon
//	press NAME KEY...          presses keys there, as tmux calls them
//	write NAME TEXT            types a text there
//	click NAME COLUMN ROW      clicks there; both count from 1
//	resize NAME WIDTHxHEIGHT   changes the size of the window
//	[!] shows [-styles] NAME PATTERN
//	                           waits until the window shows something, or does not any more; with its styles, as escape sequences
//	screen NAME FILE           waits until the window shows what testdata/screen/FILE.screen has, but for times and dates
//	ended NAME CODE            waits until the program has ended with an exit code
//	authority NAME             makes NAME.pem, a certificate authority, and NAME.crt and NAME.key, which it vouches for to be localhost
//	certificate NAME DOMAIN [from [to]]
//	                           makes NAME.crt and NAME.key that nobody vouches for, valid between two times, in days from now
//	tcp-only NAME ADDRESS      sets $NAME to an address that leads to another one by TCP, and nowhere by UDP
//	gate NAME ADDRESS          sets $NAME to an address that leads to another one by UDP, until it is closed
//	hold NAME BYTES            lets so many more bytes through a gate, and then nothing
//	pass NAME                  opens the gate again
//	occupy udp|tcp             takes a port of 127.0.0.1, and sets $port
//	get URL                    prints a page; its status code comes first
//	sql FILE STATEMENT         changes a database that nobody uses
//	profile-sql PROFILE STATEMENT
//	                           changes the database of a profile that nobody uses
//	wait-sql FILE QUERY        waits until a query of the database of a server, which may run, gives 1
//	overwrite FILE OFFSET BYTES
//	                           writes rubbish over a part of a file
//	[!] holds HEX FILES        looks for bytes in files, and in those of folders
//	browser CODE ADDRESS       runs what a page would (see integration/browser) with the server at an address, up to an exit code
//	documented CODE [args]     runs the program of docs/sdk.md, up to an exit code
//	example PAGE LANGUAGE FILE writes what a page of docs shows in a language, all parts of it, to a file
//	profiles SERVER NAME...    signs people up, each as the profile of that name, with passwords that cost nothing; NAME*N stands for
//	                           NAME1 to NAMEN
//	[!] garbage SERVER PROFILE ID [USER...]
//	                           hands in, as the device of a profile, a change of the conversation of an ID that nobody can read, and
//	                           of which it claims that it removes users
//
// and clients made of packages opaque, identity, wire and transport, which also do what qpq would not:
//
//	[!] person ACTION SERVER USER [argument]
//	                           register [token], authenticate, login [password], enrol, passwd PASSWORD, delete; a failure puts its
//	                           code and sentence on stderr
//	[!] info SERVER            prints what the server says of itself
//	watch SERVER USER          authenticates and stays, until the server ends the connection; pushes go to USER.pushes
package integration_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// programs is the folder of the programs under test.
var programs string

func TestMain(m *testing.M) {
	code, err := withPrograms(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func withPrograms(m *testing.M) (code int, err error) {
	flag.Parse()
	if err := flag.Set("test.parallel", "6"); err != nil { // stories wait more than they work
		return 0, err
	}
	if programs, err = os.MkdirTemp("", "qpq-programs-"); err != nil {
		return 0, err
	}
	defer os.RemoveAll(programs)
	build := exec.Command("go", "build", "-buildvcs=false", "-o", programs+string(filepath.Separator),
		"github.com/quicproquo/qpq/cmd/qpq", "github.com/quicproquo/qpq/cmd/qpq-server", "github.com/quicproquo/qpq/cmd/qpq-loadtest")
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("build the programs: %w\n%s", err, out)
	}
	if err := adopt(); err != nil {
		return 0, err
	}
	code = m.Run()
	return code, orphans()
}

func TestStories(t *testing.T) {
	t.Parallel()
	for _, of := range []string{"browser", "client", "healing", "screen", "server"} {
		t.Run(of, func(t *testing.T) {
			t.Parallel()
			testscript.Run(t, testscript.Params{
				Dir: filepath.Join("testdata", of), RequireUniqueNames: true, Setup: setup, Condition: condition, Cmds: commands,
			})
		})
	}
}

var commands map[string]func(*testscript.TestScript, bool, []string)

func init() { // a terminal's script uses them too
	commands = map[string]func(*testscript.TestScript, bool, []string){
		"server": cmdServer, "start": cmdStart, "finish": cmdFinish, "signal": cmdSignal, "halt": cmdHalt, "kill9": cmdKill9, "limit": cmdLimit,
		"wait-for": cmdWaitFor, "until": cmdUntil, "set": cmdSet, "exits": cmdExits, "plain": cmdPlain, "tty": cmdTTY,
		"gate": cmdGate, "hold": cmdHold, "pass": cmdPass,
		"authority": cmdAuthority, "certificate": cmdCertificate, "tcp-only": cmdTCPOnly, "occupy": cmdOccupy,
		"get": cmdGet, "sql": cmdSQL, "profile-sql": cmdProfileSQL, "wait-sql": cmdWaitSQL, "overwrite": cmdOverwrite, "holds": cmdHolds,
		"browser": cmdBrowser, "documented": cmdDocumented, "person": cmdPerson, "info": cmdInfo, "watch": cmdWatch, "example": cmdExample,
		"profiles": cmdProfiles, "garbage": cmdGarbage, "wait-gone": cmdWaitGone,
		"window": cmdWindow, "press": cmdPress, "write": cmdWrite, "click": cmdClick, "resize": cmdResize, "shows": cmdShows, "screen": cmdScreen, "ended": cmdEnded,
	}
}

// setup gives each story folders of its own.
func setup(e *testscript.Env) error {
	e.Vars = append(e.Vars,
		"XDG_DATA_HOME="+filepath.Join(e.WorkDir, "data"),
		"XDG_CONFIG_HOME="+filepath.Join(e.WorkDir, "config"),
		"XDG_STATE_HOME="+filepath.Join(e.WorkDir, "state"),
		"LC_ALL=C.UTF-8", "TZ="+midday(), "BIN="+programs)
	scripts, err := filepath.Abs("../scripts")
	if err != nil {
		return err
	}
	e.Setenv("SCRIPTS", scripts)
	e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
	e.Setenv("PATH", programs+string(filepath.ListSeparator)+e.Getenv("PATH"))
	sources, err := os.Getwd()
	if err != nil {
		return err
	}
	s := &story{sources: sources, processes: map[string]*process{}, ports: map[string]string{}, gates: map[string]*gate{}, people: map[string]*person{}}
	e.Values[storyKey{}] = s
	e.Defer(s.end)
	return nil
}

// condition knows what the machine can do.
func condition(name string) (bool, error) {
	switch name {
	case "mounts": // a file system of one's own can be had
		return exec.Command("unshare", "-rm", "true").Run() == nil, nil
	}
	return false, errors.New("unknown condition")
}

// story is what one story has going on.
type story struct {
	processes map[string]*process
	ports     map[string]string // where servers listened
	people    map[string]*person
	others    sync.WaitGroup // goroutines of the story, ended by closers
	closers   []func()
	sources   string   // the folder of this package
	windows   *windows // nil while there are none
	gates     map[string]*gate
}

type storyKey struct{}

func of(ts *testscript.TestScript) *story { return ts.Value(storyKey{}).(*story) }

func (s *story) end() {
	for _, c := range s.closers {
		c()
	}
	for _, p := range s.people {
		p.hangUp()
	}
	for _, p := range s.processes {
		p.kill()
	}
	s.others.Wait()
}

// usage fails a story that uses a command in the wrong way.
func usage(ts *testscript.TestScript, right bool) {
	if !right {
		ts.Fatalf("used in the wrong way: see the top of main_test.go")
	}
}
