//go:build unix

package node

import (
	"errors"
	"os"
	"syscall"
)

// lock takes a lock that ends with the process, without waiting for it.
func lock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }

// syncDir makes what happened to the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// owned reports whether the modes of files say who may read them.
func owned() bool { return true }

// freeDisk returns how many bytes can be written to the disk that a directory is on.
func freeDisk(dir string) (uint64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return uint64(s.Bavail) * uint64(s.Bsize), nil
}
