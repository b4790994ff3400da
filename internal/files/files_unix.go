//go:build unix

package files

import (
	"errors"
	"os"
	"syscall"
)

// Lock takes a lock that ends with the process, or by Unlock. It fails at once where another process has it.
func Lock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }

// Unlock lets go of a lock and closes its file. Closing alone is not enough: a program that is being started right now has all open files until it begins.
func Unlock(f *os.File) error {
	return errors.Join(syscall.Flock(int(f.Fd()), syscall.LOCK_UN), f.Close())
}

// SyncDir makes what happened to the names in a directory durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
