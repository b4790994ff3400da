package markdown

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/bidi"
)

// bracket reads what may open a link, or an image.
func (l *inline) bracket(n int) int {
	l.brackets = append(l.brackets, l.add(n, Span{Text: l.src[l.at : l.at+n]}))
	return n
}

// link reads what may end the text of a link, and where it leads. A link has no link in it.
func (l *inline) link() int {
	if len(l.brackets) == 0 {
		return 1
	}
	open := l.brackets[len(l.brackets)-1]
	l.brackets = l.brackets[:len(l.brackets)-1]
	raw := l.destination()
	target, ok := Target(raw)
	if !ok {
		return 1
	}
	l.flush(l.at)
	var shown strings.Builder
	for i := range l.spans[open+1:] {
		s := &l.spans[open+1+i]
		if s.Source == "" {
			s.Text = ""
		}
		s.Kind, s.Target = Link, target
		shown.WriteString(s.Text)
		l.steps += len(s.Text) + 1
	}
	l.brackets = l.brackets[:0]
	l.spans[open].Text = ""
	n := len("](") + len(raw) + len(")")
	switch told := " <" + target + ">"; {
	case raw != target:
		l.add(n, Span{})
		l.spans = append(l.spans, Span{Kind: Link, Text: told, Target: target})
	case same(shown.String(), target):
		l.add(n, Span{})
	default:
		l.add(n, Span{Kind: Link, Text: told, Target: target})
	}
	return n
}

// destination returns what stands in parentheses after a bracket, empty where nothing does.
func (l *inline) destination() string {
	rest, ok := strings.CutPrefix(l.src[l.at:], "](")
	if !ok {
		return ""
	}
	end, depth := address(rest, func(c byte, depth int) bool { return c == ')' && depth == 0 })
	l.steps += end
	if end > MaxTarget || depth != 0 || end == len(rest) || rest[end] != ')' {
		return ""
	}
	return rest[:end]
}

// address returns where an address ends that a text begins with: before what no address has, or where stop says so, and how many
// parentheses are open there. Square brackets only stand around a host that is a number.
func address(s string, stop func(c byte, depth int) bool) (end, depth int) {
	host := false
	for ; end < len(s); end++ {
		c := s[end]
		switch {
		case strings.IndexByte(" \n<>\"`", c) >= 0 || stop != nil && stop(c, depth):
			return end, depth
		case c == '[' && end < 16 && strings.HasSuffix(s[:end], "//"):
			host = true
		case c == ']' && host:
			host = false
		case c == '[' || c == ']':
			return end, depth
		case c == '(':
			depth++
		case c == ')':
			depth--
		}
	}
	return end, depth
}

// angled reads an address between < and >.
func (l *inline) angled() int {
	rest := l.src[l.at+1:]
	if scheme(rest) == "" {
		return 1
	}
	end, _ := address(rest, nil)
	l.steps += end
	if end == len(rest) || rest[end] != '>' {
		return 1
	}
	target, ok := Target(rest[:end])
	if !ok {
		return 1
	}
	start := l.at
	l.add(1, Span{})
	l.at++
	l.plainLink(end, target)
	l.at += end
	l.add(1, Span{})
	l.at = start
	return end + 2
}

// bare reads an address that stands in the text.
func (l *inline) bare() int {
	rest := l.src[l.at:]
	if l.word() || scheme(rest) == "" {
		return 1
	}
	end, depth := address(rest, nil)
	l.steps += end
	for end > 0 { // a sentence goes on after an address
		r, n := utf8.DecodeLastRuneInString(rest[:end])
		l.steps++
		if r == ')' && depth < 0 {
			depth++
		} else if !strings.ContainsRune(".,:;!?'*_~", r) && (r < utf8.RuneSelf || !unicode.IsPunct(r)) {
			break
		}
		end -= n
	}
	if target, ok := Target(rest[:end]); ok {
		l.plainLink(end, target)
	}
	return end
}

// plainLink makes the next bytes a link to what they say.
func (l *inline) plainLink(n int, target string) {
	text := l.src[l.at : l.at+n]
	l.add(n, Span{Kind: Link, Text: text, Target: target})
	if !same(text, target) {
		l.spans = append(l.spans, Span{Kind: Link, Text: " <" + target + ">", Target: target})
	}
}

// same reports whether a text that is shown says where a link leads.
func same(text, target string) bool {
	if strings.IndexFunc(text, func(r rune) bool { return r >= utf8.RuneSelf }) >= 0 && text != target {
		return false
	}
	own, ok := Target(text)
	return ok && own == target
}

// scheme returns that of an address that a text begins with, if it is one to which links may lead.
func scheme(s string) string {
	for _, scheme := range []string{"http", "https", "mailto", "qpq"} {
		if n := len(scheme); len(s) > n && s[n] == ':' && strings.EqualFold(s[:n], scheme) && strings.ToLower(s[:n]) == scheme {
			return scheme
		}
	}
	return ""
}

// hosts maps names of hosts to ASCII (RFC 5891, with the mapping of UTS 46).
var hosts = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(true), idna.BidiRule(), idna.VerifyDNSLength(true))

// Target returns what a link leads to in the form in which it is shown: with a host in ASCII, and nothing that hides another one. It fails
// for what no link leads to: other schemes than http, https, mailto and qpq, addresses with a name or password in them, and what is no address.
func Target(raw string) (target string, ok bool) {
	s := scheme(raw)
	if s == "" || len(raw) > MaxTarget || strings.ContainsAny(raw, "\\ \n<>\"`") || clean(raw) != raw {
		return "", false
	}
	rest := raw[len(s)+1:]
	after, authority := strings.CutPrefix(rest, "//")
	switch {
	case s == "mailto":
		target, ok = mailbox(rest)
	case authority:
		target, ok = location(after)
		target = "//" + target
	case s == "qpq":
		target, ok = escaped(rest), rest != ""
	}
	target = s + ":" + target
	return target, ok && len(target) <= MaxTarget
}

// location returns a host, its port and what follows.
func location(s string) (string, bool) {
	host, rest := s, ""
	if i := strings.IndexAny(s, "/?#"); i >= 0 {
		host, rest = s[:i], s[i:]
	}
	port := ""
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host, port = host[:i], host[i+1:]
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || port[0] == '0' || port[0] == '+' {
			return "", false
		}
		port = ":" + port
	}
	if number, ok := strings.CutPrefix(host, "["); ok {
		number, ok = strings.CutSuffix(number, "]")
		a, err := netip.ParseAddr(number)
		if !ok || err != nil || !a.Is6() || a.Zone() != "" {
			return "", false
		}
		return "[" + a.String() + "]" + port + escaped(rest), true
	}
	host, err := hosts.ToASCII(host)
	return host + port + escaped(rest), err == nil && host != ""
}

// mailbox returns an address of mail, and what is to be in the mail.
func mailbox(s string) (string, bool) {
	rest := ""
	if i := strings.IndexByte(s, '?'); i >= 0 {
		s, rest = s[:i], s[i:]
	}
	local, domain, ok := strings.Cut(s, "@")
	if !ok || local == "" || strings.Trim(local, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$&'*+-/=^_{|}~.%") != "" {
		return "", false
	}
	domain, err := hosts.ToASCII(domain)
	return escaped(local) + "@" + domain + escaped(rest), err == nil && domain != ""
}

// escaped returns a part of an address in which letters are themselves, but for those that are written from right to left: no address is
// shown in another order than it is read.
func escaped(s string) string {
	var b strings.Builder
	for _, r := range s {
		p, _ := bidi.LookupRune(r)
		switch class := p.Class(); {
		case r < utf8.RuneSelf && strings.ContainsRune(`"<>\^{|}`+"`", r),
			r >= utf8.RuneSelf && (!unicode.IsLetter(r) && !unicode.IsNumber(r) || class == bidi.R || class == bidi.AL || class == bidi.AN):
			for _, c := range []byte(string(r)) {
				fmt.Fprintf(&b, "%%%02X", c)
			}
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
