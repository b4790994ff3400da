package command

import (
	"context"
	"fmt"
	"strings"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/command/markdown"
)

// formats are the commands that say how texts are shown.
var formats = []*Command{
	define(Command{
		Name: "format", Summary: "show texts as their marks say, or as they were written",
		Long: "People write `*italic*`, `**bold**` and `~~struck out~~`, code between backticks or between lines of three of them, quotes as lines that begin with `>`, and links as `[text](https://example.org)`. " +
			"With format on, as it is at first, terminals with colours show these in styles and without the marks; where there are no styles the marks stay. With format off texts are shown as they were written.\n\n" +
			"Either way a link is shown with where it leads, and nothing in a text is obeyed by the terminal. The choice is kept in this profile, for all conversations and front ends. What programs get with --json is what was written, always.",
		Example: []string{"format", "format off", "format on"},
	}, format),
}

type formatArgs struct {
	Switch string `arg:"switch?" of:"switch" help:"on or off; what is chosen, if it is not given"`
}

func format(_ context.Context, e *Env, a formatArgs) (Output, error) {
	switch a.Switch {
	case "on", "off":
		if err := e.Client.SetFormatting(a.Switch == "on"); err != nil {
			return Output{}, err
		}
	case "":
		on, err := e.Client.Formatting()
		if err != nil {
			return Output{}, err
		}
		a.Switch = "off"
		if on {
			a.Switch = "on"
		}
	default:
		return Output{}, qpq.E(qpq.Invalid, "usage", fmt.Sprintf("format: %q is neither on nor off", a.Switch))
	}
	text := "texts are shown as they were written"
	if a.Switch == "on" {
		text = "texts are shown as their marks say"
	}
	return Output{Value: map[string]string{"format": a.Switch}, Text: text}, nil
}

// shown returns an entry for people, in plain text and, where it has styles, in spans too.
func (s *scope) shown(v *client.Conversation, entry *client.Entry, start string) (text string, spans []markdown.Span) {
	if !s.format || entry.Message == nil {
		return start + EntryText(s.own, v, entry), nil
	}
	j := EntryValue(v, entry)
	before, doc := j.Document()
	head := start + messageHead(s.own, entry, &j) + before
	text = head + indented(doc.Plain())
	if !doc.Styled() {
		return text, nil
	}
	spans = []markdown.Span{{Text: qpq.Printable(head)}}
	for i, l := range doc.Lines() {
		start := l.Head()
		if i > 0 {
			start = "\n    " + start
		}
		spans = append(append(spans, markdown.Span{Text: start}), l.Spans...)
	}
	return text, spans
}

// Document returns the text of a message that somebody wrote, and what is said about it before.
func (j *EntryJSON) Document() (before string, text *markdown.Document) {
	before, written := j.parts()
	return before, markdown.Parse(strings.TrimRight(written, "\n"))
}

// indented sets the lines of a text in, but for the first one.
func indented(text string) string {
	return strings.ReplaceAll(strings.TrimRight(qpq.Printable(text), "\n"), "\n", "\n    ")
}
