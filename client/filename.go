package client

import (
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/quicproquo/qpq"
)

// maxName is the most bytes that a name of a file has: what file systems take, with room for a number.
const maxName = 200

// SafeName makes of a name that somebody else chose one that is harmless on every system: it is no path, hidden, a device of Windows, or
// anything that a terminal would obey.
func SafeName(name string) string {
	name = strings.ReplaceAll(name, `\`, "/")
	name = name[strings.LastIndexByte(name, '/')+1:]
	name = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || strings.ContainsRune(`<>:"|?*/`, r) || !unicode.IsPrint(r) || qpq.Printable(string(r)) != string(r) {
			return '_'
		}
		return r
	}, name)
	name = strings.TrimRight(strings.TrimLeft(name, ". "), ". ")
	if name == "" {
		return "file"
	}
	stem, _, _ := strings.Cut(name, ".")
	if reserved(strings.TrimRight(stem, " ")) {
		name = "_" + name
	}
	return shorten(name)
}

// reserved reports whether a name is that of a device on Windows, whatever follows a dot.
func reserved(stem string) bool {
	stem = strings.ToUpper(stem)
	if slices.Contains([]string{"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"}, stem) {
		return true
	}
	rest, ok := strings.CutPrefix(stem, "COM")
	if !ok {
		rest, ok = strings.CutPrefix(stem, "LPT")
	}
	return ok && utf8.RuneCountInString(rest) == 1 && strings.Contains("0123456789¹²³", rest)
}

// shorten cuts a name before its extension.
func shorten(name string) string {
	if len(name) <= maxName {
		return name
	}
	extension := path.Ext(name)
	if len(extension) > 20 {
		extension = ""
	}
	stem := name[:maxName-len(extension)]
	for !utf8.ValidString(stem) {
		stem = stem[:len(stem)-1]
	}
	return strings.TrimRight(stem, ". ") + extension
}
