//go:build unix

package main

import (
	"os"
	"syscall"
)

// reloadSignals make the server read its certificate anew.
var reloadSignals = []os.Signal{syscall.SIGHUP}

// isRoot reports whether the process may do anything on this machine.
func isRoot() bool { return os.Geteuid() == 0 }
