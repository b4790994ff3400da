package identity

import (
	"strings"
	"testing"

	"github.com/quicproquo/qpq"
)

func TestParseUser(t *testing.T) {
	for in, want := range map[string]string{
		"alice@example.org":               "alice@example.org",
		"ALICE@Example.ORG":               "alice@example.org",
		"ａｌｉｃｅ@example.org":               "alice@example.org", // full width
		"zoe\u0308@example.org":           "zoë@example.org",   // composed
		"Ölaf@bücher.example":             "ölaf@xn--bcher-kva.example",
		"olaf@XN--BCHER-KVA.example":      "olaf@xn--bcher-kva.example",
		"a.b_c-9@localhost":               "a.b_c-9@localhost",
		"иван@example.org":                "иван@example.org",
		"ИВАН@example.org":                "иван@example.org",
		"山田たろう@example.org":               "山田たろう@example.org",
		"אבג@example.org":                 "אבג@example.org",
		"a@127.0.0.1":                     "a@127.0.0.1",
		"a@[2001:DB8:0::1]":               "a@[2001:db8::1]",
		"x@" + strings.Repeat("a", 63):    "x@" + strings.Repeat("a", 63),
		strings.Repeat("n", 64) + "@host": strings.Repeat("n", 64) + "@host",
	} {
		got, err := ParseUser(in)
		if err != nil || got.String() != want {
			t.Errorf("%q: got %q, %v; want %q", in, got, err, want)
		}
	}
}

func TestParseUserRefuses(t *testing.T) {
	for in, code := range map[string]string{
		"alice":                             "bad-user",
		"@example.org":                      "bad-name",
		"alice@":                            "bad-domain",
		"al ice@example.org":                "bad-name",
		"al@ice@example.org":                "bad-name",
		"a/b@example.org":                   "bad-name",
		".a@example.org":                    "bad-name",
		"a.@example.org":                    "bad-name",
		"a._b@example.org":                  "bad-name",
		"a\u200bb@example.org":              "bad-name", // zero-width space
		"a\u202eb@example.org":              "bad-name", // right-to-left override
		"a\x00b@example.org":                "bad-name",
		"\xff@example.org":                  "bad-name",
		"😀@example.org":                     "bad-name",
		"аlice@example.org":                 "bad-name", // Cyrillic а
		"сора@example.org":                  "bad-name", // all Cyrillic, reads "copa"
		"ορ@example.org":                    "bad-name", // Greek, reads "op"
		"a\u0323\u0323@host":                "bad-name", // loose marks
		"a1१@example.org":                   "bad-name", // two sets of digits
		"אa@example.org":                    "bad-name", // bidi rule
		"a@exa mple.org":                    "bad-domain",
		"a@-example.org":                    "bad-domain",
		"a@example..org":                    "bad-domain",
		"a@1.2.3":                           "bad-domain",
		"a@01.2.3.4":                        "bad-domain",
		"a@[::1":                            "bad-domain",
		"a@[::1%eth0]":                      "bad-domain",
		"a@[127.0.0.1]":                     "bad-domain",
		"a@example.org:4433":                "bad-domain",
		"a@" + strings.Repeat("a", 64):      "bad-domain",
		strings.Repeat("n", 65) + "@host":   "bad-name",
		strings.Repeat("n", 2000) + "@host": "bad-name",
	} {
		_, err := ParseUser(in)
		wantKind(t, in, err, qpq.Invalid, code)
	}
}
