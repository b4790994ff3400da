//go:build linux

package integration_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdDocumented runs the program of docs/sdk.md.
func cmdDocumented(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) >= 1)
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	program, err := documented()
	ts.Check(err)
	checkExit(ts, want, ts.Exec(program, args[1:]...))
}

// cmdExample writes what a page shows in a language, one part after the other.
func cmdExample(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 3)
	page, err := os.ReadFile(filepath.Join("..", "docs", args[0]))
	ts.Check(err)
	var program []byte
	for _, part := range regexp.MustCompile("(?s)```"+regexp.QuoteMeta(args[1])+"\n(.*?)```\n").FindAllSubmatch(page, -1) {
		program = append(program, part[1]...)
	}
	if program == nil {
		ts.Fatalf("docs/%s has no program in %s", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), program, 0o600))
}

var wholeProgram = regexp.MustCompile("(?s)```go\n(package main\n.*?)```\n")

// documented builds the program.
var documented = sync.OnceValues(func() (string, error) {
	page, err := os.ReadFile("../docs/sdk.md")
	if err != nil {
		return "", err
	}
	found := wholeProgram.FindSubmatch(page)
	if found == nil {
		return "", errors.New("docs/sdk.md has no program")
	}
	source, program := filepath.Join(programs, "documented.go"), filepath.Join(programs, "documented")
	if err := os.WriteFile(source, found[1], 0o600); err != nil {
		return "", err
	}
	for _, args := range [][]string{{"vet", source}, {"build", "-buildvcs=false", "-o", program, source}} {
		if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s the program of docs/sdk.md: %w\n%s", args[0], err, out)
		}
	}
	return program, nil
})
