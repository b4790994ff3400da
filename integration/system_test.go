//go:build linux

package integration_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return err
	}
	for _, name := range stats {
		b, err := os.ReadFile(name)
		if err != nil {
			continue // ended meanwhile
		}
		var state byte
		var parent int
		end := bytes.LastIndexByte(b, ')') // proc_pid_stat(5): the name, in parentheses, may hold anything
		if _, err := fmt.Sscanf(string(b[end+1:]), " %c %d", &state, &parent); err == nil && parent == os.Getpid() && state != 'Z' {
			errs = append(errs, fmt.Errorf("left behind: %s", b[:end+1]))
		}
	}
	return errors.Join(errs...)
}
