package markdown_test

import (
	"slices"
	"testing"

	"github.com/quicproquo/qpq/command/markdown"
)

func TestBreak(t *testing.T) {
	for _, c := range []struct {
		line          string
		first, others int
		want          []string
	}{
		{"one two three", 20, 20, []string{"one two three"}},
		{"one two three", 7, 20, []string{"one two", "three"}},
		{"one two three", 8, 5, []string{"one two", "three"}},
		{"abcdefgh", 3, 4, []string{"abc", "defg", "h"}},
		{"日本語です", 5, 4, []string{"日本", "語で", "す"}},
		{"", 5, 5, []string{""}},
		{"a      b", 3, 3, []string{"a  ", "b"}},
	} {
		if got := markdown.Break(c.line, c.first, c.others); !slices.Equal(got, c.want) {
			t.Errorf("%q is broken into %q and not %q", c.line, got, c.want)
		}
	}
}
