package client

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/quicproquo/qpq"
)

// WriteFile writes a file by f, at a path or, where that is a folder, within it by a name. It is there as a whole or not at all, and takes no other one's
// place: it returns the path where it is.
func (c *Client) WriteFile(path, name string, f func(io.Writer) error) (string, error) {
	files := c.cfg.Files
	if files == nil {
		return "", errNoFiles
	}
	path, err := files.Destination(path, SafeName(name))
	if err != nil {
		return "", err
	}
	unique := make([]byte, 5)
	if _, err := io.ReadFull(random, unique); err != nil {
		return "", err
	}
	part := path + "." + hex.EncodeToString(unique) + ".part"
	if err := writePart(files, part, f); err != nil {
		return "", errors.Join(err, files.Remove(part))
	}
	done, err := files.Move(part, path)
	if err != nil {
		return "", errors.Join(err, files.Remove(part))
	}
	return done, nil
}

// writePart writes a file that is durable when it returns.
func writePart(files Files, part string, f func(io.Writer) error) error {
	target, err := files.Create(part)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(io.NewOffsetWriter(target, 0), 256<<10)
	err = f(w)
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = target.Sync()
	}
	if err = errors.Join(err, target.Close()); err != nil && qpq.CodeOf(err) == "" {
		err = qpq.Wrap(qpq.Unavailable, "file-unwritable", fmt.Sprintf("%s cannot be written: %v", part, err), err)
	}
	return err
}

// ReadFile gives what a file says to f.
func (c *Client) ReadFile(path string, f func(io.Reader) error) error {
	source, err := c.openFile(path)
	if err != nil {
		return err
	}
	size, err := source.Size()
	if err == nil {
		err = f(io.NewSectionReader(source, 0, size))
	}
	return errors.Join(err, source.Close())
}
