//go:build unix

package files

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// ErrLongPath is what Listen fails with where systems have no room for a path.
var ErrLongPath = errors.New("it is too long for a socket")

// Listen returns a socket at path that only its owner can reach, in place of a file of that name. Closing it leaves its file.
func Listen(path string) (*net.UnixListener, error) {
	private, err := hide(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer os.Remove(private)
	made := filepath.Join(private, "s")
	if most := longest(); len(path) > most || len(made) > most {
		return nil, fmt.Errorf("%w: %d bytes go", ErrLongPath, most)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: made, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	if err = os.Chmod(made, 0o600); err == nil {
		err = os.Rename(made, path)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close(), os.Remove(made))
	}
	return l, nil
}

// hide makes a folder in another one that nobody else may enter. Its name is short, since paths of sockets must be, and one that nobody can guess: where
// others may make files too, they would take it first.
func hide(dir string) (path string, err error) {
	for range 100 {
		path = filepath.Join(dir, "."+strings.ToLower(rand.Text()[:5]))
		if err = os.Mkdir(path, 0o700); !errors.Is(err, os.ErrExist) {
			return path, err
		}
	}
	return "", err
}

// longest is how many bytes the path of a socket may have.
func longest() int {
	if runtime.GOOS == "linux" {
		return 107
	}
	return 103
}

// Refused reports whether dialling a socket failed because nobody listens there any more, and for no other reason: as where more want to be
// heard than there is room for.
func Refused(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, os.ErrNotExist)
}
