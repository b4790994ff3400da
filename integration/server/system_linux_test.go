package server_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// tie ends a program with the test, however that ends.
func tie(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
}

// nobody is a user without any rights.
const nobody = 65534

// unprivileged takes the privileges of root from a program, if the test has them, and lets it reach the story's folder.
func unprivileged(ts *testscript.TestScript, cmd *exec.Cmd) {
	if os.Geteuid() != 0 {
		return
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	for dir := ts.MkAbs("."); dir != filepath.Dir(os.TempDir()) && dir != "/"; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err == nil && info.Mode().Perm()&0o001 == 0 {
			ts.Check(os.Chmod(dir, info.Mode().Perm()|0o055))
		}
	}
}

func cmdLimit(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 2)
	pid := running(ts, args[0]).cmd.Process.Pid
	var limit unix.Rlimit
	ts.Check(unix.Prlimit(pid, unix.RLIMIT_FSIZE, nil, &limit))
	limit.Cur = limit.Max
	if args[1] != "off" {
		n, err := strconv.ParseUint(args[1], 10, 64)
		ts.Check(err)
		limit.Cur = n
	}
	ts.Check(unix.Prlimit(pid, unix.RLIMIT_FSIZE, &limit, nil))
}
