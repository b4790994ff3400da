package playbook_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/command"
	"github.com/quicproquo/qpq/command/playbook"
)

var update = flag.Bool("update", false, "write generated and golden files anew")

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// same compares a file with what it is to have.
func same(t *testing.T, path, want string) {
	t.Helper()
	if *update {
		check(t, os.WriteFile(path, []byte(want), 0o644))
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("%s is not what it is to be (%v): write it anew with -update, and look at the difference. It is to be\n%s", path, err, want)
	}
}

// TestWrongFiles loads every file of testdata/wrong, and compares what is wrong with it.
func TestWrongFiles(t *testing.T) {
	list, err := filepath.Glob("testdata/wrong/*.yaml")
	check(t, err)
	if len(list) == 0 {
		t.Fatal("there are none")
	}
	for _, path := range list {
		data, err := os.ReadFile(path)
		check(t, err)
		_, err = playbook.Load(filepath.Base(path), data)
		if qpq.KindOf(err) != qpq.Invalid || qpq.CodeOf(err) != playbook.CodePlaybook {
			t.Errorf("%s: %v", path, err)
			continue
		}
		var problems *playbook.Problems
		if !errors.As(err, &problems) || len(problems.List) == 0 {
			t.Errorf("%s: %v", path, err)
		}
		same(t, strings.TrimSuffix(path, ".yaml")+".txt", err.Error()+"\n")
	}
}

// TestBounds: what would cost too much is refused.
func TestBounds(t *testing.T) {
	for name, data := range map[string]string{
		"size":    strings.Repeat("# comment\n", playbook.MaxFile/10+1),
		"line":    "name: " + strings.Repeat("x", 20_000),
		"flow":    "name: " + strings.Repeat("[", 5000),
		"dashes":  strings.Repeat("- ", 5000),
		"blocks":  deep(100),
		"aliases": laughs(),
		"anchors": "name: " + strings.Repeat("&a ", 2000) + "x",
		"tags":    "name: " + strings.Repeat("!t ", 2000) + "x",
		"quoted":  strings.Repeat("?\n", 10_000),
		"parts":   "steps: [" + strings.Repeat("a,\n ", 60_000) + "]",
	} {
		_, err := playbook.Load(name, []byte(data))
		if qpq.CodeOf(err) != playbook.CodePlaybook || len(err.Error()) > 10_000 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func deep(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

// laughs is a file whose aliases stand for a billion values.
func laughs() string {
	var b strings.Builder
	b.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < 10; i++ {
		n := string(rune('0' + i))
		before := "*a" + string(rune('0'+i-1))
		b.WriteString("a" + n + ": &a" + n + " [" + strings.Repeat(before+", ", 9) + before + "]\n")
	}
	return b.String()
}

// TestEveryCommandCanBeCalled: as a line and with arguments, of any parameter.
func TestEveryCommandCanBeCalled(t *testing.T) {
	for _, c := range command.All() {
		args := map[string]any{}
		for _, p := range c.Params {
			switch {
			case p.List:
				args[p.Name] = []string{"a", "${run}"}
			case p.Switch:
				args[p.Name] = true
			case p.Number:
				args[p.Name] = 1
			default:
				args[p.Name] = "x ${run}"
			}
		}
		line := asLine(c, args)
		data, err := json.Marshal(map[string]any{"users": map[string]any{"alice": nil}, "steps": []any{
			map[string]any{"command": c.Name, "args": args}, map[string]any{"run": line}}})
		check(t, err)
		p, err := playbook.Load(c.Name, data) // JSON is YAML
		if err != nil {
			t.Errorf("%s: %v\n%s", c.Name, err, data)
			continue
		}
		if got := p.Commands(); len(got) != 1 || got[0] != c.Name {
			t.Errorf("%s: %q", c.Name, got)
		}
	}
}

// asLine returns a command with arguments as it is typed.
func asLine(c *command.Command, args map[string]any) string {
	flags, places := "", ""
	for _, p := range c.Params {
		var words []string
		switch v := args[p.Name].(type) {
		case []string:
			words = v
		default:
			words = []string{fmt.Sprint(v)}
		}
		for _, w := range words {
			switch {
			case p.Switch:
				flags += " --" + p.Name
			case p.Flag:
				flags += " --" + p.Name + "='" + w + "'"
			default:
				places += " '" + w + "'"
			}
		}
	}
	return c.Name + flags + places
}

// TestGenerated compares schema and reference with what is in docs.
func TestGenerated(t *testing.T) {
	schema, err := playbook.Schema()
	check(t, err)
	same(t, "../../docs/playbook.schema.json", string(schema))
	const path, begin, end = "../../docs/playbooks.md", "<!-- keys: written by go test ./command/playbook -run Generated -update -->\n", "<!-- end of keys -->"
	page, err := os.ReadFile(path)
	check(t, err)
	before, rest, ok := strings.Cut(string(page), begin)
	_, after, found := strings.Cut(rest, end)
	if !ok || !found {
		t.Fatalf("%s has no place for the keys", path)
	}
	same(t, path, before+begin+"\n"+playbook.Reference()+"\n"+end+after)
}

func FuzzLoad(f *testing.F) {
	list, err := filepath.Glob("testdata/wrong/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	more, err := filepath.Glob("../../playbooks/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range append(list, more...) {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := playbook.Load("fuzz.yaml", data)
		if (p == nil) != (err != nil) {
			t.Fatal(p, err)
		}
		if err != nil && (qpq.CodeOf(err) != playbook.CodePlaybook || !strings.HasPrefix(err.Error(), "fuzz.yaml:")) {
			t.Fatal(err)
		}
	})
}
