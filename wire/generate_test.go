package wire

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestGenerated compares each schema with the hash in the code generated from it and, where the
// compiler is installed, generates anew and compares every byte.
func TestGenerated(t *testing.T) {
	schemas, err := filepath.Glob("*.capnp")
	if err != nil || len(schemas) == 0 {
		t.Fatalf("no schemas: %v", err)
	}
	for _, schema := range schemas {
		source, err := os.ReadFile(schema)
		if err != nil {
			t.Fatal(err)
		}
		code, err := os.ReadFile(schema + ".go")
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(code, fmt.Appendf(nil, "// schema sha256: %x\n", sha256.Sum256(source))) {
			t.Errorf("%s changed since its code was generated: run go generate ./wire/...", schema)
		}
	}
	t.Run("byte for byte", func(t *testing.T) {
		if _, err := exec.LookPath("capnp"); err != nil {
			t.Skip("the compiler capnp is not installed: scripts/setup installs it")
		}
		if out, err := exec.Command("go", "run", "./internal/capnpc", "-check").CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
}

// TestImports: of Cap'n Proto, only the encoding is linked.
func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dep := range strings.FieldsSeq(string(out)) {
		for _, part := range []string{"/rpc", "/server", "/std/"} {
			if strings.HasPrefix(dep, "capnproto.org/") && strings.Contains(dep, part) {
				t.Errorf("%s is linked", dep)
			}
		}
	}
}

// TestProtocolDocument: every method and push event is in the document for writers of other clients.
func TestProtocolDocument(t *testing.T) {
	doc, err := os.ReadFile("../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range methods {
		if !bytes.Contains(doc, fmt.Appendf(nil, "| %d | `%s` | %s |", m.Ordinal, m.Name, m.Access)) {
			t.Errorf("method %d, %s, access %s, has no line in docs/protocol.md", m.Ordinal, m.Name, m.Access)
		}
	}
}
