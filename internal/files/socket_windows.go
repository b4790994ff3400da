package files

import (
	"errors"
	"net"
	"os"

	"golang.org/x/sys/windows"
)

// ErrLongPath is what Listen fails with where systems have no room for a path.
var ErrLongPath = errors.New("it is too long for a socket")

// Listen returns a socket at path, in place of a file of that name: who may reach it, the folder says. Closing it leaves its file.
func Listen(path string) (*net.UnixListener, error) {
	if len(path) > 103 {
		return nil, ErrLongPath
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	return l, nil
}

// Refused reports whether dialling a socket failed because nobody listens there any more, and for no other reason.
func Refused(err error) bool {
	return errors.Is(err, windows.WSAECONNREFUSED) || errors.Is(err, os.ErrNotExist)
}
