// Package disk lets a client reach the files of this machine. Whoever makes the client says so: nothing else in it opens one.
package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
)

// Files implements client.Files. Its paths are absolute: a command may come from another process, which is elsewhere.
type Files struct{}

// file is an open file.
type file struct{ *os.File }

// Size implements client.Source and client.Target.
func (f file) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, failed(f.Name(), "looked at", err)
	}
	return info.Size(), nil
}

// Open implements client.Files.
func (Files) Open(path string) (client.Source, error) {
	if err := absolute(path); err != nil {
		return nil, err
	}
	info, err := os.Stat(path) // a pipe would be waited for
	if err == nil && !info.Mode().IsRegular() {
		return nil, qpq.E(qpq.Invalid, "not-a-file", fmt.Sprintf("%s is no file that could be sent: folders have to be packed first", path))
	}
	if err != nil {
		return nil, failed(path, "read", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, failed(path, "read", err)
	}
	return file{f}, nil
}

// Destination implements client.Files.
func (Files) Destination(path, name string) (string, error) {
	if err := absolute(path); err != nil {
		return "", err
	}
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return filepath.Join(path, name), nil
	case err == nil || errors.Is(err, fs.ErrNotExist) && !os.IsPathSeparator(path[len(path)-1]):
		return filepath.Clean(path), nil
	}
	return "", failed(path, "saved to", err)
}

// Create implements client.Files.
func (Files) Create(path string) (client.Target, error) {
	if err := absolute(path); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		f, err = goOn(path)
	}
	if err != nil {
		return nil, failed(path, "written", err)
	}
	return file{f}, nil
}

// goOn opens a file that is there: no link, which would lead elsewhere, nor anything else that somebody put into its place.
func goOn(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	named, err1 := os.Lstat(path)
	opened, err2 := f.Stat()
	if err := errors.Join(err1, err2); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if !named.Mode().IsRegular() || !os.SameFile(named, opened) {
		return nil, errors.Join(errNoPart, f.Close())
	}
	return f, nil
}

var errNoPart = errors.New("something else is in its place: remove that, or choose another folder")

// Move implements client.Files.
func (Files) Move(from, to string) (string, error) {
	extension := filepath.Ext(to)
	stem := strings.TrimSuffix(to, extension)
	for n := range 10_000 {
		if n > 0 {
			to = fmt.Sprintf("%s (%d)%s", stem, n, extension)
		}
		err := place(from, to)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return "", failed(to, "written", err)
		}
		return to, nil
	}
	return "", qpq.E(qpq.Exists, "file-exists", fmt.Sprintf("%s is there already, with all numbers behind it: choose another name", to))
}

// place gives a file a name that is free, or fails with fs.ErrExist. Where the file system has no links it takes the name first.
func place(from, to string) error {
	err := os.Link(from, to)
	if err == nil {
		return errors.Join(os.Remove(from), syncFolder(to))
	}
	if errors.Is(err, fs.ErrExist) {
		if same(from, to) { // it was cut off here
			return errors.Join(os.Remove(from), syncFolder(to))
		}
		return err
	}
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Rename(from, to), syncFolder(to))
}

func same(a, b string) bool {
	x, err1 := os.Lstat(a)
	y, err2 := os.Lstat(b)
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}

// Remove implements client.Files.
func (Files) Remove(path string) error {
	err := os.Remove(path)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return failed(path, "removed", err)
}

func absolute(path string) error {
	if !filepath.IsAbs(path) {
		return qpq.E(qpq.Invalid, "relative-path", fmt.Sprintf("%q is no whole path: write it from the root", path))
	}
	return nil
}

// failed says what could not be done with a file.
func failed(path, what string, cause error) error {
	kind, code := qpq.Damaged, "file-unusable"
	switch {
	case errors.Is(cause, fs.ErrNotExist):
		kind, code = qpq.NotFound, "file-unknown"
	case errors.Is(cause, fs.ErrPermission):
		kind, code = qpq.Denied, "file-denied"
	case errors.Is(cause, syscall.ENOSPC), errors.Is(cause, syscall.EDQUOT), errors.Is(cause, syscall.EFBIG):
		kind, code = qpq.Exhausted, "disk-full"
	}
	var at *fs.PathError
	if errors.As(cause, &at) {
		cause = at.Err
	}
	return qpq.Wrap(kind, code, fmt.Sprintf("%s cannot be %s: %v", path, what, cause), cause)
}
