package client_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
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

// cmdPlain runs a program to which the modes of files apply even if the test runs as root.
func cmdPlain(ts *testscript.TestScript, neg bool, args []string) {
	positive(ts, neg, args, 2)
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	ended := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread, which gives up its privileges, ends with the goroutine
		if err := dropPrivileges(); err != nil {
			ended <- err
			return
		}
		ended <- ts.Exec(args[1], args[2:]...)
	}()
	checkExit(ts, want, <-ended)
}

// dropPrivileges keeps what this thread executes from reaching files that their modes forbid.
func dropPrivileges() error {
	if os.Geteuid() != 0 {
		return nil
	}
	var err error
	for _, c := range []uintptr{unix.CAP_DAC_OVERRIDE, unix.CAP_DAC_READ_SEARCH} {
		err = errors.Join(err, unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0))
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	err = errors.Join(err, unix.Capget(&header, &sets[0]))
	sets[0].Inheritable, sets[1].Inheritable = 0, 0
	return errors.Join(err, unix.Capset(&header, &sets[0]))
}
