package qpq_test

import (
	"strings"
	"testing"
	"unicode"

	"github.com/quicproquo/qpq"
)

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"Grüße, 世界 🙂":              "Grüße, 世界 🙂",
		"two\tcolumns\nand lines":  "two\tcolumns\nand lines",
		"\x1b[2Jgone\r\a\x7f":      "[2Jgone",
		"abc\u202edef\u200b":       "abcdef", // right-to-left override, zero width space (Unicode Cf)
		"\u009b31mred\x00":         "31mred",
		"cut \xff\xfe off":         "cut \ufffd\ufffd off",
		"\u3164\u115f\u1160\uffa0": "", "a\u2800b\u034fc\u17b5": "abc", // they count as letters, a symbol and marks, and nobody sees them
		"\U0001d159a\U00013441b\U00013442c\U00016fe4d\U0001da7fe\U0001da80": "abcde", "𝅘𝅥𝅮 𓀀": "𝅘𝅥𝅮 𓀀",
		"\ufe0f❤\ufe0f\ufe0f 1\ufe0f\u20e3 葛\U000e0100": "❤\ufe0f 1\ufe0f\u20e3 葛\U000e0100",
		"한국 e\u0301 ᠠ\u180b":                            "한국 e\u0301 ᠠ\u180b",
	} {
		if got := qpq.Printable(in); got != want {
			t.Errorf("%q became %q, not %q", in, got, want)
		}
	}
}

func TestVisible(t *testing.T) {
	for in, want := range map[string]string{
		"Grüße, 世界 🙂":                       "Grüße, 世界 🙂",
		"two\tcolumns\nand lines":           "two\tcolumns\nand lines",
		"\x1b[2Jgone\r\a\x7f":               "␛[2Jgone␍␇␡",
		"abc\u202edef\u200b":                "abc<U+202E>def<U+200B>",
		"\u009b31mred\x00":                  "<U+009B>31mred␀",
		"cut \xff\xef off":                  "cut <FF><EF> off",
		"no\u00a0break\u3000wide":           "no break wide",
		"👩\u200d🚀 so\u00adft":               "👩🚀 soft",
		"e" + strings.Repeat("\u0301", 99):  "e" + strings.Repeat("\u0301", 6),
		"\u3164\u115f\u1160\uffa0":          "<U+3164><U+115F><U+1160><U+FFA0>",
		"a\u2800b\u034fc\u17b5":             "a bc<U+17B5>",
		"a\U0001d159b\U00013441c\U00016fe4": "a b c ",
		"❤\ufe0f\ufe0f \ufe0e":              "❤\ufe0f<U+FE0F> <U+FE0E>",
		"🏳\ufe0f\u200d🌈 葛\U000e0100":        "🏳\ufe0f🌈 葛\U000e0100",
	} {
		if got := qpq.Visible(in); got != want {
			t.Errorf("%q became %q, not %q", in, got, want)
		}
	}
}

func FuzzVisible(f *testing.F) {
	for _, seed := range []string{"plain", "\x1b]0;title\a", "\u202eabc\u2066", "\xff\ufffd", "\U000e0041", "e\u0301", "\u3164", "❤\ufe0f\ufe0f", "a\u034f\ufe0f"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := qpq.Visible(text)
		for _, r := range got {
			if r != '\n' && r != '\t' && !unicode.IsPrint(r) {
				t.Fatalf("%q became %q, which has %U", text, got, r)
			}
		}
		if again := qpq.Visible(got); again != got {
			t.Fatalf("%q became %q and then %q", text, got, again)
		}
	})
}

func TestOneLine(t *testing.T) {
	if got := qpq.OneLine(" Book\n\tclub\x1b[31m "); got != "Book club[31m" {
		t.Errorf("got %q", got)
	}
}
