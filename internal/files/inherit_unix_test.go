//go:build unix

package files_test

import (
	"os"
	"syscall"
	"testing"
)

// inherited opens a file once more as a child process has it, and returns what closes it.
func inherited(t *testing.T, f *os.File) func() {
	t.Helper()
	fd, err := syscall.Dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return func() { _ = syscall.Close(fd) }
}
