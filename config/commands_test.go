package config_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/quicproquo/qpq"
)

// line is a command line with a command of its own, and what it writes.
func line(args ...string) (string, error) {
	var s settings
	root := &cobra.Command{Use: "prog", SilenceUsage: true, SilenceErrors: true, RunE: func(*cobra.Command, []string) error { return nil }}
	token := &cobra.Command{Use: "token", Short: "tokens"}
	token.AddCommand(&cobra.Command{Use: "list", RunE: func(*cobra.Command, []string) error { return nil }})
	root.AddCommand(token)
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetArgs(args)
	table(&s).Commands(root, &cobra.Command{Use: "more", RunE: func(c *cobra.Command, _ []string) error {
		_, err := fmt.Fprint(c.OutOrStdout(), "of its own")
		return err
	}})
	err := root.Execute()
	return out.String(), err
}

// TestCommands: all command lines have these, and say what is wrong in a sentence.
func TestCommands(t *testing.T) {
	for args, want := range map[string]string{
		"version x":                `"x" is one argument too many: prog version takes none`,
		"token lst":                `there is no command "lst": perhaps list is meant`,
		"token frobnicate":         `there is no command "frobnicate": prog token --help lists them`,
		"documents x":              `there is no command "x": prog documents --help lists them`,
		"completion vimscript":     `there is no command "vimscript": prog completion --help lists them`,
		"version --nothing":        `unknown flag: --nothing: prog version --help lists what there is`,
		"token list --limit eight": `invalid argument "eight" for "--limit" flag: `,
	} {
		if _, err := line(strings.Fields(args)...); !errors.Is(err, qpq.Invalid) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
	for args, want := range map[string]string{
		"": "", "version": "prog ", "token": "tokens\n", "token list --limit 3": "", "documents": "write parts of the manual\n", "documents man": ".TH PROG 1", "documents settings": "| flag and TOML key |",
		"documents more": "of its own", "completion bash": "# bash completion",
	} {
		if out, err := line(strings.Fields(args)...); err != nil || !strings.HasPrefix(out, want) {
			t.Errorf("%s: %q, %v", args, out, err)
		}
	}
}

// TestFile: the flag is stronger than the environment, and where neither names a file there is none.
func TestFile(t *testing.T) {
	for _, v := range []struct {
		args []string
		env  map[string]string
		want string
	}{
		{nil, nil, ""},
		{nil, map[string]string{"QPQ_CONFIG": "a.toml"}, "a.toml"},
		{[]string{"--config", "b.toml"}, map[string]string{"QPQ_CONFIG": "a.toml"}, "b.toml"},
	} {
		var s settings
		tab := table(&s)
		flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
		tab.Flags(flags)
		if err := flags.Parse(v.args); err != nil {
			t.Fatal(err)
		}
		if got := tab.File(flags, func(k string) (string, bool) { f, ok := v.env[k]; return f, ok }); got != v.want {
			t.Errorf("%v, %v: %q", v.args, v.env, got)
		}
	}
}
