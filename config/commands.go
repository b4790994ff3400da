package config

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/quicproquo/qpq"
)

// What the command lines of all programs have in common.

// Commands completes a command line whose own commands are in place. It takes the settings as flags; it has version, and documents, which writes what the
// manual is made of and may have more parts; and whatever is written wrongly is an error of usage, with a sentence about it.
func (t *Table) Commands(root *cobra.Command, documents ...*cobra.Command) {
	t.Flags(root.PersistentFlags())
	t.Complete(root)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return qpq.Wrap(qpq.Invalid, "usage", fmt.Sprintf("%v: %s --help lists what there is", err, c.CommandPath()), err)
	})
	root.AddCommand(versionCommand(), t.documentsCommand(root, documents))
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.HasSubCommands() && !c.Runnable() {
			c.Args = NoArguments
			c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
		}
	}
}

// File returns where the file is, whose place is the setting config: that of the flag, else of the environment.
func (t *Table) File(flags *pflag.FlagSet, lookup func(string) (string, bool)) string {
	f := flags.Lookup("config")
	if !f.Changed {
		if file, ok := lookup(t.Env(Setting{Name: f.Name})); ok {
			return file
		}
	}
	return f.Value.String()
}

// NoArguments refuses arguments where there are none. Of a command that has others below it, it is what is none of them, and it says what was probably meant.
func NoArguments(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := fmt.Sprintf("%q is one argument too many: %s takes none", args[0], c.CommandPath())
	if c.HasSubCommands() {
		c.SuggestionsMinimumDistance = 2
		text = fmt.Sprintf("there is no command %q: %s --help lists them", args[0], c.CommandPath())
		if near := c.SuggestionsFor(args[0]); len(near) > 0 {
			text = fmt.Sprintf("there is no command %q: perhaps %s is meant", args[0], near[0])
		}
	}
	return qpq.E(qpq.Invalid, "usage", text)
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "print the version", Args: NoArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			text := c.Root().Name() + " " + Release()
			if f := c.Root().PersistentFlags().Lookup("json"); f != nil && f.Value.String() == "true" {
				text = fmt.Sprintf("{\"release\":%q}", Release())
			}
			_, err := fmt.Fprintln(c.OutOrStdout(), text)
			return err
		},
	}
}

// documentsCommand is for whoever packs a release.
func (t *Table) documentsCommand(root *cobra.Command, more []*cobra.Command) *cobra.Command {
	documents := &cobra.Command{Use: "documents", Short: "write parts of the manual", Hidden: true}
	documents.AddCommand(
		&cobra.Command{
			Use: "man", Short: "write the manual page", Args: NoArguments,
			RunE: func(c *cobra.Command, _ []string) error { return t.Man(c.OutOrStdout(), root) },
		},
		&cobra.Command{
			Use: "settings", Short: "write the table of settings in Markdown", Args: NoArguments,
			RunE: func(c *cobra.Command, _ []string) error { return t.Markdown(c.OutOrStdout()) },
		})
	documents.AddCommand(more...)
	return documents
}
