package main

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/quicproquo/qpq/config"
)

var update = flag.Bool("update", false, "write the generated parts of the manual anew")

// command runs a command line in this process, without an environment.
func command(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	e := environment{lookup: func(string) (string, bool) { return "", false }, stdout: &out, stderr: &errs}
	code = e.run(t.Context(), args)
	return out.String(), errs.String(), code
}

// TestManual compares the reference of settings with what the program says.
func TestManual(t *testing.T) {
	const path = "../../docs/configuration.md"
	settings, _, _ := command(t, "documents", "settings")
	file, _, _ := command(t, "--print-config")
	want := "# Settings of qpq-server\n\n<!-- written by: go test ./cmd/qpq-server -run Manual -update -->\n\n" +
		"Settings are taken from a TOML file (`--config` or `QPQ_CONFIG`), the environment and flags, each stronger than the one before. A key that " +
		"nobody knows is refused, with its line. A variable that is empty counts as not set. `qpq-server --print-config` shows what is in force; " +
		"`qpq-server check` says what is wrong with it. [server.md](server.md) says which of them you need.\n\n" +
		settings + "\n## As a file\n\n```toml\n" + file + "```\n"
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("%s is not what the program says (%v): write it anew with -update", path, err)
	}
}

// TestGuide looks for what the guide names: commands that can be run, flags that there are.
func TestGuide(t *testing.T) {
	guide, err := os.ReadFile("../../docs/server.md")
	if err != nil {
		t.Fatal(err)
	}
	s := newSettings()
	known := map[string]bool{"print-config": true, "uses": true, "expires": true, "help": true}
	for _, setting := range s.table().Settings {
		known[setting.Name] = true
	}
	lines := 0
	for _, line := range strings.Split(string(guide), "\n") {
		written, ok := strings.CutPrefix(strings.TrimSpace(line), "qpq-server ")
		if !ok || !strings.HasPrefix(line, "    ") {
			continue
		}
		lines++
		for _, word := range strings.Fields(written) {
			if flag, ok := strings.CutPrefix(word, "--"); ok && !known[strings.SplitN(flag, "=", 2)[0]] {
				t.Errorf("%q: there is no flag %s", line, word)
			}
		}
		if _, stderr, code := command(t, append(strings.Fields(written), "--help")...); code != 0 {
			t.Errorf("%q: code %d: %s", line, code, stderr)
		}
	}
	if lines < 5 {
		t.Errorf("the guide shows only %d commands", lines)
	}
}

func TestUsageErrorsHaveTheirCode(t *testing.T) {
	for _, args := range [][]string{{"nothing"}, {"check", "x"}, {"token", "revoke"}, {"token", "x"}, {"--nothing"}, {"--drain", "x"}, {"completion", "x"}} {
		_, stderr, code := command(t, args...)
		if code != config.ExitUsage || !strings.HasPrefix(stderr, "qpq-server: ") || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%v: code %d: %q", args, code, stderr)
		}
	}
}
