package node

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/internal/files"
	"github.com/quicproquo/qpq/opaque"
	"github.com/quicproquo/qpq/wire"
)

// Home is a server's data directory: its database, and beside it the keys that must not be in the
// database, so that who steals a copy of it can try no passwords. One process at a time holds it.
type Home struct {
	dir  string
	lock *os.File
}

// Names of the files in a home.
const (
	fileDatabase    = "qpq.db"
	filePasswords   = "opaque.key"
	fileSigning     = "signing.key"
	fileTLSKey      = "tls.key"
	fileCertificate = "tls.crt"
	fileLock        = "lock"
	fileBlobs       = "files"
)

// OpenHome opens a data directory, making it if there is none, and locks it. It fails with
// qpq.Exists and code "home-in-use" where another process holds it. release is this program's version.
func OpenHome(dir, release string) (*Home, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, homeError(dir, "made", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, fileLock), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, homeError(dir, "opened", err)
	}
	if err := files.Lock(f); err != nil {
		holder, _ := os.ReadFile(f.Name())
		_ = f.Close()
		return nil, qpq.Wrap(qpq.Exists, "home-in-use", fmt.Sprintf(
			"the data directory %s is in use by another server (%s): stop it, or choose another directory with --data", dir, bytes.TrimSpace(holder)), err)
	}
	err = errors.Join(f.Truncate(0), writeAt(f, fmt.Sprintf("process %d, release %s\n", os.Getpid(), release)))
	if err != nil {
		_ = f.Close()
		return nil, homeError(dir, "written", err)
	}
	return &Home{dir, f}, nil
}

func writeAt(f *os.File, text string) error {
	_, err := f.WriteAt([]byte(text), 0)
	return err
}

// SharedHome opens a data directory that a server of the same release holds, for work that the store alone
// orders. It fails with qpq.Exists where the release is another: the schema may be too.
func SharedHome(dir, release string) (*Home, error) {
	b, err := os.ReadFile(filepath.Join(dir, fileLock))
	if err != nil {
		return nil, homeError(dir, "read", err)
	}
	if !strings.HasSuffix(string(b), "release "+release+"\n") {
		return nil, qpq.E(qpq.Exists, "home-in-use", fmt.Sprintf(
			"a server of another release holds the data directory %s (%s): stop it first, or use its own qpq-server", dir, strings.TrimSpace(string(b))))
	}
	return &Home{dir: dir}, nil
}

// Close lets go of the directory.
func (h *Home) Close() error {
	if h.lock == nil {
		return nil
	}
	return files.Unlock(h.lock)
}

// Database returns the path of the database.
func (h *Home) Database() string { return filepath.Join(h.dir, fileDatabase) }

// Blobs returns the path of the folder of encrypted files.
func (h *Home) Blobs() string { return h.path(fileBlobs) }

// Passwords returns what answers for passwords, whose keys are made at the first start. KSF is no
// concern of a server.
func (h *Home) Passwords() (*opaque.Server, error) {
	config := opaque.Configuration{Context: wire.OPAQUEContext(nil)}
	b, err := h.secret(filePasswords, "QUICPROQUO OPAQUE SETUP", func() ([]byte, error) {
		setup, err := opaque.NewServerSetup(config)
		if err != nil {
			return nil, err
		}
		return setup.Marshal(), nil
	})
	if err != nil {
		return nil, err
	}
	defer clear(b)
	setup, err := opaque.ParseServerSetup(config, b)
	if err != nil {
		return nil, damagedKey(h.path(filePasswords), err)
	}
	return opaque.NewServer(config, setup), nil
}

// SigningKey returns the key that signs receipts and the order of conversations, made at the first start.
func (h *Home) SigningKey() (ed25519.PrivateKey, error) {
	b, err := h.secret(fileSigning, "PRIVATE KEY", func() ([]byte, error) {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		return x509.MarshalPKCS8PrivateKey(key)
	})
	if err != nil {
		return nil, err
	}
	defer clear(b)
	key, err := x509.ParsePKCS8PrivateKey(b)
	if k, ok := key.(ed25519.PrivateKey); ok {
		return k, nil
	}
	return nil, damagedKey(h.path(fileSigning), err)
}

// secret returns a key from its file, or makes it at the first start. Without it the accounts in the
// database are worth nothing, so it is never made where a database is.
func (h *Home) secret(name, kind string, generate func() ([]byte, error)) ([]byte, error) {
	path := h.path(name)
	b, err := os.ReadFile(path)
	if err == nil {
		defer clear(b)
		block, rest := pem.Decode(b)
		if block == nil || block.Type != kind || len(bytes.TrimSpace(rest)) > 0 {
			return nil, damagedKey(path, nil)
		}
		return block.Bytes, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, homeError(path, "read", err)
	}
	if _, err := os.Stat(h.Database()); err == nil {
		return nil, qpq.E(qpq.Damaged, "key-missing", fmt.Sprintf(
			"there is a database and no %s beside it, without which the server does not start: restore the file from the same copy as the database", path))
	}
	made, err := generate()
	if err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: made})
	defer clear(text)
	return made, writeFile(path, text)
}

func (h *Home) path(name string) string { return filepath.Join(h.dir, name) }

// Exposed returns what of the home, and of further files, others than the owner can read or write.
func (h *Home) Exposed(further ...string) (paths []string) {
	all := []string{h.dir, h.Database(), h.path(filePasswords), h.path(fileSigning), h.path(fileTLSKey)}
	for _, path := range append(all, further...) {
		if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 && owned() {
			paths = append(paths, path)
		}
	}
	return paths
}

func writeFile(path string, content []byte) error {
	if err := files.Write(path, content); err != nil {
		return homeError(path, "written", err)
	}
	return nil
}

// homeError says what could not be done with a file, and what would help.
func homeError(path, what string, cause error) error {
	kind, code, advice := qpq.Unavailable, "home-unusable", "choose another data directory with --data"
	switch {
	case errors.Is(cause, syscall.ENOSPC), errors.Is(cause, syscall.EDQUOT), errors.Is(cause, syscall.EFBIG):
		kind, code, advice = qpq.Exhausted, "disk-full", "make room on its disk"
	case errors.Is(cause, syscall.EROFS):
		advice = "make its disk writable, or " + advice
	case errors.Is(cause, fs.ErrPermission):
		advice = "let the server's user read and write it, or " + advice
	case errors.Is(cause, fs.ErrNotExist):
		kind, advice = qpq.NotFound, "start the server once, or "+advice
	}
	var at *fs.PathError
	if errors.As(cause, &at) {
		cause = at.Err // the path is told already
	}
	return qpq.Wrap(kind, code, fmt.Sprintf("%s cannot be %s: %v: %s", path, what, cause, advice), cause)
}

func damagedKey(path string, cause error) error {
	return qpq.Wrap(qpq.Damaged, "key-damaged", fmt.Sprintf("%s is damaged: restore it from a copy", path), cause)
}

// FreeDisk returns how many bytes the disk of the home has left.
func (h *Home) FreeDisk() (uint64, error) {
	free, err := freeDisk(h.dir)
	if err != nil {
		return 0, homeError(h.dir, "looked at", err)
	}
	return free, nil
}

// Dir returns the path of the directory.
func (h *Home) Dir() string { return h.dir }
