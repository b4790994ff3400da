package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/spf13/cobra"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/config"
	"github.com/quicproquo/qpq/internal/files"
)

// configCommand shows the settings and changes those in the file.
func (p *program) configCommand(table *config.Table) *cobra.Command {
	show := &cobra.Command{
		Use: "config", Short: "show the settings in force, or change the settings file", Args: config.NoArguments,
		Long: "Shows the settings in force as a TOML file, in which those at their default are commented out.",
		RunE: func(*cobra.Command, []string) error {
			if p.settings.json {
				values := map[string]string{}
				for _, s := range table.Settings {
					values[s.Name] = s.Value.String()
				}
				return p.printJSON(values)
			}
			fmt.Fprintf(p.stdout, "# %s\n\n", p.settings.file)
			return table.Print(p.stdout)
		},
	}
	names := func(_ *cobra.Command, args []string, _ string) (words []string, _ cobra.ShellCompDirective) {
		for _, s := range table.Settings {
			if !s.NoFile && len(args) == 0 {
				words = append(words, s.Name)
			}
		}
		return words, cobra.ShellCompDirectiveNoFileComp
	}
	show.AddCommand(
		&cobra.Command{
			Use: "set NAME VALUE", Short: "write a setting to the file", ValidArgsFunction: names,
			Args: exactly(2), RunE: func(_ *cobra.Command, args []string) error { return p.set(table, args[0], &args[1]) },
		},
		&cobra.Command{
			Use: "unset NAME", Short: "remove a setting from the file", ValidArgsFunction: names,
			Args: exactly(1), RunE: func(_ *cobra.Command, args []string) error { return p.set(table, args[0], nil) },
		})
	return show
}

func exactly(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return qpq.E(qpq.Invalid, "usage", fmt.Sprintf("%d arguments are needed: write %s", n, cmd.UseLine()))
		}
		return nil
	}
}

// set changes one line of the settings file and leaves all others as they are.
func (p *program) set(table *config.Table, name string, value *string) error {
	line, err := settingLine(table, name, value)
	if err != nil {
		return err
	}
	if err := p.settings.check(); err != nil {
		return err
	}
	path := p.settings.file
	before, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return qpq.Wrap(qpq.Unavailable, "config-unreadable", fmt.Sprintf("%s cannot be read: %v: make it readable, or name another file with --config", path, err), err)
	}
	at := regexp.MustCompile(`(?m)^[ \t]*` + regexp.QuoteMeta(name) + `[ \t]*=.*\n?`)
	after := at.ReplaceAllLiteral(before, nil)
	if at.Match(before) && value != nil { // in the place where it was
		where := at.FindIndex(before)
		after = append(append(bytes.Clone(before[:where[0]]), line...), before[where[1]:]...)
	} else if table := regexp.MustCompile(`(?m)^[ \t]*\[`).FindIndex(before); table != nil && value != nil { // what follows a table's head belongs to that
		after = append(append(bytes.Clone(before[:table[0]]), line...), before[table[0]:]...)
	} else if value != nil {
		if len(after) > 0 && after[len(after)-1] != '\n' {
			after = append(after, '\n')
		}
		after = append(after, line...)
	}
	if err = os.MkdirAll(filepath.Dir(path), 0o700); err == nil {
		err = files.Write(path, after)
	}
	if err != nil {
		return qpq.Wrap(qpq.Unavailable, "config-unwritable", fmt.Sprintf("%s cannot be written: %v: make its folder writable, or name another file with --config", path, err), err)
	}
	return nil
}

// settingLine returns the line of a setting, if the file may have it.
func settingLine(table *config.Table, name string, value *string) ([]byte, error) {
	for _, s := range table.Settings {
		if s.Name != name || s.NoFile {
			continue
		}
		if value == nil {
			return nil, nil
		}
		if err := s.Value.Set(*value); err != nil {
			return nil, qpq.Wrap(qpq.Invalid, "bad-setting", fmt.Sprintf("%s cannot be %q: %v", name, *value, err), err)
		}
		return []byte(s.Line() + "\n"), nil
	}
	return nil, qpq.E(qpq.NotFound, "no-setting", fmt.Sprintf("there is no setting %q for the file: config lists them", name))
}
