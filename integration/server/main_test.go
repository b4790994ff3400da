// Package server_test plays stories with the real qpq-server, as its operator and as clients meet it. Clients are made of packages
// opaque, identity, wire and transport, so that they can also do what qpq would not. Each story is a file in testdata whose
// name says what it shows. Waiting is a command there, never a sleep.
//
// Besides what testscript offers, stories have these commands:
//
//	serve NAME [flags]           starts qpq-server on a free port of 127.0.0.1 with its data in NAME.data, unless flags say otherwise,
//	                             and waits until it is ready; sets $NAME to its address, $NAME_fingerprint and $NAME_metrics. What
//	                             it says is in NAME.out and NAME.err
//	halt NAME [signal]           sends it TERM or INT, and waits for it to end with exit code 0
//	signal NAME HUP              sends it a signal
//	kill9 NAME                   kills it
//	wait-for FILE PATTERN        waits until a file has a match
//	set NAME FILE PATTERN        sets a variable to what the first group of a pattern matches; FILE may be stdout or stderr
//	exits CODE [flags]           runs qpq-server, which ends with an exit code
//	plain CODE [flags]           the same without the privileges of root, if the test has them
//	[!] person ACTION SERVER USER [argument]
//	                             register [token], authenticate, login [password], enrol, passwd PASSWORD, delete; a failure puts its code
//	                             and sentence on stderr
//	[!] info SERVER              prints what the server says of itself
//	watch SERVER USER            authenticates and stays, until the server ends the connection; pushes go to USER.pushes
//	get URL                      prints a page; its status code comes first
//	sql FILE STATEMENT           changes a database that nobody uses
//	certificate NAME DOMAIN [from [to]]
//	                             makes NAME.crt and NAME.key, valid between two times, in days from now
//	limit NAME BYTES|off         bounds the size of files that a running server may write (Linux)
//	overwrite FILE OFFSET BYTES  writes rubbish over a part of a file
//	occupy udp|tcp               takes a port of 127.0.0.1, and sets $port
package server_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// program is the server under test.
var program string

func TestMain(m *testing.M) {
	code, err := withProgram(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func withProgram(m *testing.M) (int, error) {
	flag.Parse()
	if err := flag.Set("test.parallel", "6"); err != nil { // stories wait more than they work
		return 0, err
	}
	dir, err := os.MkdirTemp("", "qpq-server-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // for stories without the privileges of root
		return 0, err
	}
	program = filepath.Join(dir, "qpq-server")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", program, "github.com/quicproquo/qpq/cmd/qpq-server")
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("build the server: %w\n%s", err, out)
	}
	return m.Run(), nil
}

func TestStories(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                "testdata",
		RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			s := &story{servers: map[string]*server{}, people: map[string]*person{}}
			e.Values[storyKey{}] = s
			e.Defer(s.end)
			e.Vars = append(e.Vars, "PATH="+filepath.Dir(program)+string(os.PathListSeparator)+os.Getenv("PATH"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve": cmdServe, "halt": cmdHalt, "signal": cmdSignal, "kill9": cmdKill9, "wait-for": cmdWaitFor, "exits": cmdExits, "plain": cmdPlain,
			"person": cmdPerson, "info": cmdInfo, "watch": cmdWatch, "get": cmdGet, "sql": cmdSQL, "certificate": cmdCertificate,
			"limit": cmdLimit, "occupy": cmdOccupy, "set": cmdSet, "overwrite": cmdOverwrite,
		},
	})
}

// story is what one story has going on.
type story struct {
	servers map[string]*server
	people  map[string]*person
	closers []func()
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
	for _, v := range s.servers {
		v.kill()
	}
}

// usage fails a story that uses a command in the wrong way.
func usage(ts *testscript.TestScript, right bool) {
	if !right {
		ts.Fatalf("used in the wrong way: see the top of main_test.go")
	}
}
