package markdown

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

var update = flag.Bool("update", false, "write the golden files anew")

// tagged shows spans so that they can be read.
func tagged(s Span) string {
	text := s.Text
	if s.Style&Code != 0 {
		text = "{c " + text + "}"
	}
	for style, tag := range map[Style]string{Bold: "b", Italic: "i", Strike: "s"} {
		if s.Style == style {
			text = "{" + tag + " " + text + "}"
		}
	}
	if s.Style == Bold|Italic {
		text = "{bi " + text + "}"
	}
	if s.Style == Bold|Strike {
		text = "{bs " + text + "}"
	}
	switch s.Kind {
	case Link:
		text = "{a " + text + " -> " + s.Target + "}"
	case Mention:
		text = "{@ " + s.Target + "}"
	}
	return text
}

func TestInline(t *testing.T) {
	for text, want := range map[string]string{
		"plain":                           "plain",
		"**bold** and __bold__":           "{b bold} and {b bold}",
		"*italic*, _italic_":              "{i italic}, {i italic}",
		"***both***":                      "{bi both}",
		"***a** b*":                       "{bi a}{i  b}",
		"~~gone~~ ~not~":                  "{s gone} ~not~",
		"**a ~~b~~**":                     "{b a }{bs b}",
		"*a **b* c**":                     "{i a **b} c**",
		"*a *b*":                          "*a {i b}",
		"2 * 3 * 4, 2*3":                  "2 * 3 * 4, 2*3",
		"2*3*4":                           "2{i 3}4",
		"snake_case_name __init__x":       "snake_case_name __init__x",
		"_a_b":                            "_a_b",
		"** not ** and ****":              "** not ** and ****",
		"`code *x*`":                      "{c code *x*}",
		"``a ` b``":                       "{c a ` b}",
		"`` ` ``":                         "{c `}",
		"`open ``two":                     "`open ``two",
		`\*no\* \a`:                       `*no* \a`,
		"`\\`":                            "{c \\}",
		"<b>html</b> <!-- x -->":          "<b>html</b> <!-- x -->",
		"[a](https://b.c/d)":              "{a a -> https://b.c/d}{a  <https://b.c/d> -> https://b.c/d}",
		"[https://b.c](https://b.c)":      "{a https://b.c -> https://b.c}",
		"[https://b.c](https://d.e)":      "{a https://b.c -> https://d.e}{a  <https://d.e> -> https://d.e}",
		"![cat](https://b.c/cat.png)":     "{a cat -> https://b.c/cat.png}{a  <https://b.c/cat.png> -> https://b.c/cat.png}",
		"[](https://b.c)":                 "{a  <https://b.c> -> https://b.c}",
		"[a](javascript:alert(1))":        "[a](javascript:alert(1))",
		"[a](data:text/html,x)":           "[a](data:text/html,x)",
		"[a](file:///etc/passwd)":         "[a](file:///etc/passwd)",
		"[a](b.c)":                        "[a](b.c)",
		"[[a](https://b.c)](https://d.e)": "[{a a -> https://b.c}{a  <https://b.c> -> https://b.c}]({a https://d.e -> https://d.e})",
		"see https://b.c/(d).":            "see {a https://b.c/(d) -> https://b.c/(d)}.",
		"(https://b.c/d)":                 "({a https://b.c/d -> https://b.c/d})",
		"**https://b.c**":                 "**{a https://b.c -> https://b.c}**",
		"xhttps://b.c":                    "xhttps://b.c",
		"HTTPS://B.C/D":                   "{a HTTPS://B.C/D -> https://b.c/D}",
		"<https://b.c>":                   "{a https://b.c -> https://b.c}",
		"mailto:a@b.c":                    "{a mailto:a@b.c -> mailto:a@b.c}",
		"qpq:user/bob":                    "{a qpq:user/bob -> qpq:user/bob}",
		"https://bücher.example/ä":        "{a https://bücher.example/ä -> https://xn--bcher-kva.example/ä}{a  <https://xn--bcher-kva.example/ä> -> https://xn--bcher-kva.example/ä}",
		"https://аррӏе.com":               "{a https://аррӏе.com -> https://xn--80ak6aa92e.com}{a  <https://xn--80ak6aa92e.com> -> https://xn--80ak6aa92e.com}",
		"[a](https://аррӏе.com)":          "{a a -> https://xn--80ak6aa92e.com}{a  <https://xn--80ak6aa92e.com> -> https://xn--80ak6aa92e.com}",
		"https://bank.com@evil.com/":      "https://bank.com@evil.com/",
		`https://bank.com\@evil.com/`:     `https://bank.com\@evil.com/`,
		"https://bank.com∕x.evil.com":     "{a https://bank.com∕x.evil.com -> https://bank.xn--comx-id9a.evil.com}{a  <https://bank.xn--comx-id9a.evil.com> -> https://bank.xn--comx-id9a.evil.com}",
		"http://[::1]:80/x":               "{a http://[::1]:80/x -> http://[::1]:80/x}",
		"http://127.0.0.1:99999/":         "http://127.0.0.1:99999/",
		"http://":                         "http://",
		"hi @bob, @carol@example.org.":    "hi {@ bob}, {@ carol@example.org}.",
		"mail me@b.c @":                   "mail me@b.c @",
		"* item, - item":                  "* item, - item",
		"a\tb\x1b[31mc\u202ed":            "a    b[31mcd",
		"# no heading":                    "# no heading",
	} {
		d := Parse(text)
		var got strings.Builder
		for _, l := range d.Lines() {
			for _, s := range l.Spans {
				got.WriteString(tagged(s))
			}
		}
		// What is bold around a link counts, but its tag would hide that of the link.
		if want := strings.ReplaceAll(want, "**{a https://b.c -> https://b.c}**", "{a {b https://b.c} -> https://b.c}"); got.String() != want {
			t.Errorf("%q is read as\n%s, wanted\n%s", text, got.String(), want)
		}
	}
}

func TestBlocks(t *testing.T) {
	files, err := filepath.Glob("testdata/*.md")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		d := Parse(string(text))
		var got strings.Builder
		for _, b := range d.Blocks {
			fmt.Fprintf(&got, "%s, quoted %d, language %q\n", []string{"paragraph", "code"}[b.Kind], b.Quote, b.Language)
			one := &Document{Blocks: []Block{b}}
			for _, row := range strings.Split(one.Render(tagged), "\n") {
				got.WriteString("\t" + row + "\n")
			}
		}
		golden := strings.TrimSuffix(file, ".md") + ".golden"
		if *update {
			if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if got.String() != string(want) {
			t.Errorf("%s is read as\n%s", file, got.String())
		}
		sound(t, string(text))
	}
}

func TestStyled(t *testing.T) {
	for text, want := range map[string]bool{
		"plain\ntext\n\nmore": false, "2 * 3": false, "**a**": true, "> a": true, "```\na\n```": true, "```": false, `\*`: true, "https://a.b": true, "@bob": true, "": false,
	} {
		if got := Parse(text).Styled(); got != want {
			t.Errorf("%q is styled: %v", text, got)
		}
	}
}

func TestBroken(t *testing.T) {
	l := Parse("one **two three** `four`").Lines()[0]
	for _, rows := range [][]string{{"one two", "three", "four"}, {"one t", "wo three", "four"}, {"one two three four"}, {"o", "ne two three four"}} {
		var got []string
		for _, spans := range l.Broken(rows) {
			row := ""
			for _, s := range spans {
				row += tagged(s)
			}
			got = append(got, row)
		}
		again := strings.NewReplacer("{b ", "", "{c ", "", "}", "").Replace(strings.Join(got, "|"))
		if again != strings.Join(rows, "|") || !strings.Contains(strings.Join(got, "|"), "{b t") || !strings.HasSuffix(got[len(got)-1], "{c four}") {
			t.Errorf("%q is broken into %q", rows, got)
		}
	}
	empty := Line{}
	if got := empty.Broken([]string{""}); len(got) != 1 || len(got[0]) != 0 {
		t.Errorf("an empty line is broken into %q", got)
	}
}

var escapes = regexp.MustCompile("\x1b\\[([0-9;]*)m")

// sound fails unless a text is shown without harm, and nothing of it is lost.
func sound(t *testing.T, text string) {
	t.Helper()
	d, steps := parse(text)
	written, plain := clean(text), d.Plain()
	var source strings.Builder
	spans := 0
	for _, b := range d.Blocks {
		if b.Quote < 0 || b.Quote > MaxQuote {
			t.Fatalf("%q is quoted %d deep", text, b.Quote)
		}
		for _, s := range b.Spans {
			spans++
			source.WriteString(s.Source)
			shown(t, s.Text)
			shown(t, s.Target)
			if s.Kind == Link {
				if again, ok := Target(s.Target); !ok || again != s.Target {
					t.Fatalf("%q: a link to %q, which is %q", text, s.Target, again)
				}
			}
		}
	}
	if source.String() != written {
		t.Fatalf("%q is read as %q", written, source.String())
	}
	shown(t, plain)
	told(t, d)
	painted, bare := d.Render(SGR), d.Render(func(s Span) string { return s.Text })
	for _, m := range escapes.FindAllStringSubmatch(painted, -1) {
		for _, code := range strings.Split(m[1], ";") {
			if !strings.Contains(" 1 3 4 9 36  ", " "+code+" ") {
				t.Fatalf("%q is shown with the sequence %q", text, m[0])
			}
		}
	}
	if escapes.ReplaceAllString(painted, "") != bare {
		t.Fatalf("%q is shown as %q with styles and as %q without", text, painted, bare)
	}
	shown(t, bare)
	if most := 16*len(written) + 64; steps > most || spans > most {
		t.Fatalf("a text of %d bytes took %d steps and has %d spans", len(written), steps, spans)
	}
}

// told fails unless each link is shown with where it leads.
func told(t *testing.T, d *Document) {
	t.Helper()
	for _, b := range d.Blocks {
		for i := 0; i < len(b.Spans); i++ {
			target, text := b.Spans[i].Target, ""
			if b.Spans[i].Kind != Link {
				continue
			}
			for ; i < len(b.Spans) && (b.Spans[i].Target == target || b.Spans[i].Text == ""); i++ {
				text += b.Spans[i].Text
			}
			i--
			if own, ok := Target(text); !strings.Contains(text, "<"+target+">") && (!ok || own != target) {
				t.Fatalf("a link to %q is shown as %q", target, text)
			}
		}
	}
}

func shown(t *testing.T, text string) {
	t.Helper()
	if !utf8.ValidString(text) {
		t.Fatalf("%q is not valid", text)
	}
	for _, r := range text {
		if r != '\n' && !unicode.IsPrint(r) {
			t.Fatalf("%q has %U", text, r)
		}
	}
}

// TestWork holds the work for texts that are bad for parsers of Markdown to a multiple of their length.
func TestWork(t *testing.T) {
	const n = 60000
	for _, part := range []string{"*a ", "a**b", "*a _b ", "***a", "[", "[a](", "a](", "[a](http://b(", "](", "![", ">", "> ", "> > >\n", "`a``", "`", "~~a ~b", "http://",
		"http://a", "http://a)", "https://ä.b ", "<", "<http://", "<a@", "@", "@a@", "@a.", "mailto:", "[a]: u\n", "- ", "\\", "\\*", "&", "a\n", "```\n", "```a\n~~~\n", "_", "_a", "__a_", "[*a](http://b.c)*"} {
		sound(t, strings.Repeat(part, n/len(part)))
		sound(t, strings.Repeat(part, n/2/len(part))+strings.Repeat("]", n/4)+strings.Repeat(")", n/4))
	}
	var ticks strings.Builder
	for i := 1; ticks.Len() < n; i++ {
		ticks.WriteString("e" + strings.Repeat("`", i))
	}
	sound(t, ticks.String())
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"**a** *b* ~~c~~ `d` [e](https://f.g) <https://h.i> @j", "> a\n> > b\n```go\nc\n```\n", "https://bücher.example", "\x1b]0;title\x07", "\u202eabc\u202c",
		"[a](http://[::1]:80/b(c)d)", "![x](mailto:a@b.c?subject=d)", "***a** b*", "``` \n", "> ```\n> x\ny", "\xff\xfe", "`` ` ``", "[https://a.b](https://c.d)"} {
		f.Add(text)
	}
	f.Fuzz(sound)
}
