package tui

import (
	"strings"

	"github.com/clipperhouse/displaywidth"

	"github.com/quicproquo/qpq"
)

// visible returns text from outside that shows whatever is in it, and does nothing. Tabs become spaces.
func visible(text string) string {
	return strings.ReplaceAll(strings.TrimRight(qpq.Visible(text), "\n"), "\t", "    ")
}

// oneLine is visible text without line breaks.
func oneLine(text string) string { return strings.Join(strings.Fields(visible(text)), " ") }

// brief returns a text in one line that is no wider than width.
func brief(text string, width int) string {
	return displaywidth.TruncateString(oneLine(text), max(width, 1), "…")
}

// squeezed returns a name in one line that is no wider than width. Of a longer one both ends are there: names often differ at the end.
func squeezed(name string, width int) string {
	name = oneLine(name)
	if displaywidth.String(name) <= width || width < 5 {
		return brief(name, width)
	}
	graphemes := []string{}
	for g := displaywidth.StringGraphemes(name); g.Next(); {
		graphemes = append(graphemes, g.Value())
	}
	end, room := "", (width-1)/2
	for i := len(graphemes) - 1; displaywidth.String(graphemes[i]+end) <= room; i-- {
		end = graphemes[i] + end
	}
	return displaywidth.TruncateString(name, width-1-displaywidth.String(end), "") + "…" + end
}

// short returns a user without the domain, where that is the own one.
func short(self, user string) string {
	_, domain, ok := strings.Cut(self, "@")
	if !ok {
		return user
	}
	return strings.TrimSuffix(user, "@"+domain)
}

// wrap breaks spans, in whose text line breaks may be, into rows between words, or in words that do not fit. The first row has room for first columns, the
// others for rest.
func wrap(spans []span, first, rest int) (rows []row) {
	w := wrapper{room: max(first, 1), rest: max(rest, 1)}
	for _, s := range spans {
		for i, line := range strings.Split(s.text, "\n") {
			if i > 0 {
				w.feed()
			}
			w.put(s.style, line)
		}
	}
	w.word()
	return append(w.rows, w.row)
}

// wrapper lays out text. A word is put down when its end is known.
type wrapper struct {
	rows       []row
	row        row
	used       int // of room, by row
	room, rest int
	parts      row // of the word that is being read
	wide       int // it is
}

func (w *wrapper) put(s style, text string) {
	for g := displaywidth.StringGraphemes(text); g.Next(); {
		if g.Value() == " " {
			w.word()
			w.add(s, " ", 1)
			continue
		}
		if w.wide+g.Width() > max(w.room, w.rest) { // longer than any row
			w.word()
			if w.used+g.Width() > w.room {
				w.next()
			}
		}
		if n := len(w.parts); n > 0 && w.parts[n-1].style == s {
			w.parts[n-1].text += g.Value()
		} else {
			w.parts = append(w.parts, span{s, g.Value()})
		}
		w.wide += g.Width()
	}
}

// word puts the word down.
func (w *wrapper) word() {
	if w.used > 0 && w.used+w.wide > w.room {
		w.next()
	}
	for _, p := range w.parts {
		if displaywidth.String(p.text)+w.used <= w.room {
			w.add(p.style, p.text, displaywidth.String(p.text))
			continue
		}
		for g := displaywidth.StringGraphemes(p.text); g.Next(); {
			if w.used+g.Width() > w.room && w.used > 0 {
				w.next()
			}
			w.add(p.style, g.Value(), g.Width())
		}
	}
	w.parts, w.wide = nil, 0
}

// add appends to the row. A space that does not fit any more is left out.
func (w *wrapper) add(s style, text string, width int) {
	if text == " " && w.used+1 > w.room {
		return
	}
	if n := len(w.row); n > 0 && w.row[n-1].style == s {
		w.row[n-1].text += text
	} else {
		w.row = append(w.row, span{s, text})
	}
	w.used += width
}

func (w *wrapper) next() {
	w.rows, w.row, w.used, w.room = append(w.rows, w.row), nil, 0, w.rest
}

func (w *wrapper) feed() {
	w.word()
	w.next()
}
