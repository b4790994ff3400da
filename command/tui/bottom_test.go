package tui

import (
	"strings"
	"testing"

	"github.com/quicproquo/qpq"
)

// TestNothingOfASentenceIsLost: what is longer than the line at the bottom has more of them, and hints leave out what matters less.
func TestNothingOfASentenceIsLost(t *testing.T) {
	m := screenOf(t, 80, 24, bob)
	m.report(qpq.E(qpq.NotFound, "channel-unknown", `there is no conversation "nobody" here: list shows those that there are, dm begins one with a user`))
	m.shows(t, `there is no conversation "nobody" here: list shows those that`, "dm begins one with a user")
	if rows, _, _ := m.screen(); len(rows) != 24 {
		t.Errorf("the screen has %d rows", len(rows))
	}
	m.report(qpq.E(qpq.Invalid, "long", strings.Repeat("much is wrong ", 100)))
	if rows, _, _ := m.screen(); len(rows) != 24 {
		t.Errorf("with a very long sentence the screen has %d rows", len(rows))
	}
	m.shows(t, "…")
	for width, want := range map[int]string{80: "Enter sends · Tab completes · Esc messages · F1 keys", 40: "Enter sends · Tab completes · F1 keys", 30: "Enter sends · F1 keys"} {
		if got := hinted("Enter sends · Tab completes · Esc messages · F1 keys", width); got != want {
			t.Errorf("in %d columns: %s", width, got)
		}
	}
}
