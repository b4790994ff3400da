package node

import "golang.org/x/sys/windows"

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
