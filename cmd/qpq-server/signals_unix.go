//go:build unix

package main

import (
	"os"
	"syscall"
)

// reloadSignals make the server read its certificate anew.
var reloadSignals = []os.Signal{syscall.SIGHUP}

// ignoredSignals would end a process that they must not end: a write beyond a limit on the size of files fails
// instead, like one to a full disk.
var ignoredSignals = []os.Signal{syscall.SIGXFSZ}

// isRoot reports whether the process may do anything on this machine.
func isRoot() bool { return os.Geteuid() == 0 }
