//go:build linux

package integration_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdBrowser runs what a page would run, compiled for browsers, in Node: its WebSocket and its way to trust servers are those of one.
func cmdBrowser(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 2)
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	line, err := browser()
	ts.Check(err)
	checkExit(ts, want, ts.Exec(line[0], append(line[1:], args[1:]...)...))
}

// browser builds the program, and returns the command line that runs it.
var browser = sync.OnceValues(func() ([]string, error) {
	program := filepath.Join(programs, "browser.wasm")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", program, "github.com/quicproquo/qpq/integration/browser")
	build.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build for browsers: %w\n%s", err, out)
	}
	script, err := filepath.Abs("../scripts/browser")
	return []string{script, program}, err
})
