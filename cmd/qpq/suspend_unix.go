//go:build unix

package main

import "syscall"

// suspension returns what stops this process, as Ctrl-Z does, and returns when it goes on. before and after give the terminal away and take it.
func suspension(before, after func()) func() {
	return func() {
		before()
		_ = syscall.Kill(0, syscall.SIGTSTP)
		after()
	}
}
