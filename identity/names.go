// Package identity says who somebody is, and proves it without trusting a server: names, the account
// key and the device keys, device certificates, the chain of account states, the vault that carries
// secrets between a person's devices, and the codes people read to each other.
//
// Everything that others hand in is parsed strictly: one encoding per value, bounded, never a panic.
package identity

import (
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/secure/precis"

	"github.com/quicproquo/qpq"
)

// Bounds of a user id in normal form, in bytes.
const (
	MaxName   = 64
	MaxDomain = 253
)

// maxInput bounds what is looked at: mapping may shorten a name, but not by more.
const maxInput = 1024

// ParseUser reads name@domain and returns it in normal form. All spellings with the same normal form
// name the same user. It fails with qpq.Invalid.
func ParseUser(s string) (qpq.UserID, error) {
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return qpq.UserID{}, badUser("bad-user", s, "a user is written name@domain")
	}
	name, err := NormaliseName(s[:at])
	if err != nil {
		return qpq.UserID{}, err
	}
	domain, err := NormaliseDomain(s[at+1:])
	if err != nil {
		return qpq.UserID{}, err
	}
	return qpq.UserID{Name: name, Domain: domain}, nil
}

// NormaliseName returns a user name in normal form: PRECIS UsernameCaseMapped (RFC 8265, section 3.3),
// which maps case, width and composition, narrowed to letters, marks, digits and single . _ - between
// them, in one script, and without names of another script that look like Latin ones. What is not
// caught: look-alikes within one script (rn and m, 1 and l, ı and i). It fails with qpq.Invalid.
func NormaliseName(s string) (string, error) {
	if plainName(s) {
		return s, nil
	}
	return normaliseName(s)
}

// plainName reports whether s is in normal form already, for the names that most people have.
func plainName(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return s != "" && len(s) <= MaxName
}

func normaliseName(s string) (string, error) {
	if len(s) > maxInput || !utf8.ValidString(s) {
		return "", badUser("bad-name", s, "it is too long or no UTF-8")
	}
	name, err := mapName(s)
	if err != nil {
		return "", badUser("bad-name", s, "it has characters that no name may have")
	}
	if name == "" || len(name) > MaxName {
		return "", badUser("bad-name", s, fmt.Sprintf("it takes 1 to %d bytes", MaxName))
	}
	if err := checkCharacters(name); err != nil {
		return "", badUser("bad-name", s, err.Error())
	}
	if err := checkScripts(name); err != nil {
		return "", badUser("bad-name", s, err.Error())
	}
	return name, nil
}

// mapName applies the profile until nothing changes: for some input once is not enough (RFC 8264, section 7).
func mapName(s string) (string, error) {
	for range 4 {
		mapped, err := precis.UsernameCaseMapped.String(s)
		if err != nil {
			return "", err
		}
		if mapped == s {
			return s, nil
		}
		s = mapped
	}
	return "", fmt.Errorf("the name has no normal form")
}

var domains = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.StrictDomainName(true),
	idna.VerifyDNSLength(true), idna.CheckHyphens(true), idna.CheckJoiners(true), idna.Transitional(false))

// NormaliseDomain returns a server's domain in normal form: IDNA A-labels in lower case (UTS 46,
// nontransitional), or an address, IPv6 in brackets. It fails with qpq.Invalid.
func NormaliseDomain(s string) (string, error) {
	if plainDomain(s) {
		return s, nil
	}
	return normaliseDomain(s)
}

// plainDomain reports whether s is in normal form already, for domains of small letters and dots.
func plainDomain(s string) bool {
	label := 0
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z':
			label++
		case c == '.' && label > 0:
			label = 0
		default:
			return false
		}
		if label > 63 {
			return false
		}
	}
	return label > 0 && len(s) <= MaxDomain
}

func normaliseDomain(s string) (string, error) {
	if len(s) > maxInput || !utf8.ValidString(s) {
		return "", badUser("bad-domain", s, "it is too long or no UTF-8")
	}
	if v6, ok := strings.CutPrefix(s, "["); ok {
		addr, err := netip.ParseAddr(strings.TrimSuffix(v6, "]"))
		if err != nil || !addr.Is6() || addr.Zone() != "" || !strings.HasSuffix(v6, "]") {
			return "", badUser("bad-domain", s, "it is no IPv6 address in brackets")
		}
		return "[" + addr.String() + "]", nil
	}
	domain, err := domains.ToASCII(s)
	if err != nil || domain == "" || len(domain) > MaxDomain {
		return "", badUser("bad-domain", s, "it is no domain name")
	}
	domain = strings.ToLower(domain)
	if again, err := domains.ToASCII(domain); err != nil || again != domain {
		return "", badUser("bad-domain", s, "it has no normal form")
	}
	last := domain[strings.LastIndexByte(domain, '.')+1:]
	if strings.Trim(last, "0123456789") != "" {
		return domain, nil
	}
	addr, err := netip.ParseAddr(domain)
	if err != nil {
		return "", badUser("bad-domain", s, "it ends in a number and is no IPv4 address")
	}
	return addr.String(), nil
}

func badUser(code, s, why string) error {
	if len(s) > 80 {
		s = s[:80] + "…"
	}
	return qpq.E(qpq.Invalid, code, fmt.Sprintf("%q cannot be used: %s", s, why))
}
