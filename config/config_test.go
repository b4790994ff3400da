package config_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/config"
)

type settings struct {
	listen, mode, file, name string
	drain                    time.Duration
	limit                    int
	names                    bool
}

func table(s *settings) *config.Table {
	*s = settings{listen: ":4433", mode: "open", drain: 10 * time.Second, limit: 5}
	return &config.Table{Prefix: "QPQ", Settings: []config.Setting{
		{Name: "config", Value: config.File(&s.file), Help: "read settings from `FILE`", NoFile: true},
		{Name: "listen", Value: config.Address(&s.listen, "4433", false), Help: "listen on `ADDR`"},
		{Name: "mode", Value: config.OneOf(&s.mode, "open", "closed"), Help: "who may"},
		{Name: "drain-time", Value: config.Duration(&s.drain), Help: "wait so long"},
		{Name: "limit", Value: config.Int(&s.limit, 1, 10), Help: "at most"},
		{Name: "names", Value: config.Bool(&s.names), Help: "show names"},
		{Name: "name", Value: config.Text(&s.name), Help: "call it"},
	}}
}

func load(t *testing.T, file string, env map[string]string, args ...string) (settings, *config.Table, error) {
	t.Helper()
	var s settings
	tab := table(&s)
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	tab.Flags(flags)
	if err := flags.Parse(args); err != nil {
		return s, tab, err
	}
	if file != "" {
		path := filepath.Join(t.TempDir(), "qpq.toml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		file = path
	}
	lookup := func(k string) (string, bool) { v, ok := env[k]; return v, ok }
	err := tab.Load(flags, lookup, file)
	return s, tab, err
}

func TestStrength(t *testing.T) {
	file := "listen = \":1\"\nmode = \"closed\"\nlimit = 3\nnames = true\n"
	s, _, err := load(t, file, map[string]string{"QPQ_MODE": "open", "QPQ_LISTEN": ":2", "QPQ_DRAIN_TIME": "1m"}, "--listen", ":3", "--names=false")
	if err != nil {
		t.Fatal(err)
	}
	want := settings{listen: ":3", mode: "open", drain: time.Minute, limit: 3}
	if s != want {
		t.Errorf("got %+v, want %+v", s, want)
	}
}

func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		env  map[string]string
		says string
	}{
		"unknown key":    {file: "# x\nlimit = 2\nlisten_ = 1\n", says: "line 3: there is no setting \"listen_\": perhaps \"listen\""},
		"unknown table":  {file: "limit = 2\n[server]\nlisten = \":1\"\n", says: "line 2: there is no setting \"server\""},
		"misspelt key":   {file: "lsiten = \":1\"\n", says: "line 1: there is no setting \"lsiten\": perhaps \"listen\""},
		"strange key":    {file: "xyz = 1\n", says: "--print-config lists them all"},
		"not in a file":  {file: "config = \"x\"", says: "line 1: there is no setting"},
		"syntax":         {file: "limit = 2\nlisten = \n", says: "line 2"},
		"wrong type":     {file: "limit = [1]", says: "line 1: limit takes"},
		"wrong value":    {file: "mode = \"open\"\nlimit = 11\n", says: "line 2: limit is set to \"11\": it must be a whole number from 1 to 10"},
		"wrong variable": {env: map[string]string{"QPQ_DRAIN_TIME": "-1s"}, says: "QPQ_DRAIN_TIME"},
		"wrong word":     {env: map[string]string{"QPQ_MODE": "maybe"}, says: "one of open, closed"},
		"wrong truth":    {env: map[string]string{"QPQ_NAMES": "maybe"}, says: "true or false"},
	} {
		_, _, err := load(t, c.file, c.env)
		if !errors.Is(err, qpq.Invalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMisspelt(t *testing.T) {
	var s settings
	got := table(&s).Misspelt([]string{"QPQ_LISTN=:1", "QPQ_LISTEN=:1", "QPQ_SERVER=x", "PATH=/bin", "QPQ_DRAINTIME=1s", "QPQ_=1", "QPQ_CONFIG=x"})
	want := []string{
		"the environment variable QPQ_DRAINTIME has no effect: perhaps QPQ_DRAIN_TIME is meant",
		"the environment variable QPQ_LISTN has no effect: perhaps QPQ_LISTEN is meant",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestMissingFile(t *testing.T) {
	var s settings
	tab := table(&s)
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	tab.Flags(flags)
	err := tab.Load(flags, os.LookupEnv, filepath.Join(t.TempDir(), "none.toml"))
	if !errors.Is(err, qpq.NotFound) {
		t.Error(err)
	}
}

func TestPrintIsRead(t *testing.T) {
	const name = "C:\\\"Müller\"\a\x7f\u2028'"
	_, tab, err := load(t, "", nil, "--listen", "[::1]:5", "--limit", "7", "--names", "--name", name)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := tab.Print(&out); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "# mode = \"open\"") {
		t.Errorf("a default is not commented out:\n%s", out.String())
	}
	s, _, err := load(t, out.String(), nil)
	if err != nil || s.listen != "[::1]:5" || s.limit != 7 || !s.names || s.name != name {
		t.Errorf("%+v %v", s, err)
	}
}

func TestAddress(t *testing.T) {
	for in, want := range map[string]string{
		":4433": ":4433", "": ":4433", "example.org": "example.org:4433", "[::1]": "[::1]:4433", "::1": "[::1]:4433",
		"[::1]:99": "[::1]:99", "127.0.0.1:0": "127.0.0.1:0", "127.0.0.1": "127.0.0.1:4433",
	} {
		var got string
		if err := config.Address(&got, "4433", false).Set(in); got != want || err != nil {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	for _, in := range []string{":x", "host:70000", "a:b:c", "http://x:1", "a b"} {
		var got string
		if err := config.Address(&got, "4433", false).Set(in); err == nil {
			t.Errorf("%q was taken for %q", in, got)
		}
	}
}

func FuzzTOML(f *testing.F) {
	f.Add("listen = \":1\"\nnames = true\n")
	f.Add("[a]\nb = {c = 1}")
	f.Add("limit = 1979-05-27")
	f.Fuzz(func(t *testing.T, file string) {
		if file == "" {
			return
		}
		if _, _, err := load(t, file, nil); err != nil && !errors.Is(err, qpq.Invalid) {
			t.Errorf("%v", err)
		}
	})
}

// TestGroups: a table of the file is the program's, in the order of its lines, and what is wrong there is told with the line.
func TestGroups(t *testing.T) {
	for _, c := range []struct{ file, want, wrong string }{
		{"[keys]\nsend = \"enter\"\n# more\nquit = [\"ctrl+q\", \"f10\"]\n", "send=enter@2 quit=ctrl+q f10@4 ", ""},
		{"keys.send = \"enter\"\n", "send=enter@1 ", ""},
		{"[keys]\n\nsend = [[1]]\n", "", "line 3: send takes one text"},
		{"[keys]\nbad = \"x\"\n", "", "line 2: not that one"},
		{"[locks]\nsend = \"enter\"\n", "", `line 1: there is no setting "locks"`},
	} {
		got := ""
		table := &config.Table{Prefix: "T", Groups: []config.Group{{Name: "keys", Help: "keys", Set: func(key, value string, line int) error {
			if key == "bad" {
				return fmt.Errorf("line %d: not that one", line)
			}
			got += fmt.Sprintf("%s=%s@%d ", key, value, line)
			return nil
		}}}}
		path := filepath.Join(t.TempDir(), "config.toml")
		if err := os.WriteFile(path, []byte(c.file), 0o600); err != nil {
			t.Fatal(err)
		}
		err := table.Load(pflag.NewFlagSet("t", pflag.ContinueOnError), func(string) (string, bool) { return "", false }, path)
		if c.wrong == "" && (err != nil || got != c.want) || c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)) {
			t.Errorf("%q: %q, %v", c.file, got, err)
		}
	}
}
