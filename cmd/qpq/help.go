package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/command"
	"github.com/quicproquo/qpq/config"
)

// explain has --help say what arguments are, list commands by what they are about, and say but once which settings all of them take.
func explain(root *cobra.Command) {
	cobra.AddTemplateFunc("arguments", func(c *cobra.Command) string { return aligned(config.Arguments(c)) })
	usage := root.UsageTemplate()
	usage = replaced(usage, "{{if .HasAvailableLocalFlags}}", "{{with arguments .}}\n\nArguments:\n{{.}}{{end}}{{if .HasAvailableLocalFlags}}")
	usage = replaced(usage, "Global Flags:\n{{.InheritedFlags.FlagUsages | trimTrailingWhitespaces}}",
		"Settings, as --profile NAME, --server ADDR and --json, are flags of every command: {{.Root.Name}} --help lists them.")
	root.SetUsageTemplate(usage)
	root.Version = config.Release()
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.InitDefaultVersionFlag()
	root.Flags().Lookup("version").Usage = "print the version"
	for _, s := range command.Subjects() {
		root.AddGroup(&cobra.Group{ID: s.Title, Title: strings.ToUpper(s.Title[:1]) + s.Title[1:] + ":"})
		for _, c := range s.Commands {
			word, _, _ := strings.Cut(c.Name, " ")
			under(root, word).GroupID = s.Title
		}
	}
	root.InitDefaultHelpCmd()
	for name, summary := range map[string]string{"help": "say how a command is written", "completion": "write what completes commands in a shell"} {
		i := slices.IndexFunc(root.Commands(), func(c *cobra.Command) bool { return c.Name() == name })
		root.Commands()[i].Short = summary
	}
}

// replaced replaces what has to be there, so that it is noticed when another release of cobra has it no more.
func replaced(text, old, by string) string {
	if !strings.Contains(text, old) {
		panic("the usage that cobra writes has no " + old)
	}
	return strings.Replace(text, old, by, 1)
}

// aligned puts what arguments are into two columns.
func aligned(arguments [][2]string) string {
	width := 0
	for _, a := range arguments {
		width = max(width, len(a[0]))
	}
	lines := make([]string, len(arguments))
	for i, a := range arguments {
		lines[i] = fmt.Sprintf("  %-*s   %s", width, a[0], a[1])
	}
	return strings.Join(lines, "\n")
}

// wrongFlag says what is wrong with a flag, as general does unless a text follows: something that begins with a dash may have been meant as part of that.
func wrongFlag(general func(*cobra.Command, error) error) func(*cobra.Command, error) error {
	return func(c *cobra.Command, err error) error {
		registered, missing := command.Find(strings.TrimPrefix(c.CommandPath(), c.Root().Name()+" "))
		if missing != nil || !strings.HasPrefix(err.Error(), "unknown") || !slices.ContainsFunc(registered.Params, func(p command.Param) bool { return p.Rest }) {
			return general(c, err)
		}
		text := fmt.Sprintf("%v: a text with a word that begins with a dash comes after --, as in %s -- %s", err, c.CommandPath(), strings.TrimPrefix(c.Use, c.Name()+" "))
		return qpq.Wrap(qpq.Invalid, "usage", text, err)
	}
}
