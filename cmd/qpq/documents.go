package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quicproquo/qpq/command"
	"github.com/quicproquo/qpq/config"
)

// commandsDocument is a part of the manual.
func (p *program) commandsDocument() *cobra.Command {
	return &cobra.Command{
		Use: "commands", Short: "write the reference of commands in Markdown", Args: config.NoArguments,
		RunE: func(*cobra.Command, []string) error { return p.reference() },
	}
}

// reference writes what each command takes and asks.
func (p *program) reference() error {
	var b strings.Builder
	for _, c := range command.All() {
		fmt.Fprintf(&b, "## `qpq %s`\n\n%s.\n", c.Usage(), upperFirst(c.Summary))
		if c.Long != "" {
			fmt.Fprintf(&b, "\n%s\n", c.Long)
		}
		if len(c.Example) > 0 {
			fmt.Fprintf(&b, "\n```\nqpq %s\n```\n", strings.Join(c.Example, "\nqpq "))
		}
		if len(c.Params)+len(c.Asks) > 0 {
			b.WriteString("\n| | |\n|---|---|\n")
		}
		for _, param := range c.Params {
			name := strings.ToUpper(param.Name)
			if param.Flag {
				name = "--" + param.Name
			}
			fmt.Fprintf(&b, "| `%s` | %s |\n", name, param.Help)
		}
		for _, q := range c.Asks {
			fmt.Fprintf(&b, "| `--%s-file`, `--%s-fd` | where the %s comes from, if not from the terminal |\n", q.Name, q.Name, answerTo(q))
		}
		b.WriteString("\n")
	}
	_, err := fmt.Fprint(p.stdout, strings.TrimSuffix(b.String(), "\n"))
	return err
}

func upperFirst(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
