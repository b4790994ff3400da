package daemon

import (
	"errors"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// samePerson fails where the process at the other end belongs to somebody else. Root may do all anyway.
func samePerson(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var who *unix.Xucred
	var asked error
	err = raw.Control(func(fd uintptr) { who, asked = unix.GetsockoptXucred(int(fd), unix.SOL_LOCAL, unix.LOCAL_PEERCRED) })
	if err = errors.Join(err, asked); err != nil {
		return err
	}
	return allowed(int(who.Uid), os.Geteuid())
}
