package qpq_test

import (
	"testing"

	"github.com/quicproquo/qpq"
)

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"Grüße, 世界 🙂":             "Grüße, 世界 🙂",
		"two\tcolumns\nand lines": "two\tcolumns\nand lines",
		"\x1b[2Jgone\r\a\x7f":     "[2Jgone",
		"abc\u202edef\u200b":      "abcdef", // right-to-left override, zero width space (Unicode Cf)
		"\u009b31mred\x00":        "31mred",
		"cut \xff\xfe off":        "cut \ufffd\ufffd off",
	} {
		if got := qpq.Printable(in); got != want {
			t.Errorf("%q became %q, not %q", in, got, want)
		}
	}
}
