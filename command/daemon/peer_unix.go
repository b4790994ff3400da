//go:build linux || darwin

package daemon

import (
	"errors"
	"net"
	"os"
)

// samePerson fails where the process at the other end belongs to somebody else. Root may do all anyway.
func samePerson(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var who int
	var asked error
	err = raw.Control(func(fd uintptr) { who, asked = userAt(int(fd)) })
	if err = errors.Join(err, asked); err != nil {
		return err
	}
	return allowed(who, os.Geteuid())
}
