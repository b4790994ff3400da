//go:build !js

// Package files writes files that are whole and durable or not there, and locks them.
package files

import (
	"errors"
	"os"
	"path/filepath"
)

// Write makes a file that only its owner can read, in place of one of that name: whole and durable once it returns, or, where it
// fails, not changed.
func Write(path string, content []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-*") // of mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return SyncDir(dir)
}
