package client_test

import (
	"testing"

	"github.com/quicproquo/qpq"
)

// TestTextsSaySomething: what is no text, and what says nothing, is refused in words before anything is queued.
func TestTextsSaySomething(t *testing.T) {
	alice, _, id := pair(t)
	for text, code := range map[string]string{"": "empty-message", " \t\n\u3000": "empty-message", "a\x00b": "no-text", "a\xffb": "no-text"} {
		if _, err := alice.SendText(t.Context(), id, text); qpq.CodeOf(err) != code || qpq.KindOf(err) != qpq.Invalid {
			t.Errorf("%q: %v, and not %s", text, err, code)
		}
	}
	if waiting := must(alice.Outbox()); len(waiting) != 0 {
		t.Errorf("%d messages wait", len(waiting))
	}
}
