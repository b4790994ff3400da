package main

import "os"

// reloadSignals make the server read its certificate anew. Windows has none.
var reloadSignals = []os.Signal{}

// ignoredSignals are none on Windows.
var ignoredSignals = []os.Signal{}

// isRoot reports whether the process may do anything on this machine.
func isRoot() bool { return false }
