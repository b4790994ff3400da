package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/command"
)

// add puts a command of the registry into the command line, under those whose names it begins with.
func (p *program) add(root *cobra.Command, c *command.Command) {
	parent, words := root, strings.Fields(c.Name)
	for _, word := range words[:len(words)-1] {
		parent = under(parent, word)
	}
	use := strings.Fields(c.Usage())[len(words)-1:]
	cmd := &cobra.Command{
		Use: strings.Join(use, " "), Short: c.Summary, Long: c.Long, Example: examples(c),
		Args: func(cmd *cobra.Command, args []string) error { return checkArguments(c, cmd, args) },
	}
	flags := p.flags(cmd, c)
	for _, q := range c.Asks {
		p.secrets.flags(cmd.Flags(), q)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		values, err := p.values(c, args)
		if err != nil {
			return err
		}
		for name, value := range flags {
			if cmd.Flags().Changed(name) {
				values[name] = value()
			}
		}
		if _, wanted := flags["device-name"]; wanted && values["device-name"] == nil {
			values["device-name"] = deviceName()
		}
		raw, err := json.Marshal(values)
		if err != nil {
			return err
		}
		return p.execute(cmd.Context(), c, raw)
	}
	cmd.ValidArgsFunction = p.complete(c)
	parent.AddCommand(cmd)
}

// under returns the command of a word, made where the registry has none.
func under(parent *cobra.Command, word string) *cobra.Command {
	for _, sub := range parent.Commands() {
		if sub.Name() == word {
			return sub
		}
	}
	topic := &cobra.Command{Use: word, Short: command.Topics[word], Args: knownCommand, RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	parent.AddCommand(topic)
	return topic
}

func examples(c *command.Command) string {
	var lines []string
	for _, e := range c.Example {
		lines = append(lines, "  qpq "+e)
	}
	return strings.Join(lines, "\n")
}

// flags adds the options of a command, and returns what gives their values.
func (p *program) flags(cmd *cobra.Command, c *command.Command) map[string]func() any {
	values := map[string]func() any{}
	for _, param := range c.Params {
		switch name := param.Name; {
		case !param.Flag:
		case param.Switch:
			v := cmd.Flags().Bool(name, false, param.Help)
			values[name] = func() any { return *v }
		case param.Number:
			v := cmd.Flags().Int64(name, 0, param.Help)
			cmd.Flags().Lookup(name).DefValue = "" // what it stands for where it is absent, the help says
			values[name] = func() any { return *v }
		case param.List:
			v := cmd.Flags().StringArray(name, nil, param.Help)
			values[name] = func() any { return *v }
		default:
			v := cmd.Flags().String(name, "", param.Help)
			values[name] = func() any { return *v }
		}
	}
	return values
}

// values returns what arguments that stand at their places give. A text that is not among them is read from standard input.
func (p *program) values(c *command.Command, args []string) (map[string]any, error) {
	for _, arg := range args {
		if !utf8.ValidString(arg) {
			return nil, qpq.E(qpq.Invalid, "usage", fmt.Sprintf("%q is not text in UTF-8", arg))
		}
	}
	values := map[string]any{}
	for _, param := range c.Params {
		switch {
		case param.Flag:
		case len(args) == 0:
			if param.Input {
				text, err := p.input(param.Name)
				if err != nil {
					return nil, err
				}
				values[param.Name] = text
			}
		case param.List:
			values[param.Name], args = args, nil
		case param.Rest:
			values[param.Name], args = strings.Join(args, " "), nil
		default:
			values[param.Name], args = args[0], args[1:]
		}
	}
	return values, nil
}

// checkArguments refuses a wrong number of arguments with a sentence that shows the right one.
func checkArguments(c *command.Command, cmd *cobra.Command, args []string) error {
	least, most, any := 0, 0, false
	for _, param := range c.Params {
		if !param.Flag {
			most++
			any = any || param.List || param.Rest
			if !param.Optional {
				least++
			}
		}
	}
	if len(args) >= least && (any || len(args) <= most) {
		return nil
	}
	what := "an argument is missing"
	if len(args) > most {
		what = fmt.Sprintf("%q is one argument too many", args[most])
		if len(c.Params) == 0 && cmd.HasSubCommands() {
			what = fmt.Sprintf("there is no command %q", c.Name+" "+args[0])
		}
	}
	return qpq.E(qpq.Invalid, "usage", fmt.Sprintf("%s: write qpq %s", what, c.Usage()))
}

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return qpq.E(qpq.Invalid, "usage", fmt.Sprintf("%q is one argument too many: %s --help says how it is written", args[0], cmd.CommandPath()))
	}
	return nil
}
