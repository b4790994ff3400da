package qpq

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable returns text without what could make a terminal or a log do anything but show it: all but characters that can be
// shown, line breaks and tabs. What comes from others goes through it before it is shown.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text)
}

// OneLine returns what is printable in text as a single line, with one space wherever there was white space: names and titles that others chose are
// shown so.
func OneLine(text string) string { return strings.Join(strings.Fields(Printable(text)), " ") }

// maxMarks is how many marks a character may carry in Visible: more of them would reach into other lines.
const maxMarks = 6

// Visible returns text in which what Printable leaves out is shown, and not obeyed: control characters as their pictures (␛), overrides of the
// writing direction and other characters without a shape by their number (<U+202E>), spaces of any kind as spaces. Joiners within words and emoji are left out.
func Visible(text string) string {
	var b strings.Builder
	marks := 0
	for i, r := range text {
		if !unicode.Is(unicode.M, r) {
			marks = 0
		} else if marks++; marks > maxMarks {
			continue
		}
		switch {
		case r == '\n', r == '\t':
			b.WriteRune(r)
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD"): // a byte that is no text
			fmt.Fprintf(&b, "<%02X>", text[i])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r < ' ':
			b.WriteRune('\u2400' + r)
		case r == '\x7f':
			b.WriteRune('\u2421')
		case unicode.Is(unicode.Zs, r):
			b.WriteByte(' ')
		case r == '\u200c', r == '\u200d', r == '\u00ad':
		default:
			fmt.Fprintf(&b, "<U+%04X>", r)
		}
	}
	return b.String()
}
