package client

import (
	"strings"
	"unicode"
)

// printable drops from others' text what must not reach a terminal: everything but what can be shown, and line breaks.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
}
