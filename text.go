package qpq

import (
	"strings"
	"unicode"
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
