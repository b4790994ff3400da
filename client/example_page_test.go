//go:build !js

package client_test

import (
	"os"
	"strings"
	"testing"
)

// TestThePageShowsExamplesThatRun: what docs/sdk.md shows of more than text stands in the examples, line by line.
func TestThePageShowsExamplesThatRun(t *testing.T) {
	source := ""
	for _, name := range []string{"example_actions_test.go", "example_files_test.go"} {
		source += string(must(os.ReadFile(name)))
	}
	_, page, ok := strings.Cut(string(must(os.ReadFile("../docs/sdk.md"))), "\n## More than text\n")
	page, _, ended := strings.Cut(page, "\n## ")
	if !ok || !ended {
		t.Fatal("docs/sdk.md has no such part")
	}
	pieces := strings.Split(page, "```go\n")[1:]
	for _, piece := range pieces {
		piece, _, _ = strings.Cut(piece, "```")
		set := "\n\t" + strings.ReplaceAll(strings.TrimSuffix(piece, "\n"), "\n", "\n\t") + "\n"
		if !strings.Contains(source, set) {
			t.Errorf("no example has\n%s", piece)
		}
	}
	if len(pieces) < 7 {
		t.Errorf("it has %d pieces", len(pieces))
	}
}
