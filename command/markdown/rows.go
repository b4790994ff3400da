package markdown

import (
	"strings"

	"github.com/clipperhouse/displaywidth"

	"github.com/quicproquo/qpq"
)

// Clean returns a text without what must not be shown (qpq.Printable) and without line breaks at its end, with spaces for tabs.
func Clean(text string) string { return strings.TrimRight(clean(text), "\n") }

func clean(text string) string { return strings.ReplaceAll(qpq.Printable(text), "\t", "    ") }

// Break breaks a line between words, or in words that do not fit, into a first row and others of given widths.
func Break(line string, first, others int) []string {
	var rows []string
	for room := first; displaywidth.String(line) > room; room = others {
		fits, space, width := 0, 0, 0
		for g := displaywidth.StringGraphemes(line); g.Next(); {
			if width += g.Width(); width > room {
				if g.Value() == " " {
					space = fits
				}
				break
			}
			if g.Value() == " " {
				space = fits
			}
			fits += len(g.Value())
		}
		if space > 0 {
			rows, line = append(rows, line[:space]), strings.TrimLeft(line[space:], " ")
			continue
		}
		fits = max(fits, 1)
		rows, line = append(rows, line[:fits]), line[fits:]
	}
	return append(rows, line)
}
