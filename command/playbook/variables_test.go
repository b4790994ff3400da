package playbook_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/quicproquo/qpq"
)

// TestGrowingValues: a variable that is made of itself again and again does not take all the memory there is.
func TestGrowingValues(t *testing.T) {
	s := newServer(t)
	for _, value := range []string{`"${a}${a}"`, `["${a}", "${a}"]`, `{x: "${a}", y: {z: ["${a}"]}}`} {
		p := s.play(t.Context(), "growing", "users: {alice: }\nvars: {a: four}\nsteps:\n- {set: {a: "+value+"}, repeat: 64}\n", nil)
		if qpq.KindOf(p.err) != qpq.TooLarge || !strings.Contains(fmt.Sprint(p.err), "growing:4:3: ") {
			t.Errorf("%s: %v", value, p.err)
		}
	}
	p := s.play(t.Context(), "fits", "users: {alice: }\nvars: {a: four}\nsteps:\n- {set: {a: '${a}${a}'}, repeat: 18}\n- {set: {b: ['${a}', '${a}']}}\n", nil)
	if p.err != nil {
		t.Errorf("a mebibyte: %v", p.err)
	}
}

// TestManyValues: nor do many variables, each of which is not too large. What an iteration kept is free when it ends.
func TestManyValues(t *testing.T) {
	s := newServer(t)
	const begin = "users: {alice: }\nvars: {a: '0123456789abcdef'}\nsteps:\n- {set: {a: '${a}${a}'}, repeat: 16}\n- {set: {a: ['${a}', '${a}', '${a}', '${a}', '${a}', '${a}', '${a}', '${a}']}}\n"
	many := ""
	for i := range 40 {
		many += fmt.Sprintf("- {set: {b%d: '${a}'}}\n", i)
	}
	p := s.play(t.Context(), "many", begin+many, nil)
	if qpq.KindOf(p.err) != qpq.TooLarge || !strings.Contains(fmt.Sprint(p.err), "all variables") {
		t.Errorf("40 variables of 8 MiB: %v", p.err)
	}
	if p := s.play(t.Context(), "again", begin+"- {set: {b: '${a}'}, repeat: 100}\n- {parallel: [{set: {c: '${a}'}}], repeat: 100}\n", nil); p.err != nil {
		t.Errorf("one of them 200 times: %v", p.err)
	}
}
