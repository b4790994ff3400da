package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quicproquo/qpq/config"
)

var update = flag.Bool("update", false, "write the generated parts of the manual anew")

// command runs a command line in this process, without an environment.
func command(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	p := &program{lookup: func(string) (string, bool) { return "", false }, stdout: &out, stderr: &errs}
	code = p.run(t.Context(), args)
	return out.String(), errs.String(), code
}

// TestManual compares the table of settings with what the program says.
func TestManual(t *testing.T) {
	const path, begin = "../../docs/load-testing.md", "<!-- written by: go test ./cmd/qpq-loadtest -run Manual -update -->\n\n"
	settings, _, _ := command(t, "documents", "settings")
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, after, ok := strings.Cut(string(page), begin)
	if !ok {
		t.Fatalf("%s has no place for the settings", path)
	}
	if *update {
		if err := os.WriteFile(path, []byte(before+begin+settings), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if after != settings {
		t.Errorf("%s is not what the program says: write it anew with -update", path)
	}
}

// TestGuide looks for what the guide shows: flags that there are.
func TestGuide(t *testing.T) {
	page, err := os.ReadFile("../../docs/load-testing.md")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{"help": true, "print-config": true}
	for _, s := range newSettings().table().Settings {
		known[s.Name] = true
	}
	shown := 0
	for line := range strings.Lines(string(page)) {
		if !strings.HasPrefix(line, "    qpq-loadtest ") {
			continue
		}
		shown++
		for _, word := range strings.Fields(line) {
			if name, ok := strings.CutPrefix(word, "--"); ok && !known[strings.SplitN(name, "=", 2)[0]] {
				t.Errorf("%q: there is no flag %s", line, word)
			}
		}
	}
	if shown < 6 {
		t.Errorf("the guide shows only %d command lines", shown)
	}
}

func TestUsageErrorsAreSentences(t *testing.T) {
	for _, args := range [][]string{{"x"}, {"--nothing"}, {"--rate", "x"}, {"--rate", "-1"}, {"--scenario", "x"}, {"--clients", "0"}, {"--clients", "1"}, {"--duration", "0s"},
		{"--compare", "a.json"}, {"--fingerprint", "x"}, {"--find-limit"}, {"--coordinator", ":1", "--worker", ":2"}, {"--worker", "127.0.0.1:1"}, {"version", "x"},
		{"--server", "a:b:c"}, {"--duration", "x"}} {
		_, stderr, code := command(t, args...)
		if code != config.ExitUsage || !strings.HasPrefix(stderr, "qpq-loadtest: ") || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%v: code %d: %q", args, code, stderr)
		}
	}
	for _, args := range [][]string{{"--compare", "/nonexistent", "/nonexistent"}, {"--token-file", "/nonexistent"}, {"--worker", "127.0.0.1:1", "--secret-file", "/nonexistent"}} {
		if _, stderr, code := command(t, args...); code != config.ExitNotFound || !strings.Contains(stderr, "/nonexistent") {
			t.Errorf("%v: code %d: %q", args, code, stderr)
		}
	}
}

// TestConfigurationIsRead: what --print-config prints is a file that --config takes, and variables count.
func TestConfigurationIsRead(t *testing.T) {
	printed, _, code := command(t, "--clients", "7", "--rate", "12.5/s", "--print-config")
	path := filepath.Join(t.TempDir(), "load.toml")
	if err := os.WriteFile(path, []byte(printed), 0o600); err != nil || code != 0 {
		t.Fatal(err, code)
	}
	again, stderr, code := command(t, "--config", path, "--print-config")
	if again != printed || code != 0 {
		t.Errorf("code %d: %s%s", code, stderr, again)
	}
	var out, errs bytes.Buffer
	p := &program{lookup: func(k string) (string, bool) { return "30", k == "QPQ_LOADTEST_CLIENTS" }, variables: []string{"QPQ_LOADTEST_CLINTS=1"}, stdout: &out, stderr: &errs}
	if code := p.run(t.Context(), []string{"--print-config"}); code != 0 || !strings.Contains(out.String(), "\nclients = 30\n") || !strings.Contains(errs.String(), "perhaps QPQ_LOADTEST_CLIENTS is meant") {
		t.Errorf("code %d: %s%s", code, errs.String(), out.String())
	}
}

func TestCompletion(t *testing.T) {
	out, _, code := command(t, "__complete", "--scenario", "")
	if code != 0 || !strings.Contains(out, "reconnect-storm") {
		t.Errorf("code %d: %s", code, out)
	}
	if man, _, code := command(t, "documents", "man"); code != 0 || !strings.Contains(man, ".TH QPQ-LOADTEST 1") {
		t.Errorf("code %d", code)
	}
}
