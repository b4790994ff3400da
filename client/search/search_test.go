package search_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/search"
)

var now = time.Date(2026, 11, 27, 15, 4, 5, 0, time.FixedZone("", 3600))

// marked returns a text with what a query finds in it in «», and whether it fits.
func marked(t *testing.T, query, text string) (string, bool) {
	t.Helper()
	q, err := search.Parse(query, now)
	if err != nil {
		t.Fatalf("%q: %v", query, err)
	}
	spans, _, ok := q.Match(text)
	if !ok {
		return text, false
	}
	var b strings.Builder
	at := 0
	for _, s := range spans[0] {
		b.WriteString(text[at:s.Start] + "«" + text[s.Start:s.End] + "»")
		at = s.End
	}
	return b.String() + text[at:], true
}

func TestMatch(t *testing.T) {
	for _, c := range []struct{ query, text, want string }{ // an empty want: it does not fit
		{"hello", "Hello, world", "«Hello», world"},
		{"HELLO", "well, hello there: hello", "well, «hello» there: «hello»"},
		{"cat", "Education", "Edu«cat»ion"},
		{"world hello", "Hello, world", "«Hello», «world»"},
		{"hello moon", "Hello, world", ""},
		{`"hello world"`, "Hello \n world", "«Hello \n world»"},
		{`"hello world"`, "hello, world", ""},
		{`"hello world`, "hello world", "«hello world»"}, // not closed
		{"hello -world", "hello", "«hello»"},
		{"hello -world", "hello worldly", ""},
		{"hello - bye", "hello bye", "«hello» «bye»"},

		{"cafe", "Café", "«Café»"},
		{"café", "CAFE au lait", "«CAFE» au lait"},
		{"uber", "U\u0308ber uns", "«U\u0308ber» uns"},
		{"strasse", "Hauptstraße 1", "Haupt«straße» 1"},
		{"STRAßE", "Strasse", "«Strasse»"},
		{"traße", "Hauptstraße", "Haupts«traße»"},
		{"ελλας", "ΕΛΛΆΣ", "«ΕΛΛΆΣ»"},
		{"ежик", "Ёжик", "«Ёжик»"},
		{"istanbul", "İstanbul", "«İstanbul»"},
		{"don't", "don’t", "«don’t»"},
		{"ａｂｃ", "abc", "«abc»"},
		{"office", "o\ufb03ce", "«o\ufb03ce»"},
		{"pass", "pa\u200bss\u00adword", "«pa\u200bss»\u00adword"},
		{"مرحبا", "مَرْحَبًا", "«مَرْحَبًا»"},

		{"ok", "OK, or okay", "«OK», or «ok»ay"},
		{"ok", "book", ""},
		{"i", "I did it", "«I» did it"},
		{"7", "17 or 7", "17 or «7»"},
		{"c++", "C++ or c", "«C++» or c"},
		{"o'n", "don't o'neill", ""}, // a short beginning begins a word, and a last letter ends one
		{"a.m.", "at 9 a.m.", "at 9 «a.m.»"},

		{"天气", "今天天气很好", "今天«天气»很好"},
		{"天", "今天天气", "今«天天»气"},
		{"天好", "天气很好", ""},
		{"カフェ", "ｶﾌｪに行く", "«ｶﾌｪ»に行く"},
		{"が", "かき", ""},
		{"안녕", "친구야 안녕하세요", "친구야 «안녕»하세요"},
		{"iphone手机", "新iPhone手机", "新«iPhone手机»"},
		{"สวัสดี", "สวัสดีครับ", "«สวัสดี»ครับ"},
		{"🎉", "done 🎉🎉", "done «🎉🎉»"},
		{"नमस्ते", "नमस्ते जी", "«नमस्ते» जी"},
	} {
		got, ok := marked(t, c.query, c.text)
		if c.want == "" && ok || c.want != "" && got != c.want {
			t.Errorf("%q in %q: %q, %v, and not %q", c.query, c.text, got, ok, c.want)
		}
		complete(t, c.query, c.text)
	}
}

// complete checks that an index would find a text, if a query fits it.
func complete(t *testing.T, query, text string) {
	t.Helper()
	q, err := search.Parse(query, now)
	if err != nil {
		if !errors.Is(err, qpq.Invalid) || qpq.CodeOf(err) != "bad-query" {
			t.Errorf("%q: %v", query, err)
		}
		return
	}
	spans, _, ok := q.Match(text)
	if !ok {
		return
	}
	has := strings.Fields(string(search.Terms(text)))
	for _, term := range q.Terms() {
		if !slices.Contains(has, term) {
			t.Errorf("%q fits %q, which has not the term %q but %q", query, text, term, has)
		}
	}
	at := 0
	for _, s := range spans[0] {
		if s.Start < at || s.End <= s.Start || s.End > len(text) {
			t.Fatalf("%q in %q of %d bytes: %v", query, text, len(text), spans)
		}
		if utf8.ValidString(text) && !utf8.ValidString(text[s.Start:s.End]) {
			t.Errorf("%q in %q: %v is half a character", query, text, s)
		}
		at = s.End
	}
}

func FuzzQuery(f *testing.F) {
	for _, s := range [][2]string{{`in:#a from:@b "x y" -z has:file`, "x y"}, {"天气 o'n don't", "今天天气 don't o'n"}, {`"`, `""`}, {"-", "in:"}, {"before:2026 a", "a b"},
		{"e\u0301", "E\u0301\u0300"}, {"ﬃ ß", "oﬃce ss"}, {"\u3099か", "か\u3099"}, {"한", "\u1112\u1161\u11ab"}, {"ab cd", "ab\u200bcd abcd"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, query, text string) {
		if len(text) > 500 {
			return // it is gone through for each of its words
		}
		complete(t, query, text)
		for _, word := range strings.Fields(text) { // what is there is found
			complete(t, word, text)
			complete(t, `"`+word, text)
			if len(word) > 4 {
				complete(t, word[1:len(word)-1], text)
			}
		}
	})
}

func TestFit(t *testing.T) {
	fit := func(query, text string) float64 {
		q, err := search.Parse(query, now)
		if err != nil {
			t.Fatal(err)
		}
		_, fit, ok := q.Match(text)
		if !ok {
			t.Fatalf("%q does not fit %q", text, query)
		}
		return fit
	}
	texts := []string{"cat, cat and cat", "the cat", "the cat " + strings.Repeat("and so on ", 100), "category", "education"}
	for i, text := range texts[1:] {
		if better := texts[i]; fit("cat", better) <= fit("cat", text) {
			t.Errorf("%.20q fits as well as %.20q or less", better, text)
		}
	}
}

func TestParse(t *testing.T) {
	q, err := search.Parse(`in:#team IN:"Book club" from:@bob from:me@example.org before:today after:2026-10 has:File lunch`, now)
	if err != nil {
		t.Fatal(err)
	}
	day := func(m time.Month, d int) time.Time { return time.Date(2026, m, d, 0, 0, 0, 0, now.Location()) }
	if !slices.Equal(q.In, []string{"#team", "Book club"}) || !slices.Equal(q.From, []string{"bob", "me@example.org"}) || !slices.Equal(q.Has, []string{"file"}) ||
		!q.Since.Equal(day(11, 1)) || !q.Until.Equal(day(11, 27)) || len(q.Words) != 1 {
		t.Errorf("%+v", q)
	}
	for text, want := range map[string][2]time.Time{
		"on:yesterday": {day(11, 26), day(11, 27)}, "on:2026-02-28": {day(2, 28), day(3, 1)}, "on:2026": {day(1, 1), time.Date(2027, 1, 1, 0, 0, 0, 0, now.Location())},
		"after:yesterday": {day(11, 27)}, "before:2026-12": {{}, day(12, 1)}, "on:2026-11 before:today": {day(11, 1), day(11, 27)},
	} {
		if q, err := search.Parse(text, now); err != nil || !q.Since.Equal(want[0]) || !q.Until.Equal(want[1]) {
			t.Errorf("%s: %+v, %v", text, q, err)
		}
	}
	if q, err := search.Parse(`http://example.org "in:team" re:x -`, now); err != nil || len(q.Words) != 3 || len(q.In) != 0 {
		t.Errorf("what looks like a filter: %+v, %v", q, err)
	}
}

func TestWrongQueries(t *testing.T) {
	for query, want := range map[string]string{
		"":                                  "nothing to look for",
		"  ":                                "nothing to look for",
		"in: x":                             "in: needs a value: the name of a conversation",
		`from:""`:                           "from: needs a value: a user",
		"lunch before:tuesday":              "before:tuesday: that is no day",
		"on:2026-02-30":                     "on:2026-02-30: that is no day",
		"has:money":                         "has:money: messages are not looked up by that: file, link or reply",
		"-from:bob":                         "-from:bob: only words can be left out",
		"-lunch":                            "must not have",
		"???":                               `"???" has no letters`,
		"after:today before:today":          "no day is after and before",
		strings.Repeat("a ", 40):            "too many words",
		strings.Repeat("a", 2000):           "too long",
		fmt.Sprintf("before:%s", "9999-99"): "that is no day",
	} {
		_, err := search.Parse(query, now)
		if !errors.Is(err, qpq.Invalid) || qpq.CodeOf(err) != "bad-query" || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, and not %q", query, err, want)
		}
	}
}

func TestHasLink(t *testing.T) {
	for text, want := range map[string]bool{"see https://example.org/x": true, "HTTP://a": true, "https:// no": false, "http:/x": false, "": false, "https://": false, "http:// https://b": true} {
		if search.HasLink(text) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
}
