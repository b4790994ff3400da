//go:build unix

package node

import "syscall"

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
