package client_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/client/disk"
)

// TestFilesAreWholeOrNotThere: what fails on its way leaves nothing, and nothing is replaced.
func TestFilesAreWholeOrNotThere(t *testing.T) {
	folder := t.TempDir()
	c := client.New(client.Config{Files: disk.Files{}})
	says := func(text string) func(io.Writer) error {
		return func(w io.Writer) error {
			_, err := io.WriteString(w, text)
			return err
		}
	}
	read := func(path string) (text string) {
		t.Helper()
		check(t, c.ReadFile(path, func(r io.Reader) error {
			b, err := io.ReadAll(r)
			text = string(b)
			return err
		}))
		return text
	}
	first := must(c.WriteFile(folder, "a/b.txt", says("first")))
	second := must(c.WriteFile(first, "ignored", says("second")))
	if read(first) != "first" || read(second) != "second" || filepath.Dir(first) != folder || filepath.Dir(second) != folder {
		t.Errorf("%s says %q, and %s %q", first, read(first), second, read(second))
	}
	failure := errors.New("no more")
	_, err := c.WriteFile(filepath.Join(folder, "third"), "", func(w io.Writer) error { return errors.Join(says("a part")(w), failure) })
	if !errors.Is(err, failure) || qpq.CodeOf(err) != "file-unwritable" {
		t.Errorf("what fails: %v", err)
	}
	_, err = c.WriteFile(filepath.Join(folder, "gone", "third"), "", says("x"))
	wants(t, err, qpq.NotFound, "file-unknown")
	wants(t, c.ReadFile(filepath.Join(folder, "third"), nil), qpq.NotFound, "file-unknown")
	if list := must(os.ReadDir(folder)); len(list) != 2 {
		t.Errorf("the folder has %v", list)
	}
	none := client.New(client.Config{})
	_, err = none.WriteFile(folder, "x", says("x"))
	wants(t, err, qpq.Unsupported, "no-files")
	wants(t, none.ReadFile(first, nil), qpq.Unsupported, "no-files")
}
