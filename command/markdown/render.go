package markdown

import "strings"

// Line is one line of a document as it is shown where styles can be.
type Line struct {
	Kind  BlockKind
	Quote int
	Spans []Span // none of them is empty, and none has a line break
}

// Lines returns what is shown of a document where styles can be, without its marks.
func (d *Document) Lines() []Line {
	var list []Line
	for _, b := range d.Blocks {
		line := Line{Kind: b.Kind, Quote: b.Quote}
		for _, s := range b.Spans {
			text, after, broken := strings.Cut(s.Text, "\n")
			for ; broken; text, after, broken = strings.Cut(after, "\n") {
				line.add(s, text)
				list = append(list, line)
				line.Spans = nil
			}
			line.add(s, text)
		}
		list = append(list, line)
	}
	return list
}

func (l *Line) add(s Span, text string) {
	if s.Text = text; text != "" {
		l.Spans = append(l.Spans, s)
	}
}

// Text returns what the spans of a line say.
func (l *Line) Text() string {
	var b strings.Builder
	for _, s := range l.Spans {
		b.WriteString(s.Text)
	}
	return b.String()
}

// Broken returns the spans of each row into which Text was broken. Between rows, spaces may have been left out.
func (l *Line) Broken(rows []string) [][]Span {
	list, at, rest := make([][]Span, len(rows)), 0, l.Text()
	spans := l.Spans
	take := func(n int, to *[]Span) { // the next bytes
		rest = rest[n:]
		for n > 0 {
			s := spans[0]
			part := min(n, len(s.Text)-at)
			s.Text = s.Text[at : at+part]
			if to != nil {
				*to = append(*to, s)
			}
			n, at = n-part, at+part
			if at == len(spans[0].Text) {
				spans, at = spans[1:], 0
			}
		}
	}
	for i, row := range rows {
		for !strings.HasPrefix(rest, row) && strings.HasPrefix(rest, " ") {
			take(1, nil)
		}
		take(min(len(row), len(rest)), &list[i])
	}
	return list
}

// Plain returns a document as text for where no styles can be: what was written, with where links lead where that was written in another form.
func (d *Document) Plain() string {
	var b strings.Builder
	for _, block := range d.Blocks {
		for _, s := range block.Spans {
			if s.Source == "" {
				b.WriteString(s.Text)
			}
			b.WriteString(s.Source)
		}
	}
	return b.String()
}

// Painter shows a span in its style.
type Painter func(Span) string

// Render returns a document as lines of which paint shows the spans, each line for itself. Quotes begin with "> ", code is set in.
func (d *Document) Render(paint Painter) string {
	var rows []string
	for _, l := range d.Lines() {
		var b strings.Builder
		b.WriteString(l.Head())
		for _, s := range l.Spans {
			b.WriteString(paint(s))
		}
		rows = append(rows, b.String())
	}
	return strings.Join(rows, "\n")
}

// Head returns what stands before a line: its quotes, and what sets code in.
func (l *Line) Head() string {
	head := strings.Repeat("> ", l.Quote)
	if l.Kind == CodeBlock {
		head += "  "
	}
	return head
}

// SGR is the Painter of terminals with colours: it writes the text of a span between select-graphic-rendition sequences (ECMA-48, section
// 8.3.117), and no other ones.
func SGR(s Span) string {
	var codes []string
	for _, c := range []struct {
		on   bool
		code string
	}{
		{s.Style&Bold != 0 || s.Kind == Mention, "1"}, {s.Style&Italic != 0, "3"}, {s.Kind == Link, "4"},
		{s.Style&Strike != 0, "9"}, {s.Style&Code != 0, "36"},
	} {
		if c.on {
			codes = append(codes, c.code)
		}
	}
	if len(codes) == 0 {
		return s.Text
	}
	return "\x1b[" + strings.Join(codes, ";") + "m" + s.Text + "\x1b[m"
}
