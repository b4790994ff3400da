package slash

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/command"
)

// Arguments reads the arguments of a command of the registry. current is the id of the current conversation, empty where there is none.
func (s *Command) Arguments(rest, current string) (map[string]any, error) {
	wrong := func(what string) error {
		return qpq.E(qpq.Invalid, "usage", fmt.Sprintf("%s: write %s", what, s.Usage))
	}
	args, places := map[string]any{}, positions(s.Command)
	if s.here && (s.fixed || len(flagless(rest)) == 0) {
		if current == "" {
			return nil, qpq.E(qpq.Invalid, "no-conversation", "there is no current conversation: /switch NAME goes to one")
		}
		args[places[0].Name], places = current, places[1:]
	}
	for rest = strings.TrimLeft(rest, " "); rest != ""; rest = strings.TrimLeft(rest, " ") {
		word, after := Next(rest)
		if strings.HasPrefix(rest, "--") {
			var err error
			if rest, err = s.flag(args, word, after); err != nil {
				return nil, wrong(err.Error())
			}
			continue
		}
		if len(places) == 0 {
			return nil, wrong(fmt.Sprintf("%q is one argument too many", word))
		}
		switch p := places[0]; {
		case p.Rest:
			args[p.Name], rest, places = rest, "", nil
		case p.List:
			list, _ := args[p.Name].([]string)
			args[p.Name], rest = append(list, word), after
		default:
			args[p.Name], rest, places = word, after, places[1:]
		}
	}
	for _, p := range places {
		if args[p.Name] == nil && (!p.Optional || p.Input) {
			return nil, wrong(p.Name + " is missing")
		}
	}
	return args, nil
}

// flagless returns the words of a line that are no options, nor values of them.
func flagless(rest string) (words []string) {
	for rest = strings.TrimLeft(rest, " "); rest != ""; rest = strings.TrimLeft(rest, " ") {
		word, after := Next(rest)
		if strings.HasPrefix(word, "--") {
			if !strings.Contains(word, "=") {
				_, after = Next(strings.TrimLeft(after, " "))
			}
		} else {
			words = append(words, word)
		}
		rest = after
	}
	return words
}

// flag reads an option, and returns what follows it.
func (s *Command) flag(args map[string]any, word, after string) (string, error) {
	name, value, given := strings.Cut(strings.TrimPrefix(word, "--"), "=")
	i := slices.IndexFunc(s.Command.Params, func(p command.Param) bool { return p.Flag && p.Name == name })
	if i < 0 {
		return "", fmt.Errorf("there is no option --%s", name)
	}
	p := s.Command.Params[i]
	if p.Switch {
		args[name] = true
		return after, nil
	}
	if !given {
		value, after = Next(strings.TrimLeft(after, " "))
	}
	if !p.Number {
		args[name] = value
		return after, nil
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return "", fmt.Errorf("--%s takes a number", name)
	}
	args[name] = n
	return after, nil
}

// Next returns the first word of a line, without quotes around it, and what follows.
func Next(line string) (word, rest string) {
	if line != "" && (line[0] == '"' || line[0] == '\'') {
		if word, rest, ok := strings.Cut(line[1:], line[:1]); ok {
			return word, rest
		}
	}
	word, rest, _ = strings.Cut(line, " ")
	return word, rest
}
