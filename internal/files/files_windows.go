package files

import (
	"os"

	"golang.org/x/sys/windows"
)

// Lock takes a lock that ends with the process, or by Unlock. It fails at once where another process has it.
func Lock(f *os.File) error {
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	// Behind what the file holds, so that others can read it.
	return windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, &windows.Overlapped{Offset: 1 << 20})
}

// Unlock lets go of a lock and closes its file.
func Unlock(f *os.File) error { return f.Close() }

// SyncDir has nothing to do: NTFS keeps names in its journal.
func SyncDir(string) error { return nil }
