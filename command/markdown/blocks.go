package markdown

import "strings"

// parser reads lines into blocks.
type parser struct {
	doc   *Document
	steps int

	open  *Block // takes the next line, if that fits
	fence string // of an open CodeBlock: what its end begins with
	bare  bool   // an open CodeBlock has no line yet
}

// line takes a line; broken says that a line break follows.
func (p *parser) line(line string, broken bool) {
	p.steps += len(line) + 1
	if p.fence != "" && p.code(line, broken) {
		return
	}
	depth, content := quoted(line, MaxQuote)
	fence, language := fenced(content)
	if fence != "" {
		p.begin(CodeBlock, depth)
		p.open.Language, p.fence, p.bare = language, fence, true
		p.take(line, content, broken, Span{Source: content})
		return
	}
	if p.open == nil || p.open.Quote != depth {
		p.begin(Paragraph, depth)
	}
	l := inline{src: content}
	p.take(line, content, broken, l.parse()...)
	p.steps += l.steps
}

// code takes a line of the open CodeBlock. It reports whether the line belongs there.
func (p *parser) code(line string, broken bool) bool {
	depth, content := quoted(line, p.open.Quote)
	switch {
	case depth < p.open.Quote:
		p.end()
		return false
	case closes(content, p.fence):
		p.lastBreak()
		p.take(line, content, broken, Span{Source: content})
		p.end()
	default:
		p.bare = false
		p.take(line, content, broken, Span{Style: Code, Text: content, Source: content})
	}
	return true
}

// take adds a line to the open block: what stands before its content, the spans of that, and a line break.
func (p *parser) take(line, content string, broken bool, spans ...Span) {
	if n := len(line) - len(content); n > 0 {
		p.open.Spans = append(p.open.Spans, Span{Source: line[:n]})
	}
	p.open.Spans = append(p.open.Spans, spans...)
	if broken {
		text := "\n"
		if p.bare { // after the fence
			text = ""
		}
		p.open.Spans = append(p.open.Spans, Span{Text: text, Source: "\n"})
	}
}

// begin ends the open block and opens another one.
func (p *parser) begin(kind BlockKind, depth int) {
	p.end()
	p.open = &Block{Kind: kind, Quote: depth}
}

// end closes the open block. Its last line break is that between blocks. Where code has no lines it is the text that was written.
func (p *parser) end() {
	if p.open == nil {
		return
	}
	if p.bare {
		p.open.Kind, p.open.Language = Paragraph, ""
		for i := range p.open.Spans {
			if s := &p.open.Spans[i]; !strings.HasPrefix(strings.TrimLeft(s.Source, " "), ">") {
				s.Text = s.Source
			}
		}
	}
	p.lastBreak()
	p.doc.Blocks = append(p.doc.Blocks, *p.open)
	p.open, p.fence, p.bare = nil, "", false
}

// lastBreak has the line break not shown that is the last thing so far.
func (p *parser) lastBreak() {
	if n := len(p.open.Spans); n > 0 && p.open.Spans[n-1].Source == "\n" {
		p.open.Spans[n-1].Text = ""
	}
}

// quoted returns how deep a line is quoted, at most so deep, and what it says.
func quoted(line string, most int) (depth int, content string) {
	for depth < most {
		after, ok := strings.CutPrefix(strings.TrimLeft(line, " "), ">")
		if !ok || len(line)-len(after) > 4 { // three spaces and the mark
			break
		}
		line = strings.TrimPrefix(after, " ")
		depth++
	}
	return depth, line
}

// fenced returns what the fence of code consists of that a line opens, and the language; it is empty where it opens none.
func fenced(line string) (fence, language string) {
	text := strings.TrimLeft(line, " ")
	if len(line)-len(text) > 3 || text == "" || text[0] != '`' && text[0] != '~' {
		return "", ""
	}
	info := strings.TrimLeft(text, text[:1])
	fence = text[:len(text)-len(info)]
	if len(fence) < 3 || fence[0] == '`' && strings.Contains(info, "`") {
		return "", ""
	}
	language, _, _ = strings.Cut(strings.TrimSpace(info), " ")
	if len(language) > 32 || strings.Trim(language, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-#._") != "" {
		language = ""
	}
	return fence, language
}

// closes reports whether a line ends code that a fence opened.
func closes(line, fence string) bool {
	text := strings.TrimLeft(line, " ")
	n := run(text, fence[0])
	return len(line)-len(text) <= 3 && n >= len(fence) && strings.TrimLeft(text[n:], " ") == ""
}
