package playbook

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/quicproquo/qpq"
)

// Text is a text in which ${name} stands for a variable, and $${ for what begins so and is meant as it is.
type Text struct {
	At    Position
	parts []part
	given bool
}

// part is a piece of a Text: what is written, or a variable.
type part struct{ literal, variable string }

// nameLetters is what names of variables are made of.
const nameLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-."

// parseText returns the parts of a text, or what is wrong with it.
func parseText(s string) (parts []part, wrong string) {
	literal := strings.Builder{}
	for s != "" {
		i := strings.Index(s, "${")
		if i < 0 {
			literal.WriteString(s)
			break
		}
		if i > 0 && s[i-1] == '$' {
			literal.WriteString(s[:i-1] + "${")
			s = s[i+2:]
			continue
		}
		literal.WriteString(s[:i])
		name, rest, ok := strings.Cut(s[i+2:], "}")
		switch {
		case !ok:
			return nil, "${ is not closed: write ${name}, or $${ where it is meant as it is"
		case name == "" || strings.Trim(name, nameLetters) != "":
			return nil, fmt.Sprintf("%q is no name of a variable: it takes letters, digits, _ and -", name)
		}
		if literal.Len() > 0 {
			parts = append(parts, part{literal: literal.String()})
			literal.Reset()
		}
		parts = append(parts, part{variable: name})
		s = rest
	}
	if literal.Len() > 0 {
		parts = append(parts, part{literal: literal.String()})
	}
	return parts, ""
}

func (t *Text) take(n *node) (wrong string) {
	if n.value == nil || n.keys != nil || n.items != nil {
		return "it is " + n.what() + ": write a text"
	}
	t.At, t.given = n.at, true
	t.parts, wrong = parseText(n.text)
	return wrong
}

func (*Text) form() (map[string]any, string) {
	return map[string]any{"type": []string{"string", "number", "boolean"}}, "text"
}

func (t *Text) uses() (names []string) {
	for _, p := range t.parts {
		if p.variable != "" {
			names = append(names, p.variable)
		}
	}
	return names
}

// source returns the text as it is written.
func (t *Text) source() string {
	var b strings.Builder
	for _, p := range t.parts {
		if p.variable != "" {
			b.WriteString("${" + p.variable + "}")
		} else {
			b.WriteString(p.literal)
		}
	}
	return b.String()
}

// value returns the text with the values of its variables. Where it is a variable and nothing else, the value keeps its type.
func (t *Text) value(s *scope) (any, error) {
	if len(t.parts) == 1 && t.parts[0].variable != "" {
		return s.lookUp(t.parts[0].variable)
	}
	var b strings.Builder
	for _, p := range t.parts {
		b.WriteString(p.literal)
		if p.variable != "" {
			v, err := s.lookUp(p.variable)
			if err != nil {
				return nil, err
			}
			b.WriteString(textOf(v))
		}
		if b.Len() > maxFilled {
			return nil, errLargeValue(maxFilled)
		}
	}
	return b.String(), nil
}

// text is value as a text.
func (t *Text) text(s *scope) (string, error) {
	v, err := t.value(s)
	return textOf(v), err
}

// Value is any value, in whose texts variables stand.
type Value struct {
	At   Position
	tree any // of map[string]any, []any, *Text and scalars
}

func (v *Value) take(n *node) (wrong string) {
	v.At = n.at
	v.tree, wrong = template(n.plain(), n.at)
	return wrong
}

func (*Value) form() (map[string]any, string) { return map[string]any{}, "any value" }

func (v *Value) uses() []string { return usesOf(v.tree) }

// template returns a value whose texts are Texts.
func template(v any, at Position) (_ any, wrong string) {
	switch v := v.(type) {
	case string:
		t := &Text{At: at, given: true}
		t.parts, wrong = parseText(v)
		return t, wrong
	case []any:
		list := make([]any, len(v))
		for i := range v {
			if list[i], wrong = template(v[i], at); wrong != "" {
				return nil, wrong
			}
		}
		return list, ""
	case map[string]any:
		m := map[string]any{}
		for k := range v {
			if m[k], wrong = template(v[k], at); wrong != "" {
				return nil, wrong
			}
		}
		return m, ""
	}
	return v, ""
}

func usesOf(tree any) (names []string) {
	switch v := tree.(type) {
	case *Text:
		return v.uses()
	case *Value:
		return v.uses()
	case []any:
		for i := range v {
			names = append(names, usesOf(v[i])...)
		}
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			names = append(names, usesOf(v[k])...)
		}
	}
	return names
}

// Bounds of values with those of their variables in them, in bytes.
const (
	maxFilled = 1 << 20   // of a text that is made of several parts
	maxValue  = 16 << 20  // of one, nearly as JSON has it
	maxValues = 256 << 20 // of all variables at a time
)

func errLargeValue(most int) error {
	return qpq.E(qpq.TooLarge, "usage", fmt.Sprintf("the value would have more than %d bytes: what a variable is made of has itself in it, perhaps", most))
}

// fill returns a value with those of its variables. It fails where that is too large.
func fill(tree any, s *scope) (any, error) {
	v, err := fillIn(tree, s)
	if err == nil && sized(v, maxValue) < 0 {
		return nil, errLargeValue(maxValue)
	}
	return v, err
}

// sized returns what a value leaves of a number of bytes, less than 0 where it is larger. What is in it several times counts as often.
func sized(v any, room int) int {
	room -= 2
	switch v := v.(type) {
	case string:
		return room - len(v)
	case []any:
		for i := 0; i < len(v) && room >= 0; i++ {
			room = sized(v[i], room)
		}
	case map[string]any:
		for k := range v {
			if room -= len(k) + 2; room < 0 {
				return room
			}
			room = sized(v[k], room)
		}
	}
	return room
}

// fillIn is fill without a bound.
func fillIn(tree any, s *scope) (_ any, err error) {
	switch v := tree.(type) {
	case *Text:
		return v.value(s)
	case []any:
		list := make([]any, len(v))
		for i := range v {
			if list[i], err = fillIn(v[i], s); err != nil {
				return nil, err
			}
		}
		return list, nil
	case map[string]any:
		m := map[string]any{}
		for k := range v {
			if m[k], err = fillIn(v[k], s); err != nil {
				return nil, err
			}
		}
		return m, nil
	}
	return tree, nil
}

// textOf returns a value as it stands in a text.
func textOf(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case int64, bool, int:
		return fmt.Sprint(v)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

// variables are those of a whole run.
type variables struct {
	mu      sync.Mutex
	values  map[string]any
	sizes   map[string]int // of values, as sized counts
	sum     int            // of all sizes, those of iterations that go on too
	secrets []secret
	changed chan struct{} // closed when a value was set
}

// secret is a text that is never shown.
type secret struct{ text, name string }

// minSecret is how short a secret may be, in bytes: what is shorter stands in texts that are none.
const minSecret = 4

// conceal has a value never be shown from now on.
func (v *variables) conceal(name, text string) error {
	if len(text) < minSecret {
		return qpq.E(qpq.Invalid, "usage", fmt.Sprintf("the secret %s is shorter than %d bytes: it could not be kept out of what is shown", name, minSecret))
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	add := func(text string) {
		if !slices.Contains(v.secrets, secret{text, name}) {
			v.secrets = append(v.secrets, secret{text, name})
		}
	}
	add(text)
	if q := strconv.Quote(text); q[1:len(q)-1] != text {
		add(q[1 : len(q)-1])
	}
	slices.SortStableFunc(v.secrets, func(a, b secret) int { return len(b.text) - len(a.text) }) // one may be part of another
	return nil
}

// redact returns a text without secrets.
func (v *variables) redact(text string) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, s := range v.secrets {
		text = strings.ReplaceAll(text, s.text, "["+s.name+"]")
	}
	return text
}

func newVariables() *variables {
	return &variables{values: map[string]any{}, sizes: map[string]int{}, changed: make(chan struct{})}
}

// scope is what a step sees: the variables of the run, and those of the iterations that it is within.
type scope struct {
	all    *variables
	parent *scope
	local  map[string]any
	sizes  map[string]int // of what was set in it
}

// within returns a scope with variables of an iteration. leave is to be called when that ends.
func (s *scope) within(local map[string]any) *scope { return &scope{s.all, s, local, map[string]int{}} }

func (s *scope) leave() {
	s.all.mu.Lock()
	defer s.all.mu.Unlock()
	for _, n := range s.sizes {
		s.all.sum -= n
	}
}

func (s *scope) lookUp(name string) (any, error) {
	s.all.mu.Lock()
	defer s.all.mu.Unlock()
	for at := s; at != nil; at = at.parent {
		if v, ok := at.local[name]; ok {
			return v, nil
		}
	}
	if v, ok := s.all.values[name]; ok {
		return v, nil
	}
	return nil, qpq.E(qpq.NotFound, "no-value", fmt.Sprintf("the variable %s has no value yet: the step that sets it comes later, or was not done", name))
}

// set sets a variable, for the iteration that goes on and for what comes after it. It fails where all of them together would be too large.
func (s *scope) set(name string, v any) error {
	size := len(name) + maxValues - sized(v, maxValues)
	s.all.mu.Lock()
	defer s.all.mu.Unlock()
	held := []*scope{{local: s.all.values, sizes: s.all.sizes}} // who keeps it
	for at := s; at != nil; at = at.parent {
		if at.local != nil {
			held = append(held, at)
		}
	}
	sum := s.all.sum
	for _, at := range held {
		sum += size - at.sizes[name]
	}
	if sum > maxValues {
		return qpq.E(qpq.TooLarge, "usage", fmt.Sprintf("all variables would have more than %d bytes: keep less in %s, or in others", maxValues, name))
	}
	s.all.sum = sum
	for _, at := range held {
		at.local[name], at.sizes[name] = v, size
	}
	close(s.all.changed)
	s.all.changed = make(chan struct{})
	return nil
}

// news returns a channel that is closed when a variable is set after the call.
func (v *variables) news() <-chan struct{} {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.changed
}
