package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSmoke has every peer do everything for a moment. It takes a minute, and the packages that make bench-peers installs.
func TestSmoke(t *testing.T) {
	out := filepath.Join(t.TempDir(), "REPORT.md")
	progress := &strings.Builder{}
	o := smoke
	o.time /= 2
	if err := compare(t.Context(), peerNames(), o, out, progress); err != nil {
		t.Fatalf("%v\n%s", err, progress)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	report := string(text)
	cells := func(name string) map[string]string {
		t.Helper()
		found := map[string]string{}
		for i, p := range allPeers() {
			found[p.name] = strings.TrimSpace(strings.Split(row(t, report, name), "|")[i+2])
		}
		return found
	}
	for _, name := range []string{"delivered a second, 1 pair", "delivered a second, 4 pairs", "one pair alone: delivered p50 / p99, ms", "start-up until a client is connected, ms"} {
		for peer, cell := range cells(name) {
			if cell == "–" {
				t.Errorf("%s: %s was not measured", peer, name)
			}
		}
	}
	lost, synced := cells("acknowledged messages lost when all processes are killed"), cells("a sync ended between sending and acknowledgement")
	for _, peer := range []string{"qpq", "ejabberd-pg", "ejabberd-sqlite", "nats"} {
		var missing, of int
		if _, err := fmt.Sscanf(lost[peer], "%d of %d", &missing, &of); err != nil || missing != 0 || of == 0 {
			t.Errorf("%s lost %q of what it had acknowledged when it was killed (%v)", peer, lost[peer], err)
		}
		if synced[peer] != "40 of 40" {
			t.Errorf("%s synced before it acknowledged: %s", peer, synced[peer])
		}
	}
	if synced["prosody"] != "0 of 40" || synced["mosquitto"] != "0 of 40" {
		t.Errorf("what is said of servers that do not sync is not so: prosody %s, mosquitto %s", synced["prosody"], synced["mosquitto"])
	}
}

// row returns the line of a table that begins with a name.
func row(t *testing.T, report, name string) string {
	t.Helper()
	for line := range strings.Lines(report) {
		if strings.HasPrefix(line, "| "+name+" |") {
			return line
		}
	}
	t.Fatalf("the report has no line %q:\n%s", name, report)
	return ""
}

func TestAnUnknownPeerIsRefused(t *testing.T) {
	err := compare(context.Background(), "qpq,nobody", smoke, filepath.Join(t.TempDir(), "REPORT.md"), &strings.Builder{})
	if err == nil || !strings.Contains(err.Error(), `"nobody"`) || !strings.Contains(err.Error(), peerNames()) {
		t.Errorf("%v", err)
	}
}
