package command

import (
	"bytes"
	"fmt"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Legible returns JSON in which what is not to be shown at a terminal is escaped. It means the same. It may return what it was given.
func Legible(json []byte) []byte {
	if bytes.IndexFunc(json, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 {
		return json
	}
	out := make([]byte, 0, len(json)+16)
	for _, r := range string(json) {
		switch {
		case unicode.IsPrint(r):
			out = utf8.AppendRune(out, r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}
