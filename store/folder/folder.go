// Package folder keeps the contents of blobs as files of one folder, each named by what it holds.
package folder

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/internal/files"
	"github.com/quicproquo/qpq/store"
)

// part is what the names of files end with that are not complete.
const part = ".part"

// Folder implements store.Contents.
type Folder struct {
	dir string

	mu   sync.Mutex
	made [256]bool // folders in it whose names are durable
}

// Open returns the folder at a path, making it if there is none. What is in it is spread over 256 folders, made when they are needed.
func Open(dir string) (*Folder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, folderError("made", err)
	}
	return &Folder{dir: dir}, folderError("made", files.SyncDir(filepath.Dir(dir)))
}

// path returns where a complete blob is.
func (f *Folder) path(b store.BlobID) string {
	name := hex.EncodeToString(b.Hash[:])
	return filepath.Join(f.dir, name[:2], name+"-"+hex.EncodeToString(b.Channel[:]))
}

// Append implements store.Contents.
func (f *Folder) Append(b store.BlobID, offset int64, data []byte) (end int64, err error) {
	if err := f.ready(b); err != nil {
		return 0, folderError("made", err)
	}
	path := f.path(b) + part
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return 0, folderError("opened", err)
	}
	end, err = extend(file, offset, data)
	if err = errors.Join(err, file.Close()); err == nil && offset == 0 {
		err = files.SyncDir(filepath.Dir(path)) // it may be new
	}
	return end, folderError("written", err)
}

// ready makes the folder of a file, where it is not there, and its name durable: in each process once.
func (f *Folder) ready(b store.BlobID) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	first := b.Hash[0]
	if f.made[first] {
		return nil
	}
	if err := os.Mkdir(filepath.Dir(f.path(b)), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := files.SyncDir(f.dir); err != nil {
		return err
	}
	f.made[first] = true
	return nil
}

func extend(file *os.File, offset int64, data []byte) (end int64, err error) {
	info, err := file.Stat()
	if err != nil || info.Size() < offset {
		return sizeOf(info), err
	}
	if info.Size() > offset { // was not acknowledged
		if err := file.Truncate(offset); err != nil {
			return 0, err
		}
	}
	if _, err := file.WriteAt(data, offset); err != nil {
		return 0, err
	}
	return offset + int64(len(data)), file.Sync()
}

func sizeOf(info fs.FileInfo) int64 {
	if info == nil {
		return 0
	}
	return info.Size()
}

// Complete implements store.Contents.
func (f *Folder) Complete(b store.BlobID) error {
	path := f.path(b)
	if _, err := os.Stat(path); err == nil {
		return folderError("written", files.SyncDir(filepath.Dir(path))) // its name may not be durable yet
	}
	file, err := os.Open(path + part)
	if err != nil {
		return folderError("read", err)
	}
	h := sha256.New()
	_, err = io.Copy(h, file)
	if err = errors.Join(err, file.Close()); err != nil {
		return folderError("read", err)
	}
	if !bytes.Equal(h.Sum(nil), b.Hash[:]) {
		return qpq.E(qpq.Invalid, "blob-corrupt", "what arrived is not what the file's address says: send it again")
	}
	if err := os.Rename(path+part, path); err != nil {
		return folderError("renamed", err)
	}
	return folderError("written", files.SyncDir(filepath.Dir(path)))
}

// ReadAt implements store.Contents.
func (f *Folder) ReadAt(b store.BlobID, p []byte, offset int64) (int, error) {
	file, err := os.Open(f.path(b))
	if err != nil {
		return 0, folderError("read", err)
	}
	defer file.Close()
	n, err := file.ReadAt(p, offset)
	if err == io.EOF {
		return n, qpq.Wrap(qpq.NotFound, "blob-short", "a file at the server is shorter than it was", err)
	}
	return n, folderError("read", err)
}

// Remove implements store.Contents.
func (f *Folder) Remove(b store.BlobID) (err error) {
	path := f.path(b)
	for _, name := range []string{path, path + part} {
		if gone := os.Remove(name); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}
	return folderError("removed", err)
}

// Each implements store.Contents.
func (f *Folder) Each(each func(store.BlobID) error) error {
	for i := range 256 {
		list, err := os.ReadDir(filepath.Join(f.dir, fmt.Sprintf("%02x", i)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return folderError("read", err)
		}
		for _, entry := range list {
			b, ok := parse(entry.Name())
			if !ok {
				continue // nothing of the server's
			}
			if err := each(b); err != nil {
				return err
			}
		}
	}
	return nil
}

// parse reads the name of a file.
func parse(name string) (b store.BlobID, ok bool) {
	hash, channel, ok := strings.Cut(strings.TrimSuffix(name, part), "-")
	if !ok || len(hash) != 2*len(b.Hash) || len(channel) != 2*len(b.Channel) {
		return b, false
	}
	_, err1 := hex.Decode(b.Hash[:], []byte(hash))
	_, err2 := hex.Decode(b.Channel[:], []byte(channel))
	return b, err1 == nil && err2 == nil
}

// folderError gives an error of the file system a kind.
func folderError(what string, cause error) error {
	switch {
	case cause == nil:
		return nil
	case errors.Is(cause, fs.ErrNotExist):
		return qpq.Wrap(qpq.NotFound, "blob-missing", "there is no such file at the server", cause)
	case errors.Is(cause, syscall.ENOSPC), errors.Is(cause, syscall.EDQUOT), errors.Is(cause, syscall.EFBIG):
		return qpq.Wrap(qpq.Exhausted, "disk-full", "the server's disk is full: ask who runs it to make room", cause)
	}
	return qpq.Wrap(qpq.Unavailable, "blobs-unusable", "the server's folder of files cannot be "+what, cause)
}
