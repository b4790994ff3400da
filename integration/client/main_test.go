//go:build linux

// Package client_test plays stories with the real programs: qpq as people use it, against a real qpq-server. Each story is a file
// in testdata whose name says what it shows. Waiting is a command there (wait-for), never a sleep. Terminals, privileges and the
// search for processes left behind are those of Linux.
//
// Besides what testscript offers, stories have these commands:
//
//	server NAME [flags]        starts qpq-server and waits until it is ready; sets $NAME to its address and $NAME_fingerprint.
//	                           Its data is in NAME.data, what it says in NAME.out and NAME.err; a second start has the same address
//	start NAME program [args]  starts a program in the background, with its output in NAME.out and NAME.err
//	finish NAME [code]         waits for it to end with an exit code, 0 if none is given
//	halt NAME [signal]         sends it a signal, TERM or INT, and waits for it to end
//	kill9 NAME                 kills it
//	wait-for FILE PATTERN      waits until a file has a match
//	set NAME FILE PATTERN      sets a variable to what the first group of a pattern matches; FILE may be stdout or stderr
//	exits CODE program [args]  runs a program that ends with an exit code
//	plain CODE program [args]  the same without the privileges of root, if the test has them
//	tty CODE SCRIPT prog [...] the same at a terminal, where SCRIPT says what happens, in lines: expect PATTERN, type TEXT,
//	                           secret TEXT (typed once the terminal echoes no more), interrupt; what was shown is in screen
//	authority NAME             makes NAME.pem, a certificate authority, and NAME.crt and NAME.key, which it vouches for to be localhost
//	tcp-only NAME ADDRESS      sets $NAME to an address that leads to another one by TCP, and nowhere by UDP
//	[!] holds HEX FILES        looks for bytes in files
package client_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
		"github.com/quicproquo/qpq/cmd/qpq", "github.com/quicproquo/qpq/cmd/qpq-server")
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
	testscript.Run(t, testscript.Params{
		Dir:                "testdata",
		RequireUniqueNames: true,
		Setup:              setup,
		Condition:          condition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"server": cmdServer, "start": cmdStart, "finish": cmdFinish, "halt": cmdHalt, "kill9": cmdKill9,
			"wait-for": cmdWaitFor, "set": cmdSet, "exits": cmdExits, "tty": cmdTTY, "plain": cmdPlain,
			"authority": cmdAuthority, "tcp-only": cmdTCPOnly, "holds": cmdHolds,
		},
	})
}

// setup gives each story folders of its own.
func setup(e *testscript.Env) error {
	e.Vars = append(e.Vars,
		"XDG_DATA_HOME="+filepath.Join(e.WorkDir, "data"),
		"XDG_CONFIG_HOME="+filepath.Join(e.WorkDir, "config"),
		"XDG_STATE_HOME="+filepath.Join(e.WorkDir, "state"),
		"LC_ALL=C.UTF-8")
	e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
	e.Setenv("PATH", programs+string(filepath.ListSeparator)+e.Getenv("PATH"))
	b := &background{processes: map[string]*process{}, ports: map[string]string{}}
	e.Values[key{}] = b
	e.Defer(b.end)
	return nil
}
