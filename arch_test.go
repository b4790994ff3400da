package qpq_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/quicproquo/qpq"

// mayImport lists, for each package or tree of packages (…/...), what of the module it may import besides its
// own tree. The first entry that matches counts. What is not listed may import nothing of the module.
var mayImport = []struct {
	of      string
	imports []string
}{
	{"mls/frame", nil},
	{"mls/...", nil},
	{"opaque/...", nil},
	{"identity/...", []string{"."}},
	{"wire/...", []string{".", "identity"}},
	{"transport/...", []string{"."}},
	{"store/...", []string{".", "internal/files", "internal/wal"}},
	{"config", []string{"."}},
	{"node/...", []string{".", "identity", "internal/files", "mls/frame", "opaque", "store", "transport", "wire"}},
	{"client/transcript", []string{".", "identity"}},
	{"client/...", []string{".", "identity", "internal/files", "internal/wal", "mls", "mls/frame", "mls/message", "opaque", "transport", "wire"}},
	{"command/...", []string{".", "client", "client/transcript", "identity", "internal/files", "wire"}},
	{"loadtest", []string{".", "client/conversation", "client/filecrypt", "identity", "internal/clients", "internal/files", "mls", "mls/message", "opaque", "transport", "transport/quic", "wire"}},
	{"cmd/...", []string{"*"}},
	{"integration/...", []string{"*"}},
	{"bench/...", []string{"*"}},
	{"internal/clients", []string{".", "client/arrivals", "wire"}},
	{"internal/history", []string{".", "client/profile", "identity", "wire"}},
	{"internal/world/...", []string{"*"}},
	{"internal/testserver", []string{".", "node", "opaque", "store", "store/folder", "store/sqlite", "transport", "transport/mem"}},
}

// mustNotLink lists what must not be in a program that has the package, however it got there.
var mustNotLink = []struct {
	in        string
	forbidden []string
	why       string
}{
	{"node/...", []string{module + "/client", module + "/mls", module + "/mls/message", module + "/mls/internal/suite"},
		"no code that can decrypt a message ships in the server"},
	{"cmd/qpq-server", []string{module + "/client", module + "/mls", module + "/mls/message", module + "/mls/internal/suite"},
		"no code that can decrypt a message ships in the server"},
	{"client/...", []string{"github.com/quic-go/quic-go", module + "/node", module + "/store"}, "the client builds for browsers"},
	{"wire", []string{"capnproto.org/go/capnp/v3/rpc", "capnproto.org/go/capnp/v3/server"}, "peers can crash go-capnp's RPC"},
	{".", []string{"github.com/quic-go/quic-go", "golang.org/x/net/http2"}, "the root package is words only"},
}

// siblings never import each other.
var siblings = [][]string{
	{"store/sqlite", "store/postgres"},
	{"transport/quic", "transport/tlsmux", "transport/websocket", "transport/mem"},
}

type listed struct {
	ImportPath    string
	Doc           string
	Imports, Deps []string
	GoFiles       []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json", "./...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var list []listed
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var p listed
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	return list
}

// short returns the path of a package within the module, "." for the root.
func short(importPath string) string {
	if importPath == module {
		return "."
	}
	return strings.TrimPrefix(importPath, module+"/")
}

func ours(importPath string) bool {
	return importPath == module || strings.HasPrefix(importPath, module+"/")
}

func matches(pattern, p string) bool {
	if tree, ok := strings.CutSuffix(pattern, "/..."); ok {
		return p == tree || strings.HasPrefix(p, tree+"/")
	}
	return pattern == "*" || pattern == p
}

func TestImports(t *testing.T) {
	for _, p := range packages(t) {
		name := short(p.ImportPath)
		rule := slices.IndexFunc(mayImport, func(r struct {
			of      string
			imports []string
		}) bool {
			return matches(r.of, name)
		})
		for _, i := range p.Imports {
			if !ours(i) {
				continue
			}
			to := short(i)
			if strings.HasPrefix(to, "cmd/") {
				t.Errorf("%s imports %s: nothing imports a command", name, to)
			}
			if rule >= 0 && (matches(mayImport[rule].of, to) || slices.ContainsFunc(mayImport[rule].imports, func(r string) bool { return matches(r, to) })) {
				continue
			}
			t.Errorf("%s must not import %s", name, to)
		}
		for _, group := range siblings {
			for _, i := range p.Imports {
				if slices.Contains(group, name) && slices.Contains(group, short(i)) {
					t.Errorf("%s imports its sibling %s", name, short(i))
				}
			}
		}
		for _, rule := range mustNotLink {
			if !matches(rule.in, name) {
				continue
			}
			for _, bad := range rule.forbidden {
				if slices.Contains(p.Deps, bad) {
					t.Errorf("%s links %s: %s", name, bad, rule.why)
				}
			}
		}
	}
}

// TestRulesNameWhatExists: a rule about a package that is misspelt or gone forbids nothing.
func TestRulesNameWhatExists(t *testing.T) {
	list := packages(t)
	exists := func(pattern string) {
		if !slices.ContainsFunc(list, func(p listed) bool { return matches(pattern, short(p.ImportPath)) }) {
			t.Errorf("a rule names %s, and there is no such package", pattern)
		}
	}
	for _, rule := range mayImport {
		for _, pattern := range append(rule.imports, rule.of) {
			exists(pattern)
		}
	}
	for _, rule := range mustNotLink {
		exists(rule.in)
		for _, bad := range rule.forbidden {
			if ours(bad) {
				exists(short(bad))
			}
		}
	}
	for _, group := range siblings {
		for _, name := range group {
			exists(name)
		}
	}
}

func TestPackagesSayWhatTheyAre(t *testing.T) {
	for _, p := range packages(t) {
		if len(p.GoFiles) > 0 && p.Doc == "" {
			t.Errorf("%s has no sentence on what it is", short(p.ImportPath))
		}
		if base := path.Base(p.ImportPath); slices.Contains([]string{"util", "utils", "common", "pkg", "models", "helpers", "misc"}, base) {
			t.Errorf("%s: a folder is a noun that a user would say", short(p.ImportPath))
		}
	}
}

// leftBehind finds what must not stay in finished work.
var leftBehind = regexp.MustCompile(`\b(TODO|FIXME|XXX|HACK)\b|panic\("(not implemented|unimplemented)`)

func TestNothingIsLeftBehind(t *testing.T) {
	err := filepath.WalkDir(".", func(file string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && slices.Contains([]string{".git", "node_modules", "bin", "data"}, entry.Name()) {
			return filepath.SkipDir
		}
		if filepath.Ext(file) != ".go" || file == "arch_test.go" || strings.HasSuffix(file, ".capnp.go") {
			return nil
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for n, line := range strings.Split(string(data), "\n") {
			if leftBehind.MatchString(line) {
				t.Errorf("%s:%d: %s", file, n+1, strings.TrimSpace(line))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// linked finds where links of a page lead.
var linked = regexp.MustCompile(`\]\(([^)\s:]+)\)`)

// heading finds what parts of a page are called.
var heading = regexp.MustCompile(`(?m)^#+ (.*)$`)

// TestPagesLeadSomewhere: what pages link to is there, and the README leads to every page of docs.
func TestPagesLeadSomewhere(t *testing.T) {
	var pages []string
	for _, pattern := range []string{"*.md", "docs/*.md", "bench/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	reached := map[string]bool{}
	for _, page := range pages {
		for _, link := range linked.FindAllStringSubmatch(read(t, page), -1) {
			to, part, _ := strings.Cut(link[1], "#")
			target := page
			if to != "" {
				target = path.Join(path.Dir(page), to)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s: %v", page, link[1], err)
			} else if part != "" && !slices.Contains(parts(read(t, target)), part) {
				t.Errorf("%s links to %s, which has no such part", page, link[1])
			}
			if page == "README.md" {
				reached[target] = true
			}
		}
	}
	for _, page := range pages {
		if path.Dir(page) == "docs" && !reached[page] {
			t.Errorf("README.md does not lead to %s", page)
		}
	}
}

// parts returns the headings of a page as links name them.
func parts(text string) (list []string) {
	for _, h := range heading.FindAllStringSubmatch(text, -1) {
		list = append(list, strings.ReplaceAll(regexp.MustCompile(`[^\pL\pN _-]`).ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-"))
	}
	return list
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
