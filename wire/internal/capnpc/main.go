// Command capnpc writes the Go code of package wire from the schemas in the current directory. It runs
// the Cap'n Proto compiler, reads the CodeGeneratorRequest, and writes one .capnp.go file beside each
// schema: plain Go types with their encoding, and for the interface a method table. With -check it
// writes nothing and fails where a file would change.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"go/format"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

func main() {
	check := flag.Bool("check", false, "compare instead of writing")
	flag.Parse()
	if err := run(*check); err != nil {
		fmt.Fprintln(os.Stderr, "capnpc:", err)
		os.Exit(1)
	}
}

func run(check bool) error {
	files, err := filepath.Glob("*.capnp")
	if err != nil {
		return err
	}
	slices.Sort(files)
	cmd := exec.Command("capnp", append([]string{"compile", "-o-"}, files...)...)
	cmd.Stderr = os.Stderr
	request, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("compile the schemas (Debian package capnproto): %w", err)
	}
	s, err := readSchema(request)
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := generate(s, file, check); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

func generate(s *schema, file string, check bool) error {
	source, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	g := &generator{schema: s}
	if err := g.file(file, source); err != nil {
		return err
	}
	code, err := format.Source(g.out.Bytes())
	if err != nil {
		return fmt.Errorf("format %q: %w", g.out.Bytes(), err)
	}
	name := file + ".go"
	if !check {
		return os.WriteFile(name, code, 0o644)
	}
	old, err := os.ReadFile(name)
	if err == nil && !bytes.Equal(old, code) {
		err = fmt.Errorf("%s differs from its schema: go generate ./wire/... writes it anew", name)
	}
	return err
}
