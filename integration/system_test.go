//go:build linux

package integration_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// tie ends a process with the test.
func tie(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// adopt makes this process the parent of those whose own one ended, so that orphans finds them.
func adopt() error { return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

// orphans fails if any process was left behind.
func orphans() error {
	var errs []error
	for _, p := range alive() {
		if p.parent == os.Getpid() {
			errs = append(errs, fmt.Errorf("left behind: %s", p.name))
		}
	}
	return errors.Join(errs...)
}

// living is a process that has not ended.
type living struct {
	name            string // with its number
	parent, session int
}

// alive returns all processes that have not ended.
func alive() (list []living) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is valid
	for _, name := range stats {
		b, err := os.ReadFile(name)
		if err != nil {
			continue // ended meanwhile
		}
		var state byte
		var parent, group, session int
		end := bytes.LastIndexByte(b, ')') // proc_pid_stat(5): the name, in parentheses, may hold anything
		if _, err := fmt.Sscanf(string(b[end+1:]), " %c %d %d %d", &state, &parent, &group, &session); err == nil && state != 'Z' {
			list = append(list, living{string(b[:end+1]), parent, session})
		}
	}
	return list
}

// livingIn reports whether a process of one of some sessions has not ended.
func livingIn(sessions []string) bool {
	return slices.ContainsFunc(alive(), func(p living) bool { return slices.Contains(sessions, strconv.Itoa(p.session)) })
}
