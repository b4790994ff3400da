package identity

import (
	"errors"
	"strings"
	"unicode"
)

// checkCharacters narrows PRECIS's IdentifierClass to what reads well in an address.
func checkCharacters(name string) error {
	separator := true // none at the start, none after another, none at the end
	for _, r := range name {
		switch {
		case strings.ContainsRune("._-", r):
			if separator {
				return errors.New("the characters . _ - stand only between others")
			}
			separator = true
			continue
		case !unicode.In(r, unicode.L, unicode.M, unicode.Nd):
			return errors.New("only letters, digits and . _ - are allowed")
		}
		separator = false
	}
	if separator {
		return errors.New("the characters . _ - stand only between others")
	}
	return nil
}

// A writing is a set of scripts that one name may mix (UTS 39, section 5.2, "highly restrictive", but
// without Latin in the East Asian ones).
var writings = [][]string{
	{"Han", "Hiragana", "Katakana"},
	{"Han", "Bopomofo"},
	{"Han", "Hangul"},
}

// checkScripts refuses names that mix scripts or digits of several, that put loose marks on letters
// of scripts which have composed ones, or that could be read as a Latin name.
func checkScripts(name string) error {
	scripts := map[string]bool{}
	digits := map[rune]bool{}
	loose := false
	for _, r := range name {
		switch {
		case unicode.Is(unicode.Nd, r):
			digits[zeroOf(r)] = true
		case unicode.Is(unicode.M, r):
			loose = true
		case unicode.IsLetter(r):
			scripts[scriptOf(r)] = true
		}
	}
	delete(scripts, "Common")
	switch {
	case len(digits) > 1:
		return errors.New("it mixes digits of several scripts")
	case len(scripts) > 1 && !oneWriting(scripts):
		return errors.New("it mixes scripts, which could pass for another name")
	case loose && (len(scripts) == 0 || scripts["Latin"] || scripts["Cyrillic"] || scripts["Greek"] || scripts["Armenian"]):
		return errors.New("it has marks that no letter takes, which could pass for another name")
	case looksLatin(name):
		return errors.New("all its letters look like Latin ones, which could pass for another name")
	}
	return nil
}

// zeroOf returns the digit zero of r's set: the ranges of Nd are made of runs of ten (Unicode, section 4.6).
func zeroOf(r rune) rune {
	for _, x := range unicode.Nd.R16 {
		if lo := rune(x.Lo); lo <= r && r <= rune(x.Hi) {
			return lo + (r-lo)/10*10
		}
	}
	for _, x := range unicode.Nd.R32 {
		if lo := rune(x.Lo); lo <= r && r <= rune(x.Hi) {
			return lo + (r-lo)/10*10
		}
	}
	return r
}

func scriptOf(r rune) string {
	for name, table := range unicode.Scripts {
		if unicode.Is(table, r) {
			return name
		}
	}
	return "unknown"
}

func oneWriting(scripts map[string]bool) bool {
	for _, writing := range writings {
		n := 0
		for _, s := range writing {
			if scripts[s] {
				n++
			}
		}
		if n == len(scripts) {
			return true
		}
	}
	return false
}

// latinLike are the small letters of other scripts that most typefaces draw like Latin ones (from the
// confusables of UTS 39, by eye): Cyrillic, Greek, Armenian, Cherokee.
const latinLike = "асԁеһіјӏорԛѕухԝѵ" + "αικνορυ" + "հոսօցյ" + "ꭺꭼꮁꮃꮐꮓꮪꭺꮯ"

// looksLatin reports whether name has letters, none of them Latin, and all of them look as if.
func looksLatin(name string) bool {
	letters := false
	for _, r := range name {
		if !unicode.IsLetter(r) {
			continue
		}
		if !strings.ContainsRune(latinLike, r) {
			return false
		}
		letters = true
	}
	return letters
}
