// Package config reads the settings of a program from one table: a TOML file is weaker than the
// environment, and the environment weaker than flags. Names, defaults and help texts come from the same
// table, so that none can differ from the others.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/quicproquo/qpq"
)

// Setting is one line of a table. Its name is that of the flag and of the TOML key.
type Setting struct {
	Name    string      // "tls-cert"
	Value   pflag.Value // where it goes; what it holds at first is the default
	Help    string      // one sentence without a full stop; `NAME` in backquotes is shown as the argument
	NoFile  bool        // cannot be in the file: where the file is, for instance
	initial string
}

// Table is all settings of a program.
type Table struct {
	Prefix   string // of environment variables: "QPQ"
	Settings []Setting
	Groups   []Group
	Listed   string // what lists the settings, where it is not --print-config
}

// Group is a table of the file, [keys], whose lines are the program's own: it has neither flags nor variables.
type Group struct {
	Name string
	Help string // one sentence without a full stop
	// Set takes a line: its key, its value, and its number.
	Set func(key, value string, line int) error
}

// Env returns the name of the environment variable of a setting: QPQ_TLS_CERT.
func (t *Table) Env(s Setting) string {
	return t.Prefix + "_" + strings.ToUpper(strings.ReplaceAll(s.Name, "-", "_"))
}

// Flags adds a flag for each setting.
func (t *Table) Flags(flags *pflag.FlagSet) {
	for i := range t.Settings {
		s := &t.Settings[i]
		s.initial = s.Value.String()
		f := flags.VarPF(s.Value, s.Name, "", s.Help)
		if s.Value.Type() == "bool" {
			f.NoOptDefVal = "true"
		}
	}
}

// Complete lets shells complete the settings that are one of some words.
func (t *Table) Complete(c *cobra.Command) {
	for _, s := range t.Settings {
		if v, ok := s.Value.(text); ok && v.check != nil {
			_ = c.RegisterFlagCompletionFunc(s.Name, cobra.FixedCompletions(strings.Split(v.kind, "|"), cobra.ShellCompDirectiveNoFileComp))
		}
	}
}

// Misspelt returns a sentence about each variable of environ ("KEY=value") that looks like one of the
// table's and is none. Programs that share the prefix have variables of their own: so it is for warnings.
func (t *Table) Misspelt(environ []string) (sentences []string) {
	for _, line := range environ {
		name, _, _ := strings.Cut(line, "=")
		known := slices.ContainsFunc(t.Settings, func(s Setting) bool { return t.Env(s) == name })
		if key, ours := strings.CutPrefix(name, t.Prefix+"_"); ours && !known {
			if near := t.near(key); near != nil {
				sentences = append(sentences, fmt.Sprintf("the environment variable %s has no effect: perhaps %s is meant", name, t.Env(*near)))
			}
		}
	}
	slices.Sort(sentences)
	return sentences
}

// Load takes from the environment and the file what no flag has set. file is empty where there is
// none. It fails with qpq.Invalid and a sentence that names the place: flag, variable or line.
func (t *Table) Load(flags *pflag.FlagSet, lookup func(string) (string, bool), file string) error {
	values, err := t.readFile(file)
	if err != nil {
		return err
	}
	for _, s := range t.Settings {
		if f := flags.Lookup(s.Name); f != nil && f.Changed {
			continue
		}
		if v, ok := lookup(t.Env(s)); ok && v != "" {
			if err := s.Value.Set(v); err != nil {
				return invalid(fmt.Sprintf("the environment variable %s", t.Env(s)), v, err)
			}
		} else if v, ok := values[s.Name]; ok {
			if err := s.Value.Set(v.text); err != nil {
				return invalid(fmt.Sprintf("%s, line %d: %s", file, v.line, s.Name), v.text, err)
			}
		}
	}
	return t.loadGroups(file, values)
}

// loadGroups takes what the file says in groups, in its order.
func (t *Table) loadGroups(file string, values map[string]value) error {
	for _, g := range t.Groups {
		keys := slices.DeleteFunc(slices.Collect(maps.Keys(values)), func(key string) bool { return !strings.HasPrefix(key, g.Name+".") })
		slices.SortFunc(keys, func(a, b string) int { return cmp.Compare(values[a].line, values[b].line) })
		for _, key := range keys {
			v := values[key]
			if err := g.Set(strings.TrimPrefix(key, g.Name+"."), v.text, v.line); err != nil {
				return qpq.Wrap(qpq.Invalid, "bad-setting", fmt.Sprintf("the configuration file %s cannot be used: %v", file, err), err)
			}
		}
	}
	return nil
}

func (t *Table) readFile(file string) (map[string]value, error) {
	if file == "" {
		return nil, nil
	}
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, qpq.Wrap(qpq.NotFound, "no-config", fmt.Sprintf("the configuration file %s does not exist: make it, or leave out --config", file), err)
	}
	if err != nil {
		return nil, qpq.Wrap(qpq.Unavailable, "config-unreadable", fmt.Sprintf("the configuration file %s cannot be used: %v: name a file that can be read with --config", file, err), err)
	}
	values, err := t.parse(b)
	if err != nil {
		return nil, qpq.Wrap(qpq.Invalid, "bad-config", fmt.Sprintf("the configuration file %s cannot be used: %v", file, err), err)
	}
	return values, nil
}

func invalid(where, text string, cause error) error {
	return qpq.Wrap(qpq.Invalid, "bad-setting", fmt.Sprintf("%s is set to %q: %v", where, text, cause), cause)
}

// Print writes the settings that are in force, as a TOML file that Load reads. Those at their default
// are commented out.
func (t *Table) Print(w io.Writer) error {
	var b strings.Builder
	for _, s := range t.Settings {
		if s.NoFile {
			continue
		}
		comment := ""
		if s.Value.String() == s.initial {
			comment = "# "
		}
		fmt.Fprintf(&b, "# %s\n%s%s\n\n", plain(s.Help), comment, s.Line())
	}
	for _, g := range t.Groups {
		fmt.Fprintf(&b, "# %s\n# [%s]\n\n", g.Help, g.Name)
	}
	_, err := io.WriteString(w, strings.TrimSuffix(b.String(), "\n"))
	return err
}

// Markdown writes the table for the manual.
func (t *Table) Markdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString("| flag and TOML key | environment | default | |\n|---|---|---|---|\n")
	for _, s := range t.Settings {
		initial := s.initial
		if initial != "" {
			initial = "`" + initial + "`"
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s |\n", s.Name, t.Env(s), initial, plain(s.Help))
	}
	for _, g := range t.Groups {
		fmt.Fprintf(&b, "| `[%s]`, in the file only | | | %s |\n", g.Name, g.Help)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func plain(help string) string { return strings.ReplaceAll(help, "`", "") }
