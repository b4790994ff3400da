package playbook

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/command"
)

// Line is a command line. Its words are split before variables get their values: a value is part of one word, whatever is in it.
type Line struct {
	At      Position
	command *command.Command
	args    map[string]any // templates
	text    string
}

func (l *Line) take(n *node) string {
	text, ok := n.value.(string)
	if !ok {
		return "it is " + n.what() + ": write a command as at the command line"
	}
	l.At, l.text = n.at, strings.TrimSpace(text)
	words, err := command.Words(text)
	if err != nil {
		return err.Error()
	}
	if len(words) > 0 && words[0] == "qpq" {
		words = words[1:]
	}
	number := func(s string) (any, error) {
		if strings.Contains(s, "${") {
			return s, nil
		}
		return command.Number(s)
	}
	c, values, err := command.Parse(words, number)
	if err != nil {
		return unknownCommand(strings.Join(words, " "), err)
	}
	l.command = c
	args, wrong := template(generic(values), n.at)
	l.args, _ = args.(map[string]any)
	return wrong
}

func (*Line) form() (map[string]any, string) {
	return map[string]any{"type": "string", "minLength": 1}, "command line"
}

func (l *Line) uses() []string { return usesOf(l.args) }

// unknownCommand returns what is wrong with a line, with the command that was probably meant.
func unknownCommand(line string, err error) string {
	if qpq.CodeOf(err) != "no-command" {
		return err.Error()
	}
	words := strings.Fields(line)
	for n := min(2, len(words)); n > 0; n-- {
		if near := nearest(strings.Join(words[:n], " "), commandNames()); near != "" {
			return fmt.Sprintf("%v: did you mean %q?", err, near)
		}
	}
	return fmt.Sprintf("%v: qpq --help lists them", err)
}

func commandNames() (names []string) {
	for _, c := range command.All() {
		names = append(names, c.Name)
	}
	return names
}

// generic returns arguments as JSON has them.
func generic(values map[string]any) map[string]any {
	m := map[string]any{}
	for name, v := range values {
		if list, ok := v.([]string); ok {
			items := make([]any, len(list))
			for i := range list {
				items[i] = list[i]
			}
			v = items
		}
		m[name] = v
	}
	return m
}

// arguments returns the arguments of a command, with the values of variables in them, and of the types of its parameters.
func arguments(c *command.Command, args map[string]any, s *scope) (json.RawMessage, error) {
	values := map[string]any{}
	for name, tree := range args {
		v, err := fill(tree, s)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(c.Params, func(p command.Param) bool { return p.Name == name })
		if i >= 0 {
			if v, err = typed(c.Params[i], v); err != nil {
				return nil, err
			}
		}
		values[name] = v
	}
	return json.Marshal(values)
}

// typed returns a value as a parameter takes it.
func typed(p command.Param, v any) (any, error) {
	wrong := func(takes string) error {
		return qpq.E(qpq.Invalid, "usage", fmt.Sprintf("%s is %s: it takes %s", p.Name, strconv.Quote(textOf(v)), takes))
	}
	switch {
	case p.List:
		list, ok := v.([]any)
		if !ok {
			list = []any{v}
		}
		texts := []string{}
		for _, item := range list {
			if several, ok := item.([]any); ok { // a variable that has a list
				for _, one := range several {
					texts = append(texts, textOf(one))
				}
				continue
			}
			texts = append(texts, textOf(item))
		}
		return texts, nil
	case p.Switch:
		if text, ok := v.(string); ok {
			b, err := strconv.ParseBool(text)
			if err != nil {
				return nil, wrong("true or false")
			}
			return b, nil
		}
		return v, nil
	case p.Number:
		if text, ok := v.(string); ok {
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return nil, wrong("a whole number")
			}
			return n, nil
		}
		return v, nil
	}
	return textOf(v), nil
}
