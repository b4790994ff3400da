// Package search says what words are, for looking them up in messages: how texts are made comparable, which terms an index holds of a text, what
// people ask for, and where it stands in a text. It keeps nothing.
package search

import (
	"sort"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// folded is a text in which upper and lower case, accents, widths and kinds of spaces make no difference.
type folded struct {
	text   string
	uneven []piece // those that have not the same length in the original, in order
}

// piece is a part of a folded text, and the part of the original that it comes from.
type piece struct{ start, end, from, to int }

// fold makes a text comparable. Without where, it does not note where in the original its parts stand.
func fold(text string, where bool) folded {
	var f folded
	b := make([]byte, 0, len(text)+8)
	for i := 0; i < len(text); {
		start, from := len(b), i
		if c := text[i]; c < utf8.RuneSelf && !space(rune(c)) && (i+1 == len(text) || text[i+1] < utf8.RuneSelf) {
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			if c >= ' ' {
				b = append(b, c)
			}
			i++
		} else {
			b, i = foldSegment(b, text, i)
		}
		if where && len(b)-start != i-from {
			f.uneven = append(f.uneven, piece{start, len(b), from, i})
		}
	}
	f.text = string(b)
	return f
}

// foldSegment appends what becomes of a character with its marks, or of a number of spaces, and returns where the next begins.
func foldSegment(b []byte, text string, i int) ([]byte, int) {
	r, size := utf8.DecodeRuneInString(text[i:])
	if space(r) {
		for i < len(text) && space(r) {
			i += size
			r, size = utf8.DecodeRuneInString(text[i:])
		}
		return append(b, ' '), i
	}
	next := i + size
	for next < len(text) {
		p := norm.NFC.PropertiesString(text[next:])
		if p.BoundaryBefore() || p.Size() == 0 {
			break
		}
		next += p.Size()
	}
	if next == i+size {
		if s, ok := simple(r); ok {
			return append(b, s...), next
		}
		if plain(r) {
			return append(b, text[i:next]...), next
		}
	}
	return append(b, foldSlowly(text[i:next])...), next
}

func space(r rune) bool { return unicode.IsSpace(r) }

// plain reports whether a character is what it becomes: most of Chinese, Japanese and Korean.
func plain(r rune) bool {
	return 0x4E00 <= r && r <= 0x9FFF || 0x3041 <= r && r <= 0x3096 || 0x30A1 <= r && r <= 0x30FA || 0xAC00 <= r && r <= 0xD7A3
}

const tabled = 0x2500

// table has what becomes of the first characters of Unicode, where they stand alone.
var table = sync.OnceValue(func() []string {
	list := make([]string, tabled)
	for r := range rune(tabled) {
		list[r] = foldSlowly(string(r))
	}
	return list
})

func simple(r rune) (string, bool) {
	if r < tabled {
		return table()[r], true
	}
	return "", false
}

// foldSlowly returns what becomes of one character with its marks.
func foldSlowly(segment string) string {
	if !utf8.ValidString(segment) {
		return "\uFFFD"
	}
	var b strings.Builder
	for _, r := range norm.NFKD.String(segment) {
		if !ignored(r) {
			b.WriteString(like.Replace(strings.ToLower(string(r))))
		}
	}
	return norm.NFC.String(b.String())
}

// like has letters that differ from others in a stroke, or stand for two, and quotation marks.
var like = strings.NewReplacer("ß", "ss", "ς", "σ", "ı", "i", "ø", "o", "đ", "d", "ð", "d", "ł", "l", "ħ", "h", "æ", "ae", "œ", "oe", "þ", "th",
	"’", "'", "‘", "'", "ʼ", "'", "“", `"`, "”", `"`, "„", `"`)

// ignored reports whether a character makes no difference: accents, points of Hebrew and Arabic, and what cannot be seen.
func ignored(r rune) bool {
	switch {
	case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Variation_Selector), r == 0x034F:
		return true
	case unicode.Is(unicode.Mn, r):
		class := norm.NFD.PropertiesString(string(r)).CCC()
		return class >= 200 || class >= 10 && class <= 36
	}
	return false
}

// original returns the part of the original that a part of the folded text comes from, with whole characters.
func (f folded) original(start, end int) Span {
	first := sort.Search(len(f.uneven), func(i int) bool { return f.uneven[i].start > start }) // after the last that begins at or before start
	s := Span{start, end}
	if first > 0 {
		if p := f.uneven[first-1]; start < p.end {
			s.Start = p.from
		} else {
			s.Start = p.to + start - p.end
		}
	}
	last := sort.Search(len(f.uneven), func(i int) bool { return f.uneven[i].start >= end })
	if last > 0 {
		if p := f.uneven[last-1]; end <= p.end {
			s.End = p.to
		} else {
			s.End = p.to + end - p.end
		}
	}
	return s
}

// Span is a part of a text, in bytes.
type Span struct{ Start, End int }
