package main

import (
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/command/markdown"
)

// Results are broken into lines here where a terminal would do so: what it breaks goes on where entries begin, and could look like one.

// columns returns how wide the terminal is that results go to, 0 where they go elsewhere or it does not say.
func (p *program) columns() int {
	w := p.stdout
	if narrow, ok := w.(ascii); ok {
		w = narrow.w
	}
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// result returns a text as it is shown: clean, and in lines that fit.
func (p *program) result(text string) string {
	text = p.letters(qpq.Printable(text))
	width := p.columns()
	if width < minColumns {
		return text
	}
	var rows []string
	for line := range strings.SplitSeq(strings.ReplaceAll(text, "\t", "    "), "\n") {
		f := fit(line, width)
		for i, row := range f.rows {
			rows = append(rows, f.pad(i)+row)
		}
	}
	return strings.Join(rows, "\n")
}

// styled is result of a text in spans.
func (p *program) styled(spans []markdown.Span) string {
	width := p.columns()
	var rows []string
	line := markdown.Line{}
	end := func() {
		text := line.Text()
		f := fitted{rows: []string{text}}
		if width >= minColumns {
			f = fit(text, width)
		}
		for i, row := range line.Broken(f.rows) {
			painted := f.pad(i)
			for _, s := range row {
				painted += markdown.SGR(s)
			}
			rows = append(rows, painted)
		}
		line.Spans = nil
	}
	for _, s := range spans {
		for i, part := range strings.Split(strings.ReplaceAll(p.letters(s.Text), "\t", "    "), "\n") {
			if i > 0 {
				end()
			}
			if s.Text = part; part != "" {
				line.Spans = append(line.Spans, s)
			}
		}
	}
	end()
	return strings.Join(rows, "\n")
}

// letters returns a text as its writer would write it: how wide that is counts.
func (p *program) letters(text string) string {
	if _, ok := p.stdout.(ascii); ok {
		return inASCII(text)
	}
	return text
}

// minColumns is how wide a terminal is at least for which lines are broken, and setIn how far those are set in that go on with one.
const (
	minColumns = 20
	setIn      = 4
)

// fitted is a line that was broken: its first row is set in as it was, the others at least by setIn.
type fitted struct {
	rows   []string
	indent int
}

// fit breaks a line for a terminal. One that is not set in and has no space stays whole, so that codes and addresses can be copied: no entry is without.
// What is set in goes on with an entry, whatever it looks like.
func fit(line string, width int) fitted {
	text := strings.TrimLeft(line, " ")
	f := fitted{indent: min(len(line)-len(text), width/2)}
	if f.rows = []string{text}; f.indent > 0 || strings.Contains(text, " ") {
		f.rows = markdown.Break(text, width-f.indent, width-max(f.indent, setIn))
	}
	return f
}

// pad returns what stands before a row.
func (f fitted) pad(row int) string {
	if row == 0 {
		return strings.Repeat(" ", f.indent)
	}
	return strings.Repeat(" ", max(f.indent, setIn))
}
