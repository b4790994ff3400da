//go:build !js

package profile

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/internal/files"
)

// Home is the folder of a profile: its database, the key if no keyring keeps it, and a lock. One process at
// a time holds it.
type Home struct {
	dir  string
	keys Keys
	lock *os.File
}

// Keys keeps the keys of profiles elsewhere than in their folders: the keyring of the system.
type Keys interface {
	// Load returns the key of a profile, nil if it has none.
	Load(dir string) ([]byte, error)
	Store(dir string, key []byte) error
}

// Names of the files in a home.
const (
	fileDatabase = "profile.db"
	fileKey      = "profile.key"
	fileLock     = "lock"
	fileSocket   = "socket"
)

// OpenHome locks the folder of a profile, making it if there is none. Where keys is nil, or fails to keep a new
// key, the key is in a file that only its owner can read. It fails with qpq.Exists and code "profile-in-use"
// where another process holds the folder.
func OpenHome(dir string, keys Keys) (*Home, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, homeError(dir, "made", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, fileLock), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, homeError(dir, "written", err)
	}
	if err := files.Lock(f); err != nil {
		_ = f.Close()
		return nil, qpq.Wrap(qpq.Exists, "profile-in-use", fmt.Sprintf("another process holds the profile in %s: wait until it ends, or end it", dir), err)
	}
	return &Home{dir, keys, f}, nil
}

// Close lets go of the folder.
func (h *Home) Close() error { return files.Unlock(h.lock) }

// Socket returns the path of the socket by which the process that holds a folder takes the commands of others.
func Socket(dir string) string { return filepath.Join(dir, fileSocket) }

// Exists reports whether there is a profile in a folder.
func Exists(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, fileDatabase))
	return err == nil
}

// Open opens the profile, making it if there is none.
func (h *Home) Open() (*Profile, error) {
	path := filepath.Join(h.dir, fileDatabase)
	_, err := os.Stat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, homeError(path, "read", err)
	}
	key, err := h.key(err == nil)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) // SQLite would let others read it, and makes its journal alike
	if err != nil {
		return nil, homeError(path, "opened", err)
	}
	if err := f.Close(); err != nil {
		return nil, homeError(path, "opened", err)
	}
	return Open(Config{Path: path, Key: key})
}

// key returns the profile's key. A new one is durable before anything is encrypted with it; none is made where
// there is something that only the old one opens.
func (h *Home) key(exists bool) ([]byte, error) {
	path := filepath.Join(h.dir, fileKey)
	if text, err := os.ReadFile(path); err == nil {
		return parseKey(path, text)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, homeError(path, "read", err)
	}
	var ringErr error
	if h.keys != nil {
		var key []byte
		if key, ringErr = h.keys.Load(h.dir); ringErr == nil && len(key) == KeySize {
			return key, nil
		}
	}
	if exists {
		return nil, qpq.Wrap(qpq.Damaged, "key-missing", fmt.Sprintf(
			"the key of the profile in %s is neither in the keyring nor in %s: unlock the keyring, or restore the file", h.dir, path), ringErr)
	}
	key := make([]byte, KeySize)
	rand.Read(key)
	if h.keys != nil && h.keys.Store(h.dir, key) == nil {
		return key, nil
	}
	return key, writeKey(path, key)
}

func parseKey(path string, text []byte) ([]byte, error) {
	defer clear(text)
	key := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(key, bytes.TrimSpace(text))
	if err != nil || n != KeySize {
		return nil, qpq.Wrap(qpq.Damaged, "key-damaged", fmt.Sprintf("%s is damaged: restore it from a backup", path), err)
	}
	return key[:n], nil
}

func writeKey(path string, key []byte) error {
	text := append(base64.StdEncoding.AppendEncode(nil, key), '\n')
	defer clear(text)
	if err := files.Write(path, text); err != nil {
		return homeError(path, "written", err)
	}
	return nil
}

func homeError(path, what string, cause error) error {
	err, advice := kinded(cause), "make it, or the folder that it is in, readable and writable"
	if qpq.KindOf(err) == qpq.Exhausted {
		advice = "make room on its disk"
	}
	return qpq.Wrap(qpq.KindOf(err), qpq.CodeOf(err), fmt.Sprintf("%s cannot be %s: %v: %s", path, what, cause, advice), cause)
}
