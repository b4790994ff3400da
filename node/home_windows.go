package node

import (
	"os"

	"golang.org/x/sys/windows"
)

// lock takes a lock that ends with the process, without waiting for it.
func lock(f *os.File) error {
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	// Behind the text, so that others can read it.
	return windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, &windows.Overlapped{Offset: 1 << 20})
}

// syncDir has nothing to do: NTFS keeps names in its journal.
func syncDir(string) error { return nil }

// owned reports whether the modes of files say who may read them.
func owned() bool { return false }

// freeDisk returns how many bytes can be written to the disk that a directory is on.
func freeDisk(dir string) (uint64, error) {
	p, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, err
	}
	var free uint64
	err = windows.GetDiskFreeSpaceEx(p, &free, nil, nil)
	return free, err
}
