// Package slash is commands as people type them in a session: a slash, a name and arguments, in the current conversation where the command is about
// one and nobody names another.
package slash

import (
	"fmt"
	"slices"
	"strings"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/command"
)

// Command is a command as it is called in a session.
type Command struct {
	Name    string
	Command *command.Command // nil for those that are about the session itself
	Usage   string
	Summary string
	Of      command.Of // what the argument of one about the session names
	// The first argument is a conversation, and the current one where nobody names it, or always.
	here, fixed bool
}

// OfCommands is what a parameter names that stands for a command of the session.
const OfCommands command.Of = "slash-commands"

// Table is all that a session has, in the order of the help.
type Table []*Command

// called are commands that have other names here.
var called = map[string]string{
	"group create": "create-group", "group invite": "invite", "group remove": "remove", "group leave": "leave", "group rename": "rename", "group role": "role",
}

// New returns the commands of the registry, between those of the session itself.
func New(first, last []*Command) Table {
	t := slices.Clone(first)
	for _, c := range command.All() {
		t = append(t, of(c))
	}
	return append(t, last...)
}

func of(c *command.Command) *Command {
	s := &Command{Name: dashed(c.Name), Command: c, Summary: c.Summary}
	if name, ok := called[c.Name]; ok {
		s.Name = name
	}
	places := positions(c)
	if len(places) > 0 && places[0].Of == command.OfConversations && !places[0].Optional && c.Name != "send" {
		s.here = true
		s.fixed = len(places) > 1
	}
	words := []string{"/" + s.Name}
	for i, p := range places {
		name := strings.ToUpper(p.Name)
		if p.List {
			name += "..."
		}
		switch {
		case i == 0 && s.fixed:
			continue
		case p.Optional && c.Name != "send", i == 0 && s.here:
			name = "[" + name + "]"
		}
		words = append(words, name)
	}
	s.Usage = strings.Join(words, " ")
	return s
}

func dashed(name string) string { return strings.ReplaceAll(name, " ", "-") }

// positions returns the parameters that stand at their places.
func positions(c *command.Command) (list []command.Param) {
	for _, p := range c.Params {
		if !p.Flag {
			list = append(list, p)
		}
	}
	return list
}

// Find returns the command with a name, nil if there is none. That of the registry does as well.
func (t Table) Find(name string) *Command {
	name = dashed(name)
	i := slices.IndexFunc(t, func(s *Command) bool { return s.Name == name || s.Command != nil && dashed(s.Command.Name) == name })
	if i < 0 {
		return nil
	}
	return t[i]
}

// Parse splits a line after its slash into the command and its arguments. It fails with qpq.Invalid where there is no such command.
func (t Table) Parse(line string) (s *Command, rest string, err error) {
	name, rest, _ := strings.Cut(line, " ")
	if s = t.Find(name); s != nil {
		return s, strings.TrimSpace(rest), nil
	}
	text := fmt.Sprintf("there is no command /%s: /help lists them", qpq.OneLine(name))
	if near := t.nearest(name); near != "" {
		text = fmt.Sprintf("there is no command /%s: perhaps /%s is meant", qpq.OneLine(name), near)
	}
	return nil, "", qpq.E(qpq.Invalid, "usage", text+". A text that begins with a slash is written with two")
}

// nearest returns the command that was probably meant.
func (t Table) nearest(name string) string {
	for _, s := range t {
		if len(name) > 1 && (strings.HasPrefix(s.Name, name) || strings.HasPrefix(name, s.Name)) || strings.Contains(s.Name, name) && len(name) > 3 {
			return s.Name
		}
	}
	return ""
}

// Manual returns what there is to say about a command. It fails with qpq.NotFound.
func (t Table) Manual(name string) (string, error) {
	s := t.Find(strings.TrimPrefix(name, "/"))
	if s == nil {
		return "", qpq.E(qpq.NotFound, "no-command", fmt.Sprintf("there is no command /%s: /help lists them", qpq.OneLine(name)))
	}
	text := s.Usage + "\n" + s.Summary
	if c := s.Command; c != nil {
		if c.Long != "" {
			text += "\n\n" + c.Long
		}
		for i, p := range c.Params {
			switch {
			case p.Flag:
				text += fmt.Sprintf("\n  --%s: %s", p.Name, p.Help)
			case i > 0 || !s.fixed:
				text += fmt.Sprintf("\n  %s: %s", strings.ToUpper(p.Name), p.Help)
			}
		}
	}
	return text, nil
}
