package markdown

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// inline reads the content of one line: no style goes on beyond it.
//
// Spans are flat, so that styles may overlap; of each delimiter at most one is open, the nearest. So each byte is styled at most once for each.
type inline struct {
	src   string
	steps int

	at       int // what is to be read next
	from     int // where the text begins that is no span yet
	spans    []Span
	opened   []delimiter
	brackets []int       // spans that may open a link
	ticks    map[int]int // where the last run of so many backticks begins; nil until there is one
}

// delimiter is one that may open a style.
type delimiter struct {
	text string
	span int
	run  int // where its run begins
}

var styles = map[string]Style{"**": Bold, "__": Bold, "*": Italic, "_": Italic, "~~": Strike}

func (l *inline) parse() []Span {
	for l.at < len(l.src) {
		l.steps++
		n := 0
		switch c := l.src[l.at]; c {
		case '\\':
			n = l.escape()
		case '`':
			n = l.code()
		case '*', '_', '~':
			n = l.delimiters(c)
		case '[':
			n = l.bracket(1)
		case '!':
			if strings.HasPrefix(l.src[l.at:], "![") {
				n = l.bracket(2)
			}
		case ']':
			n = l.link()
		case '<':
			n = l.angled()
		case '@':
			n = l.mention()
		case 'h', 'H', 'm', 'M', 'q', 'Q':
			n = l.bare()
		}
		l.at += max(n, 1)
	}
	l.flush(l.at)
	return l.merged()
}

// flush makes what was read up to a place a span of text.
func (l *inline) flush(to int) {
	if l.from < to {
		l.spans = append(l.spans, Span{Text: l.src[l.from:to], Source: l.src[l.from:to]})
	}
	l.from = to
}

// add makes the next bytes a span, and returns its number.
func (l *inline) add(n int, s Span) int {
	l.flush(l.at)
	s.Source = l.src[l.at : l.at+n]
	l.spans = append(l.spans, s)
	l.from = l.at + n
	return len(l.spans) - 1
}

// merged returns the spans, with one for texts that follow each other and look the same.
func (l *inline) merged() []Span {
	var list []Span
	end := 0
	for _, s := range l.spans {
		end += len(s.Source)
		if s.Text == "" && s.Source == "" {
			continue
		}
		if n := len(list); n > 0 && s.Kind == Text && s.Text == s.Source && list[n-1].Kind == Text && list[n-1].Style == s.Style && list[n-1].Text == list[n-1].Source {
			both := l.src[end-len(s.Source)-len(list[n-1].Source) : end]
			list[n-1].Text, list[n-1].Source = both, both
			continue
		}
		list = append(list, s)
	}
	return list
}

func (l *inline) escape() int {
	next := l.src[l.at+1:]
	if next == "" || next[0] >= utf8.RuneSelf || !punctuation(rune(next[0])) {
		return 1
	}
	l.add(2, Span{Text: next[:1]})
	return 2
}

// code reads a run of backticks, and the code that it opens, if there is a second run of that length.
func (l *inline) code() int {
	if l.ticks == nil {
		l.ticks = map[int]int{}
		for i := 0; i < len(l.src); i++ {
			if n := run(l.src[i:], '`'); n > 0 {
				l.ticks[n] = i
				i += n
			}
		}
		l.steps += len(l.src)
	}
	n := run(l.src[l.at:], '`')
	if l.ticks[n] <= l.at {
		return n
	}
	end := l.at + n
	for {
		end += strings.IndexByte(l.src[end:], '`')
		m := run(l.src[end:], '`')
		if m == n {
			break
		}
		end += m
	}
	l.steps += end - l.at
	size := end + n - l.at
	mark, content := n, l.src[l.at+n:end]
	if len(content) > 2 && content[0] == ' ' && content[len(content)-1] == ' ' && strings.TrimSpace(content) != "" { // they set backticks off
		mark, content = n+1, content[1:len(content)-1]
	}
	start := l.at
	l.add(mark, Span{})
	l.at += mark
	l.add(len(content), Span{Style: Code, Text: content})
	l.at += len(content)
	l.add(mark, Span{})
	l.at = start
	return size
}

// run returns how often a text begins with a byte.
func run(s string, c byte) (n int) {
	for n < len(s) && s[n] == c {
		n++
	}
	return n
}

// delimiters reads a run of one character that may open and close styles (CommonMark 0.31, section 6.2).
func (l *inline) delimiters(c byte) int {
	n := run(l.src[l.at:], c)
	l.steps += n
	if n > 3 || c == '~' && n != 2 {
		return n
	}
	open, shut := l.flanks(c, n)
	start, list := l.at, []string{l.src[l.at : l.at+n]}
	if n == 3 {
		list = []string{l.src[l.at : l.at+2], l.src[l.at : l.at+1]}
	}
	for _, d := range list {
		i := l.add(len(d), Span{Text: d})
		l.at += len(d)
		if shut && l.shut(d, i) || !open {
			continue
		}
		for k, o := range l.opened { // of two that are open the nearer one counts
			if o.text == d {
				l.opened = append(l.opened[:k], l.opened[k+1:]...)
				break
			}
		}
		l.opened = append(l.opened, delimiter{d, i, start})
	}
	l.at = start
	return n
}

// shut ends the style that a delimiter opened, if one did. What was opened since, and is not ended, opens nothing.
func (l *inline) shut(d string, span int) bool {
	for k, o := range l.opened {
		if o.text != d || o.span+1 == span {
			continue
		}
		for i := o.span + 1; i < span; i++ {
			l.spans[i].Style |= styles[d]
		}
		l.steps += span - o.span
		l.spans[o.span].Text, l.spans[span].Text = "", ""
		kept := l.opened[:k]
		for _, later := range l.opened[k+1:] {
			if later.run == o.run {
				kept = append(kept, later)
			}
		}
		l.opened = kept
		return true
	}
	return false
}

// flanks reports whether a run of n may open a style, and whether it may end one.
func (l *inline) flanks(c byte, n int) (open, shut bool) {
	before, after := ' ', ' '
	if l.at > 0 {
		before, _ = utf8.DecodeLastRuneInString(l.src[:l.at])
	}
	if l.at+n < len(l.src) {
		after, _ = utf8.DecodeRuneInString(l.src[l.at+n:])
	}
	left := after != ' ' && (!punctuation(after) || before == ' ' || punctuation(before))
	right := before != ' ' && (!punctuation(before) || after == ' ' || punctuation(after))
	if c != '_' {
		return left, right
	}
	return left && (!right || punctuation(before)), right && (!left || punctuation(after))
}

func punctuation(r rune) bool { return unicode.IsPunct(r) || unicode.IsSymbol(r) }

// word reports whether what stands before goes on: no address and no mention begins within a word.
func (l *inline) word() bool {
	r, _ := utf8.DecodeLastRuneInString(l.src[:l.at])
	return l.at > 0 && (unicode.IsLetter(r) || unicode.IsNumber(r))
}

// mention reads the name of a user.
func (l *inline) mention() int {
	if l.word() || l.at > 0 && strings.IndexByte("@._-/", l.src[l.at-1]) >= 0 {
		return 1
	}
	name := nameIn(l.src[l.at+1:])
	if domain, ok := strings.CutPrefix(l.src[l.at+1+len(name):], "@"); ok && name != "" {
		if d := nameIn(domain); d != "" {
			name = l.src[l.at+1 : l.at+2+len(name)+len(d)]
		}
	}
	l.steps += len(name)
	name = strings.TrimRight(name, ".-")
	if name == "" || len(name) > 320 {
		return 1 + len(name)
	}
	l.add(1+len(name), Span{Kind: Mention, Text: "@" + name, Target: name})
	return 1 + len(name)
}

// nameIn returns what a text begins with that may be a name.
func nameIn(s string) string {
	end := strings.IndexFunc(s, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsNumber(r) && !unicode.IsMark(r) && !strings.ContainsRune("._-", r)
	})
	if end < 0 {
		end = len(s)
	}
	return s[:end]
}
