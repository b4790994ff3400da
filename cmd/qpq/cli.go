package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/command"
)

// add puts a command of the registry into the command line, under those whose names it begins with.
func (p *program) add(root *cobra.Command, c *command.Command) {
	parent, words := root, strings.Fields(c.Name)
	for _, word := range words[:len(words)-1] {
		for _, sub := range parent.Commands() {
			if sub.Name() == word {
				parent = sub
			}
		}
	}
	use := strings.Fields(c.Usage())[len(words)-1:]
	cmd := &cobra.Command{
		Use: strings.Join(use, " "), Short: c.Summary, Long: c.Long,
		Args: func(cmd *cobra.Command, args []string) error { return checkArguments(c, cmd, args) },
	}
	switches := map[string]*bool{}
	options := map[string]*string{}
	for _, param := range c.Params {
		switch {
		case param.Flag && param.Switch:
			switches[param.Name] = cmd.Flags().Bool(param.Name, false, param.Help)
		case param.Flag:
			options[param.Name] = cmd.Flags().String(param.Name, "", param.Help)
		}
	}
	for _, q := range c.Asks {
		p.secrets.flags(cmd.Flags(), q)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		values := map[string]any{}
		for _, param := range c.Params {
			switch {
			case !param.Flag && len(args) > 0:
				values[param.Name], args = args[0], args[1:]
			case param.Flag && !cmd.Flags().Changed(param.Name):
			case param.Switch:
				values[param.Name] = *switches[param.Name]
			case param.Flag:
				values[param.Name] = *options[param.Name]
			}
		}
		if _, wanted := options["device-name"]; wanted && values["device-name"] == nil {
			values["device-name"] = deviceName()
		}
		raw, err := json.Marshal(values)
		if err != nil {
			return err
		}
		return p.execute(cmd.Context(), c, raw)
	}
	if len(c.Params) > 0 && c.Params[0].Name == "device" {
		cmd.ValidArgsFunction = p.completeDevices
	} else {
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
	parent.AddCommand(cmd)
}

// checkArguments refuses a wrong number of arguments with a sentence that shows the right one.
func checkArguments(c *command.Command, cmd *cobra.Command, args []string) error {
	least, most := 0, 0
	for _, param := range c.Params {
		if !param.Flag {
			most++
			if !param.Optional {
				least++
			}
		}
	}
	if len(args) >= least && len(args) <= most {
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
