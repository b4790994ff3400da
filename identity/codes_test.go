package identity

import (
	"bytes"
	"strings"
	"testing"

	"github.com/quicproquo/qpq"
)

func TestCodes(t *testing.T) {
	r := &stream{name: "codes"}
	for range 50 {
		recovery, link := must(NewRecoveryCode(r)), must(NewLinkCode(r))
		for _, spelled := range []func(string) string{
			func(s string) string { return s }, strings.ToUpper,
			func(s string) string { return " " + strings.ReplaceAll(s, "-", " ") },
		} {
			if got, err := ParseRecoveryCode(spelled(recovery.Reveal())); err != nil || !got.Equal(recovery) {
				t.Fatalf("%s: %v", recovery.Reveal(), err)
			}
			if got, err := ParseLinkCode(spelled(link.Reveal())); err != nil || got.Rendezvous() != link.Rendezvous() {
				t.Fatalf("%s: %v", link.Reveal(), err)
			}
		}
	}
}

// TestMistyped tries every single wrong character and every swap of two.
func TestMistyped(t *testing.T) {
	r := &stream{name: "codes"}
	link, recovery := must(NewLinkCode(r)).Reveal(), must(NewRecoveryCode(r)).Reveal()
	if len(link) != 24 || len(recovery) != 34 {
		t.Errorf("%s and %s have other lengths", link, recovery)
	}
	for code, parse := range map[string]func(string) error{
		link:     func(s string) error { _, err := ParseLinkCode(s); return err },
		recovery: func(s string) error { _, err := ParseRecoveryCode(s); return err },
	} {
		for i := range code {
			for _, c := range codeAlphabet + "01lo" {
				wrong := code[:i] + string(c) + code[i+1:]
				if wrong != code && code[i] != '-' && parse(wrong) == nil {
					t.Fatalf("%s is taken for %s", wrong, code)
				}
			}
			for j := range i {
				b := []byte(code)
				b[i], b[j] = b[j], b[i]
				if code[i] != code[j] && code[i] != '-' && code[j] != '-' && parse(string(b)) == nil {
					t.Fatalf("%s is taken for %s", b, code)
				}
			}
		}
		wantKind(t, "short", parse(code[:len(code)-1]), qpq.Invalid, "bad-code")
	}
}

func TestLink(t *testing.T) {
	a := newAccount("alice")
	r := &stream{name: "link"}
	code := must(NewLinkCode(r))
	typed := must(ParseLinkCode(code.Reveal()))

	phone := newDevice("phone")
	request := a.request(phone)
	offer := must(typed.SealRequest(r, request))
	got := must(code.OpenRequest(alice, offer))
	if !bytes.Equal(got.Bytes(), request.Bytes()) {
		t.Fatal("another request came out")
	}
	v2 := must(a.state.Next(Change{Now: epoch, Key: a.key, Add: []*DeviceRequest{got}}))
	answer := must(code.SealAnswer(r, offer, v2))
	state := must(typed.OpenAnswer(offer, request, answer))
	if state.Hash() != v2.Hash() {
		t.Error("another state came out")
	}

	_, err := must(NewLinkCode(r)).OpenRequest(alice, offer)
	wantKind(t, "another code", err, qpq.Denied, "wrong-seal")
	_, err = code.OpenRequest(qpq.UserID{Name: "bob", Domain: "example.org"}, offer)
	wantKind(t, "another user", err, qpq.Invalid, "wrong-user")
	_, err = typed.OpenAnswer(must(typed.SealRequest(r, request)), request, answer)
	wantKind(t, "answer to another offer", err, qpq.Denied, "wrong-seal")
	_, err = typed.OpenAnswer(offer, request, must(code.SealAnswer(r, offer, a.state)))
	wantKind(t, "state without the device", err, qpq.Invalid, "bad-answer")
}
