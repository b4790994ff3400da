//go:build !linux

package server_test

import (
	"os/exec"

	"github.com/rogpeppe/go-internal/testscript"
)

func tie(*exec.Cmd) {}

func unprivileged(*testscript.TestScript, *exec.Cmd) {}

func cmdLimit(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Fatalf("only Linux bounds the files of a running program: put [linux] before the command")
}
