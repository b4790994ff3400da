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
	var s shapes
	return strings.Map(func(r rune) rune {
		if !s.shown(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, text)
}

// shapes tells characters that can be seen from those that cannot, as they come. Unicode counts some as letters, marks and symbols that have no shape:
// fillers (U+3164), joiners (U+034F), and those of blank. Those that select how the character before them looks, as in ❤️, are shown with it.
type shapes struct{ base bool }

// shown reports whether r, which comes next, can be seen.
func (s *shapes) shown(r rune) bool {
	if r < utf8.RuneSelf { // most are
		s.base = ' ' < r && r < '\x7f'
		return s.base || r == ' '
	}
	if unicode.Is(unicode.Variation_Selector, r) {
		base := s.base
		s.base = false
		return base
	}
	seen := unicode.IsPrint(r) && !unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) && !blank(r)
	s.base = seen && !unicode.Is(unicode.M, r)
	return seen
}

// blank reports whether r is a letter, mark or symbol of Unicode that is white space in all but its category: braille without a dot, a musical note
// without a head, the blanks of hieroglyphs, a filler of Khitan, and the spaces of SignWriting.
func blank(r rune) bool {
	switch r {
	case '\u2800', '\U0001D159', '\U00013441', '\U00013442', '\U00016FE4', '\U0001DA7F', '\U0001DA80':
		return true
	}
	return false
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
	var s shapes
	marks := 0
	for i, r := range text {
		if !unicode.Is(unicode.M, r) {
			marks = 0
		} else if marks++; marks > maxMarks {
			continue
		}
		seen := s.shown(r)
		switch {
		case r == '\n', r == '\t':
			b.WriteRune(r)
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD"): // a byte that is no text
			fmt.Fprintf(&b, "<%02X>", text[i])
		case seen:
			b.WriteRune(r)
		case r < ' ':
			b.WriteRune('\u2400' + r)
		case r == '\x7f':
			b.WriteRune('\u2421')
		case unicode.Is(unicode.Zs, r), blank(r):
			b.WriteByte(' ')
		case r == '\u200c', r == '\u200d', r == '\u00ad', r == '\u034f':
		default:
			fmt.Fprintf(&b, "<U+%04X>", r)
		}
	}
	return b.String()
}
