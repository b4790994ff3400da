package config

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Man writes the manual page of a command and all its subcommands in roff (man(7)), section 1. The table is that of
// the command's flags.
func (t *Table) Man(w io.Writer, root *cobra.Command) error {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %s 1 \"\" %q\n", strings.ToUpper(root.Name()), root.Name()+" "+Release())
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roff(root.Name()), roff(root.Short))
	b.WriteString(".SH SYNOPSIS\n")
	for _, c := range commands(root) {
		fmt.Fprintf(&b, ".B %s\n.br\n", roff(c.UseLine()))
	}
	if root.Long != "" {
		fmt.Fprintf(&b, ".SH DESCRIPTION\n%s\n", roff(root.Long))
	}
	b.WriteString(".SH OPTIONS\n")
	t.manFlags(&b, root.Flags())
	for _, c := range commands(root)[1:] {
		fmt.Fprintf(&b, ".SH %s\n%s\n", strings.ToUpper(roff(c.CommandPath())), roff(c.Short))
		if c.Long != "" {
			fmt.Fprintf(&b, ".PP\n%s\n", roff(c.Long))
		}
		for _, a := range Arguments(c) {
			fmt.Fprintf(&b, ".TP\n.I %s\n%s\n", roff(a[0]), roff(a[1]))
		}
		t.manFlags(&b, c.LocalNonPersistentFlags())
		if c.Example != "" {
			fmt.Fprintf(&b, ".PP\nExamples:\n.PP\n.nf\n%s\n.fi\n", roff(c.Example))
		}
	}
	b.WriteString(".SH EXIT STATUS\n")
	for _, e := range exits {
		fmt.Fprintf(&b, ".TP\n.B %d\n%s\n", e.code, roff(e.text))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Explain says what the arguments of a command are, each by its name: manual and help tell it.
func Explain(c *cobra.Command, arguments [][2]string) {
	for _, a := range arguments {
		if c.Annotations == nil {
			c.Annotations = map[string]string{}
		}
		c.Annotations[argumentsKey] += a[0] + "\t" + a[1] + "\n"
	}
}

const argumentsKey = "arguments"

// Arguments returns what Explain was told of a command.
func Arguments(c *cobra.Command) (list [][2]string) {
	for line := range strings.Lines(c.Annotations[argumentsKey]) {
		name, help, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		list = append(list, [2]string{name, help})
	}
	return list
}

// commands returns a command and those below it that people are to know of.
func commands(c *cobra.Command) []*cobra.Command {
	out := []*cobra.Command{c}
	for _, sub := range c.Commands() {
		switch {
		case !sub.IsAvailableCommand() || sub.Name() == "help":
		case sub.Name() == "completion": // its subcommands are shells
			out = append(out, sub)
		default:
			out = append(out, commands(sub)...)
		}
	}
	return out
}

func (t *Table) manFlags(b *strings.Builder, flags *pflag.FlagSet) {
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		argument, help := pflag.UnquoteUsage(f)
		fmt.Fprintf(b, ".TP\n.B \\-\\-%s %s\n%s", roff(f.Name), roff(argument), roff(help))
		if f.DefValue != "" {
			fmt.Fprintf(b, " (default: %s)", roff(f.DefValue))
		}
		if i := slices.IndexFunc(t.Settings, func(s Setting) bool { return s.Name == f.Name }); i >= 0 {
			fmt.Fprintf(b, " (environment: %s)", t.Env(t.Settings[i]))
		}
		b.WriteString("\n")
	})
}

// roff escapes what would be taken for a request or a hyphenation, or be read in another character set (groff_char(7)).
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "\n.", "\n\\&.", "\n'", "\n\\&'").Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	var b strings.Builder
	for _, r := range s {
		if r > unicode.MaxASCII {
			fmt.Fprintf(&b, `\[u%04X]`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
