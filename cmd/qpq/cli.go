package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/command"
	"github.com/quicproquo/qpq/config"
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
		Args: func(_ *cobra.Command, args []string) error { return checkArguments(c, args) },
	}
	var arguments [][2]string
	for _, param := range c.Params {
		if !param.Flag {
			arguments = append(arguments, [2]string{strings.ToUpper(param.Name), param.Help})
		}
	}
	config.Explain(cmd, arguments)
	given := c.Flags(cmd.Flags(), nil)
	for _, q := range c.Asks {
		p.secrets.flags(cmd.Flags(), q)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		values, err := p.values(c, args)
		if err != nil {
			return err
		}
		given(values)
		if takesDeviceName(c) && values["device-name"] == nil {
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
	topic := &cobra.Command{Use: word, Short: command.Topics[word], Args: config.NoArguments, RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
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

// takesDeviceName reports whether a command makes a device, which has a name unless somebody says otherwise.
func takesDeviceName(c *command.Command) bool {
	return slices.ContainsFunc(c.Params, func(p command.Param) bool { return p.Flag && p.Name == "device-name" })
}

// values returns what arguments that stand at their places give. A text that is not among them is read from standard input.
func (p *program) values(c *command.Command, args []string) (map[string]any, error) {
	values := c.Places(args)
	for _, param := range c.Params {
		if param.Input && values[param.Name] == nil {
			text, err := p.input(param.Name)
			if err != nil {
				return nil, err
			}
			values[param.Name] = text
		}
	}
	return values, nil
}

// checkArguments refuses a wrong number of arguments with a sentence that shows the right one.
func checkArguments(c *command.Command, args []string) error {
	if what := c.WrongPlaces(args); what != "" {
		return qpq.E(qpq.Invalid, "usage", fmt.Sprintf("%s: write qpq %s", what, c.Usage()))
	}
	return nil
}
