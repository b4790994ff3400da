package command

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/pflag"

	"github.com/quicproquo/qpq"
)

// Words splits a line into words as shells do: quotes of both kinds keep spaces, a backslash takes the next character as it is, but within single
// quotes. Nothing is replaced.
func Words(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	in, quote, escaped := false, rune(0), false
	for _, r := range line {
		switch {
		case escaped:
			if quote == '"' && r != '"' && r != '\\' {
				word.WriteByte('\\')
			}
			word.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			in, escaped = true, true
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '"' || r == '\'':
			in, quote = true, r
		case r == ' ' || r == '\t' || r == '\n':
			if in {
				words = append(words, word.String())
			}
			word.Reset()
			in = false
		default:
			in = true
			word.WriteRune(r)
		}
	}
	switch {
	case quote != 0:
		return nil, qpq.E(qpq.Invalid, "usage", fmt.Sprintf("a quote %c is not closed: close it, or write a backslash before one that is meant as it is", quote))
	case escaped:
		return nil, qpq.E(qpq.Invalid, "usage", "nothing follows the backslash at the end: write two where one is meant")
	case in:
		words = append(words, word.String())
	}
	return words, nil
}

// Parse reads a command line, without the name of the program, and returns the command with the arguments that were given, by the names of its
// parameters. An Input that is not among them is up to the front end. number reads what options of numbers are given; nil takes whole numbers alone.
func Parse(words []string, number func(string) (any, error)) (*Command, map[string]any, error) {
	c, rest, err := lookUp(words)
	if err != nil {
		return nil, nil, err
	}
	set := pflag.NewFlagSet(c.Name, pflag.ContinueOnError)
	set.Usage = func() {}
	given := c.Flags(set, number)
	if err := set.Parse(rest); err != nil {
		return nil, nil, qpq.Wrap(qpq.Invalid, "usage", fmt.Sprintf("%s: %v", c.Name, err), err)
	}
	if what := c.WrongPlaces(set.Args()); what != "" {
		return nil, nil, qpq.E(qpq.Invalid, "usage", fmt.Sprintf("%s: write %s", what, c.Usage()))
	}
	values := c.Places(set.Args())
	given(values)
	return c, values, nil
}

// lookUp returns the command whose name words begin with, and what follows it.
func lookUp(words []string) (*Command, []string, error) {
	if len(words) == 0 {
		return nil, nil, qpq.E(qpq.Invalid, "usage", "the name of a command is missing")
	}
	for n := min(len(words), 3); n > 0; n-- {
		if c, err := Find(strings.Join(words[:n], " ")); err == nil {
			return c, words[n:], nil
		}
	}
	name := words[0]
	if _, topic := Topics[name]; topic && len(words) > 1 {
		name += " " + words[1]
	}
	_, err := Find(name)
	return nil, nil, err
}

// Flags adds the options of the command to a set, and returns what puts those that were given into values. number is that of Parse.
func (c *Command) Flags(set *pflag.FlagSet, number func(string) (any, error)) func(values map[string]any) {
	if number == nil {
		number = Number
	}
	given := map[string]func() any{}
	for _, p := range c.Params {
		switch {
		case !p.Flag:
		case p.Switch:
			v := set.Bool(p.Name, false, p.Help)
			given[p.Name] = func() any { return *v }
		case p.Number:
			v := &numberFlag{read: number}
			set.Var(v, p.Name, p.Help)
			given[p.Name] = func() any { return v.value }
		case p.List:
			v := set.StringArray(p.Name, nil, p.Help)
			given[p.Name] = func() any { return *v }
		default:
			v := &textFlag{as: p.As}
			set.Var(v, p.Name, p.Help)
			given[p.Name] = func() any { return v.text }
		}
	}
	return func(values map[string]any) {
		for name, value := range given {
			if set.Changed(name) {
				values[name] = value()
			}
		}
	}
}

// Number reads a whole number.
func Number(s string) (any, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return nil, errors.New("it takes a whole number")
	}
	return n, nil
}

// numberFlag is an option that takes a number. What it stands for where it is absent, the help says.
type numberFlag struct {
	read  func(string) (any, error)
	text  string
	value any
}

// textFlag is a flag whose value people see by a name.
type textFlag struct{ as, text string }

// String implements pflag.Value.
func (f *textFlag) String() string { return f.text }

// Type implements pflag.Value.
func (f *textFlag) Type() string { return f.as }

// Set implements pflag.Value.
func (f *textFlag) Set(s string) error {
	f.text = s
	return nil
}

// String implements pflag.Value.
func (n *numberFlag) String() string { return n.text }

// Type implements pflag.Value.
func (n *numberFlag) Type() string { return "N" }

// Set implements pflag.Value.
func (n *numberFlag) Set(s string) (err error) {
	n.text = s
	n.value, err = n.read(s)
	return err
}

// Places returns what arguments that stand at their places give, of which WrongPlaces finds nothing wrong.
func (c *Command) Places(args []string) map[string]any {
	values := map[string]any{}
	for _, p := range c.Params {
		switch {
		case p.Flag || len(args) == 0:
		case p.List:
			values[p.Name], args = args, nil
		case p.Rest:
			values[p.Name], args = strings.Join(args, " "), nil
		default:
			values[p.Name], args = args[0], args[1:]
		}
	}
	return values
}

// WrongPlaces says what is wrong with arguments that stand at their places; empty for nothing.
func (c *Command) WrongPlaces(args []string) string {
	least, most, any := 0, 0, false
	for _, p := range c.Params {
		if !p.Flag {
			most++
			any = any || p.List || p.Rest
			if !p.Optional {
				least++
			}
		}
	}
	for _, arg := range args {
		if !utf8.ValidString(arg) {
			return fmt.Sprintf("%q is not text in UTF-8", arg)
		}
	}
	switch {
	case len(args) >= least && (any || len(args) <= most):
		return ""
	case len(args) <= most:
		return "an argument is missing"
	case len(c.Params) == 0 && slices.ContainsFunc(all, func(o *Command) bool { return strings.HasPrefix(o.Name, c.Name+" ") }):
		return fmt.Sprintf("there is no command %q", c.Name+" "+args[0])
	}
	return fmt.Sprintf("%q is one argument too many", args[most])
}
