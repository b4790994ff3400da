package main

import (
	"encoding/json"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quicproquo/qpq/command"
)

// complete returns what completes the arguments of a command, with the settings of the line that is completed: what completes runs before its flags are
// read.
func (p *program) complete(c *command.Command) cobra.CompletionFunc {
	var places []command.Param
	for _, param := range c.Params {
		if !param.Flag {
			places = append(places, param)
		}
	}
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		at := len(args)
		if n := len(places); n > 0 && at >= n && places[n-1].List {
			at = n - 1
		}
		if at >= len(places) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		if places[at].Path {
			return nil, cobra.ShellCompDirectiveDefault // the shell knows
		}
		if p.settings.load(cmd.Root().PersistentFlags(), p.settings.table(), p.lookup) != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		words := p.words(cmd, places[at].Of)
		return slices.DeleteFunc(words, func(w string) bool {
			name, _, _ := strings.Cut(w, "\t")
			return places[at].List && slices.Contains(args, name)
		}), cobra.ShellCompDirectiveNoFileComp
	}
}

// words returns what a parameter may name, each with what it is.
func (p *program) words(cmd *cobra.Command, of command.Of) (words []string) {
	switch of {
	case command.OfDevices:
		var list []struct{ Short, Name string }
		p.ask(cmd, "devices", nil, &list)
		for _, d := range list {
			words = append(words, word(d.Short, d.Name))
		}
	case command.OfConversations:
		for _, v := range p.conversations(cmd) {
			if !v.Direct && v.Title == "" {
				words = append(words, v.Short)
				continue
			}
			words = append(words, word(v.Name, v.Short))
		}
	case command.OfUsers:
		for _, v := range p.conversations(cmd) {
			for _, m := range v.Members {
				if w := word(m.User, ""); !slices.Contains(words, w) {
					words = append(words, w)
				}
			}
		}
	case command.OfSwitch:
		words = []string{"off", "on"}
	case command.OfPrivacy:
		words = slices.Clone(command.Privacies)
	case command.OfRoles:
		words = slices.Clone(command.Roles)
	}
	return words
}

// word is one that completes, with what it is.
func word(name, what string) string {
	name = strings.Map(func(r rune) rune {
		if r == '\t' || r == '\n' {
			return ' '
		}
		return r
	}, name)
	if what == "" {
		return name
	}
	return name + "\t" + what
}

// known is a conversation, as list shows it to programs.
type known struct {
	Short, Name, Title string
	Direct             bool
	Members            []struct{ User string }
}

func (p *program) conversations(cmd *cobra.Command) (list []known) {
	p.ask(cmd, "list", json.RawMessage(`{"offline": true}`), &list) // whoever waits for a word does not wait for a server
	return list
}

// ask runs a command quietly and reads its value into v. Where it fails there is nothing to complete.
func (p *program) ask(cmd *cobra.Command, name string, args json.RawMessage, v any) {
	c, err := command.Find(name)
	if err != nil {
		return
	}
	quiet := *p
	quiet.quiet, quiet.stderr = true, io.Discard
	out, err := quiet.perform(cmd.Context(), c, args)
	if err != nil {
		return
	}
	if raw, err := json.Marshal(out.Value); err == nil {
		_ = json.Unmarshal(raw, v)
	}
}
