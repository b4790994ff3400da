package search

import (
	"unicode"
	"unicode/utf8"
)

// An index holds terms of each text, separated by spaces:
//
//   - of a word each three letters in a row ("message" has mes ess ssa sag age), and its first two with a mark before them (^me);
//   - a word of one letter, with a mark (=a);
//   - of two words in a row the end of the one and the beginning of the other, two letters of each where they have so many (good_morning: od_mo);
//   - of scripts that put no spaces between words, each letter and each two letters in a row; of emoji and other symbols each one.
//
// They say where a text may have what is looked for. Whether it has, the text itself tells.
const (
	beginning = "^" // two letters that a word begins with
	alone     = "=" // a letter that is a word
	beside    = "_" // between the end of a word and the beginning of the next
)

type class int

const (
	gap    class = iota // between words
	letter              // of a word
	dense               // a letter of a script without spaces
	symbol
)

func classify(r rune) class {
	switch {
	case r < utf8.RuneSelf:
		if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' {
			return letter
		}
		return gap
	case r >= 0x0E00 && unicode.In(r, denseScripts...) && unicode.In(r, unicode.L, unicode.M, unicode.N), r == 'ー', r == '々':
		return dense
	case unicode.In(r, unicode.L, unicode.M, unicode.N):
		return letter
	case unicode.In(r, unicode.So, unicode.Sk) && r != '`' && r != '^': // of emoji with their colours of skin
		return symbol
	}
	return gap
}

var denseScripts = []*unicode.RangeTable{unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Bopomofo, unicode.Yi,
	unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar}

// runs calls each for every run of characters of one class that is no gap, with the places at which they begin and that where the last ends.
func runs(text string, each func(c class, at []int)) {
	at := make([]int, 0, 64)
	var is class
	for i, r := range text {
		c := classify(r)
		if c != is && len(at) > 0 {
			each(is, append(at, i))
			at = at[:0]
		}
		if is = c; c != gap {
			at = append(at, i)
		}
	}
	if len(at) > 0 {
		each(is, append(at, len(text)))
	}
}

// Terms returns the terms of a text, with a space after each. Some may come more than once.
func Terms(text string) []byte {
	f := fold(text, false)
	b := make([]byte, 0, 5*len(f.text)+16)
	return appendText(b, f.text, true)
}

// appendText appends the terms of a folded text: all that an index has, or those that all texts have with this one in them.
func appendText(b []byte, text string, all bool) []byte {
	before := "" // the end of the word before
	runs(text, func(c class, at []int) {
		b = appendTerms(b, text, c, at, all)
		if c != letter {
			before = ""
			return
		}
		n := len(at) - 1
		if before != "" {
			b = append(append(append(append(b, before...), beside...), text[at[0]:at[min(2, n)]]...), ' ')
		}
		before = text[at[max(0, n-2)]:at[n]]
	})
	return b
}

// appendTerms appends those of a run: all that an index has, or those that make others superfluous, and do not depend on what is before the run.
func appendTerms(b []byte, text string, c class, at []int, all bool) []byte {
	n := len(at) - 1
	add := func(mark string, from, to int) {
		b = append(append(append(b, mark...), text[at[from]:at[to]]...), ' ')
	}
	switch {
	case c != letter:
		for i := range n {
			if all || c == symbol || n == 1 {
				add("", i, i+1)
			}
			if c == dense && i+2 <= n {
				add("", i, i+2)
			}
		}
	case n == 1:
		add(alone, 0, 1)
	default:
		if all || n == 2 {
			add(beginning, 0, 2)
		}
		for i := range n - 2 {
			add("", i, i+3)
		}
	}
	return b
}
