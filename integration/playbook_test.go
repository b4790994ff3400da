//go:build linux

package integration_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestPlaybooks plays every file of playbooks with the real programs: all at the same time, at one server.
func TestPlaybooks(t *testing.T) {
	t.Parallel()
	list, err := filepath.Glob("../playbooks/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	all, err := os.ReadDir("../playbooks")
	if err != nil || len(all) != len(list) || len(list) < 4 {
		t.Fatalf("playbooks has %d files, and %d playbooks: %v", len(all), len(list), err)
	}
	dir := t.TempDir()
	server, err := startServer(exec.Command(filepath.Join(programs, "qpq-server"), "--data", filepath.Join(dir, "data"), "--listen", "127.0.0.1:0"), filepath.Join(dir, "server"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.stop(os.Interrupt); err != nil {
			t.Error(err)
		}
	})
	for _, file := range list {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			playFile(t, file, server.address)
		})
	}
}

// playFile plays a file that succeeds, and leaves nothing behind.
func playFile(t *testing.T, file, server string) {
	home, report := t.TempDir(), filepath.Join(t.TempDir(), "report.xml")
	cmd := exec.Command(filepath.Join(programs, "qpq"), "--server", server, "--json", "--run", file, "--junit", report)
	cmd.Env = []string{"HOME=" + home, "TMPDIR=" + home, "LC_ALL=C.UTF-8"}
	tie(cmd)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Errorf("%s: %v\n%s%s", file, err, &out, &errs)
	}
	passed := 0
	for line := range strings.Lines(out.String()) {
		var e struct{ Event, Status string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Errorf("%s: %v", line, err)
		}
		if e.Event == "step" && e.Status == "passed" {
			passed++
		}
	}
	var suite struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Errors   int `xml:"errors,attr"`
		Skipped  int `xml:"skipped,attr"`
	}
	b, err := os.ReadFile(report)
	if err == nil {
		err = xml.Unmarshal(b, &suite)
	}
	if err != nil || suite.Tests-suite.Skipped != passed || passed == 0 || suite.Failures+suite.Errors > 0 {
		t.Errorf("%d steps passed, and the report has %+v: %v", passed, suite, err)
	}
	if left, err := os.ReadDir(home); err != nil || len(left) > 0 {
		t.Errorf("%v is left behind: %v", left, err)
	}
}
