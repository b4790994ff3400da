package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

var update = flag.Bool("update", false, "write the generated parts of the manual anew")

// run runs a command line in this process.
func run(t *testing.T, args ...string) string {
	t.Helper()
	t.Setenv("HOME", t.TempDir())
	var out, errs bytes.Buffer
	p := &program{lookup: func(string) (string, bool) { return "", false }, stdin: os.Stdin, stdout: &out, stderr: &errs}
	if code := p.run(t.Context(), args); code != 0 {
		t.Fatalf("qpq %v: code %d: %s", args, code, errs.String())
	}
	return out.String()
}

// TestManual compares what is generated with what is in docs.
func TestManual(t *testing.T) {
	const path = "../../docs/commands.md"
	want := "# Commands of qpq\n\n<!-- written by: go test ./cmd/qpq -run Manual -update -->\n\n" +
		"Every command takes the [settings](#settings) as flags too. Exit codes: 2 usage, 3 network, 4 denied, 5 not found, 6 conflict, 7 damaged, " +
		"8 not as a playbook expects, 1 anything else. Results go to standard output; prompts, notices and errors to standard error. `qpq --run FILE` plays a " +
		"[playbook](playbooks.md) of such commands.\n\n" +
		run(t, "documents", "commands") + "\n## Settings\n\n" + run(t, "documents", "settings")
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("%s is not what the commands say (%v): write it anew with -update", path, err)
	}
}

// TestEveryCommandIsExplained: pages that people write say something of each command, besides the reference, which is made of what commands say of themselves.
func TestEveryCommandIsExplained(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	for _, page := range append(pages, "../../README.md") {
		if filepath.Base(page) == "commands.md" {
			continue
		}
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		text += string(b)
	}
	p := &program{lookup: func(string) (string, bool) { return "", false }, settings: newSettings(), secrets: &secrets{sources: map[string]*source{}}}
	for _, c := range p.root().Commands() {
		name := regexp.QuoteMeta(c.Name())
		if !c.Hidden && !regexp.MustCompile("(?m)(qpq |`|`/)"+name+"([ `|]|$)").MatchString(text) {
			t.Errorf("no page but the reference has %s", c.Name())
		}
	}
}

// TestTheChangelogHasRoom for what is not released yet.
func TestTheChangelogHasRoom(t *testing.T) {
	b, err := os.ReadFile("../../CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	headings := regexp.MustCompile(`(?m)^## .*$`).FindAllString(string(b), -1)
	if len(headings) == 0 || headings[0] != "## Unreleased" {
		t.Errorf("its parts are %q", headings)
	}
}
