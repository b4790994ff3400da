package search

import "strings"

// HasLink reports whether a text has the address of a page in it.
func HasLink(text string) bool {
	for _, scheme := range []string{"http://", "https://"} {
		for rest := text; ; {
			i := indexFold(rest, scheme)
			if i < 0 {
				break
			}
			if rest = rest[i+len(scheme):]; rest != "" && rest[0] > ' ' {
				return true
			}
		}
	}
	return false
}

// indexFold is strings.Index for a lower-case ASCII text that may stand there in upper case too.
func indexFold(s, sub string) int {
	for i := 0; i+len(sub) <= len(s); i++ {
		if c := s[i] | 0x20; c == sub[0] && strings.EqualFold(s[i:i+len(sub)], sub) {
			return i
		}
	}
	return -1
}
