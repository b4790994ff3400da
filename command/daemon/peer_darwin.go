package daemon

import "golang.org/x/sys/unix"

// userAt returns the user of the process at the other end of a socket.
func userAt(fd int) (int, error) {
	who, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	if err != nil {
		return 0, err
	}
	return int(who.Uid), nil
}
