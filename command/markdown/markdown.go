// Package markdown reads what people write into messages: bold, italic, struck out, code, quotes and links, in a small subset of Markdown.
//
// It shows what was written and interprets nothing else: HTML is text, images are links, and a link is never shown without
// where it leads. What comes from a message has no control characters and nothing that turns the direction of text, in whatever form
// it is shown. The work that a text takes is bounded by a multiple of its length.
package markdown

import "strings"

// Bounds.
const (
	MaxQuote  = 8    // depth of quotes; what is quoted further is text that begins with ">"
	MaxTarget = 2048 // bytes of what a link leads to; longer ones are text
)

// Style is how text is shown: any of its values, joined by or.
type Style uint8

// The values of Style.
const (
	Bold Style = 1 << iota
	Italic
	Strike
	Code
)

// Kind says what a span is.
type Kind uint8

// The values of Kind.
const (
	Text    Kind = iota
	Link         // its text, or what is shown of where it leads
	Mention      // of a user: "@bob", "@bob@example.org"
)

// Span is a part of a block. All of its texts can be shown as they are: they are valid UTF-8 without control characters but line breaks.
type Span struct {
	Kind   Kind   `json:"kind,omitempty"`
	Style  Style  `json:"style,omitempty"`
	Text   string `json:"text,omitempty"`   // what is shown of it where styles can be; empty for the marks
	Source string `json:"source,omitempty"` // what was written; empty for what is added: where a link leads, where that was written in a form that may deceive
	Target string `json:"target,omitempty"` // of a Link the address it leads to, with a host in ASCII; of a Mention the name
}

// BlockKind says what a block is.
type BlockKind uint8

// The values of BlockKind.
const (
	Paragraph BlockKind = iota
	CodeBlock
)

// Block is some whole lines of a text. The Sources of its spans are those lines, with their breaks.
type Block struct {
	Kind     BlockKind
	Quote    int    // how deep it is quoted
	Language string // of a CodeBlock, as its author calls it; may be empty
	Spans    []Span
}

// Document is a text that was read.
type Document struct{ Blocks []Block }

// Parse reads a text. All texts are valid: what is no markup is text.
func Parse(text string) *Document {
	d, _ := parse(text)
	return d
}

// parse also returns how many bytes it looked at, some of them several times.
func parse(text string) (*Document, int) {
	p := &parser{doc: &Document{}}
	for rest := clean(text); rest != ""; {
		line, after, broken := strings.Cut(rest, "\n")
		p.line(line, broken)
		rest = after
	}
	p.end()
	return p.doc, p.steps
}

// Styled reports whether showing a document differs from showing what was written.
func (d *Document) Styled() bool {
	for _, b := range d.Blocks {
		if b.Kind == CodeBlock || b.Quote > 0 {
			return true
		}
		for _, s := range b.Spans {
			if s.Style != 0 || s.Kind != Text || s.Text != s.Source && s.Source != "\n" {
				return true
			}
		}
	}
	return false
}
