package editor

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/clipperhouse/displaywidth"
)

// drawing is what stands on the terminal: rows, and the cursor in one of them.
type drawing struct {
	widths   []int // of the rows, in columns; none where nothing is drawn
	row, col int   // of the cursor
}

// top returns what takes the cursor from where it is to the start of the first row. A terminal that became narrower since has broken
// rows that do not fit any more.
func (d *drawing) top(width int) string {
	up := 0
	for i := range d.row {
		up += 1 + max(0, d.widths[i]-1)/width
	}
	up += d.col / width
	if up > 0 {
		return fmt.Sprintf("\r\x1b[%dA", up)
	}
	return "\r"
}

// erase returns what takes the rows from the terminal.
func (d *drawing) erase(width int) string {
	if len(d.widths) == 0 {
		return ""
	}
	return d.top(width) + "\x1b[J"
}

// draw brings the terminal up to date. The caller holds mu.
func (e *Editor) draw() {
	if !e.closed {
		e.write(e.drawing())
	}
}

// drawing returns what draws prompt and line where the cursor is, or over what is drawn.
func (e *Editor) drawing() string {
	width, height := e.size()
	var b strings.Builder
	if len(e.drawn.widths) > 0 {
		b.WriteString(e.drawn.top(width))
	}
	rows, next := e.layout(width - 1)
	if most := height - 1; len(rows) > most { // those around the cursor
		first := min(max(0, next.row-most/2), len(rows)-most)
		rows, next.widths, next.row = rows[first:first+most], next.widths[first:first+most], next.row-first
	}
	for i, row := range rows {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(row)
		b.WriteString("\x1b[K")
	}
	b.WriteString("\x1b[J")
	if up := len(rows) - 1 - next.row; up > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", up)
	}
	b.WriteString("\r")
	if next.col > 0 {
		fmt.Fprintf(&b, "\x1b[%dC", next.col)
	}
	e.drawn = next
	return b.String()
}

// page is a page of rows being filled.
type page struct {
	drawing
	rows  []string
	width int
}

func (p *page) put(text string, width int) {
	last := len(p.rows) - 1
	if p.widths[last]+width > p.width {
		p.feed()
		last++
	}
	p.rows[last] += text
	p.widths[last] += width
}

func (p *page) feed() {
	p.rows, p.widths = append(p.rows, ""), append(p.widths, 0)
}

// here puts the cursor where the next character goes.
func (p *page) here() {
	if p.widths[len(p.rows)-1] >= p.width {
		p.feed()
	}
	p.row, p.col = len(p.rows)-1, p.widths[len(p.rows)-1]
}

// layout breaks prompt and line into rows of a width.
func (e *Editor) layout(width int) ([]string, drawing) {
	prompt, secret := e.prompt, false
	if e.asking != nil {
		prompt, secret = e.asking.prompt, e.asking.secret
	}
	p := &page{width: width}
	p.feed()
	if prompt.Style != "" {
		p.rows[0] = "\x1b[" + prompt.Style + "m"
	}
	e.shown(prompt.Text, func(_ int, text string, width int) { p.put(text, width) })
	if prompt.Style != "" {
		p.rows[len(p.rows)-1] += "\x1b[m"
	}
	if secret {
		p.here()
		return p.rows, p.drawing
	}
	placed := false
	e.shown(e.line.String(), func(at int, text string, width int) {
		if !placed && at >= e.line.At {
			p.here()
			placed = true
		}
		if text == "\n" {
			p.feed()
			return
		}
		p.put(text, width)
	})
	if !placed {
		p.here()
	}
	return p.rows, p.drawing
}

// shown calls f with each character of a text, as people count them: its place in the text, what to draw, and how wide that is.
func (e *Editor) shown(text string, f func(at int, text string, width int)) {
	at := 0
	for g := displaywidth.StringGraphemes(text); g.Next(); {
		character, width := g.Value(), g.Width()
		runes := []rune(character)
		switch {
		case character == "\n":
			f(at, character, 0)
		case character == "\t":
			f(at, "    ", 4)
		case !printable(runes):
		case e.cfg.ASCII && (len(runes) > 1 || runes[0] > unicode.MaxASCII):
			f(at, "?", 1)
		default:
			f(at, character, width)
		}
		at += len(runes)
	}
}

// printable reports whether a character does nothing but show. Joiners within an emoji are part of one.
func printable(character []rune) bool {
	for i, r := range character {
		if !unicode.IsPrint(r) && !(i > 0 && r == '\u200d') {
			return false
		}
	}
	return true
}

// clean returns a text as the terminal can show it.
func (e *Editor) clean(text string) string {
	var b strings.Builder
	e.shown(text, func(_ int, text string, _ int) { b.WriteString(text) })
	return b.String()
}

// above shows lines above the one that is being typed. The caller holds mu.
func (e *Editor) above(text string) {
	e.write(e.drawn.erase(e.Width()) + strings.ReplaceAll(text, "\n", "\r\n") + "\r\n")
	e.drawn = drawing{}
}

// columns lays words out in as many columns as fit.
func (e *Editor) columns(words []string) string {
	const gap, most = 2, 100
	more := 0
	if len(words) > most {
		words, more = words[:most], len(words)-most
	}
	clean, widest := make([]string, len(words)), 0
	for i, w := range words {
		clean[i] = e.clean(w)
		widest = max(widest, displaywidth.String(clean[i]))
	}
	across := max(1, (e.Width()-1+gap)/(widest+gap))
	var b strings.Builder
	for i, w := range clean {
		b.WriteString(w)
		switch {
		case i == len(clean)-1:
		case i%across == across-1:
			b.WriteString("\n")
		default:
			b.WriteString(strings.Repeat(" ", widest+gap-displaywidth.String(w)))
		}
	}
	if more > 0 {
		fmt.Fprintf(&b, "\nand %d more", more)
	}
	return b.String()
}
