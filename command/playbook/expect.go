package playbook

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/quicproquo/qpq"
)

// CodeExpectation is the code of the error of a run in which something was not as a step expects.
const CodeExpectation = "expectation"

// result is what a command gave.
type result struct {
	value any // as JSON has it: its parts as a list where it gave parts
	text  string
	shown map[string]any
	err   error
}

// unmet is an expectation that does not hold.
func unmet(format string, args ...any) error {
	return qpq.E(qpq.Conflict, CodeExpectation, fmt.Sprintf(format, args...))
}

// meets returns nil if all of what is expected of a result is so. A command that fails, and from which nothing else is expected, fails.
func meets(checks []Check, r *result, s *scope) error {
	failing := slices.ContainsFunc(checks, func(c Check) bool { return c.Fails != nil })
	if r.err != nil && !failing {
		return r.err
	}
	for i := range checks {
		if err := checks[i].holds(r, s); err != nil {
			return err
		}
	}
	return nil
}

func (c *Check) holds(r *result, s *scope) error {
	if c.Fails != nil {
		return c.fails(r, s)
	}
	found, err := c.Path.find(r, s)
	if err != nil {
		return err
	}
	is := func(what string) error {
		return unmet("expected %s %s, and it is %s", c.Path.String(), what, shorten(found))
	}
	for _, v := range []struct {
		want *Value
		says string
		met  func(found, want any) bool
	}{{c.Equals, "to be", same}, {c.Differs, "not to be", func(a, b any) bool { return !same(a, b) }},
		{c.Contains, "to contain", contains}, {c.Lacks, "not to contain", func(a, b any) bool { return !contains(a, b) }}} {
		if v.want == nil {
			continue
		}
		want, err := fill(v.want.tree, s)
		if err != nil {
			return err
		}
		if !v.met(found, want) {
			return is(v.says + " " + shorten(want))
		}
	}
	if re, err := c.Matches.value(s); err != nil {
		return err
	} else if re != nil && !fits(re, found) {
		return is("to match " + re.String())
	}
	return c.counts(found, is, s)
}

// counts checks what is expected of numbers.
func (c *Check) counts(found any, is func(string) error, s *scope) error {
	for _, n := range []struct {
		want *Number
		says string
		met  func(found, want float64) bool
		size bool
	}{{&c.Count, "to have %d", func(a, b float64) bool { return a == b }, true},
		{&c.AtLeast, "to be at least %d", func(a, b float64) bool { return a >= b }, false},
		{&c.AtMost, "to be at most %d", func(a, b float64) bool { return a <= b }, false}} {
		if !n.want.given {
			continue
		}
		want, err := n.want.value(s, 0)
		if err != nil {
			return err
		}
		size, ok := sizeOf(found, n.size)
		if !ok || !n.met(size, float64(want)) {
			return is(fmt.Sprintf(n.says, want))
		}
	}
	return nil
}

// fails checks that a command failed as is expected.
func (c *Check) fails(r *result, s *scope) error {
	want, err := c.Fails.text(s)
	if err != nil {
		return err
	}
	switch {
	case r.err == nil:
		return unmet("expected it to fail with %q, and it did not fail", want)
	case qpq.CodeOf(r.err) != want && qpq.KindOf(r.err).String() != want:
		return unmet("expected it to fail with %q, and it failed with %q (%s): %v", want, qpq.CodeOf(r.err), qpq.KindOf(r.err), r.err)
	}
	return nil
}

// String returns the path as it is written.
func (p *Path) String() string {
	if p.raw == "" {
		return "the result"
	}
	return p.raw
}

// same compares values. A text that stands for a number or a truth value is the same as that.
func same(a, b any) bool {
	_, aText := a.(string)
	_, bText := b.(string)
	if aText != bText && a != nil && b != nil {
		return scalarText(a) && scalarText(b) && textOf(a) == textOf(b)
	}
	return reflect.DeepEqual(normal(a), normal(b))
}

func scalarText(v any) bool {
	switch v.(type) {
	case []any, map[string]any:
		return false
	}
	return true
}

// normal returns a value in which numbers that are equal are of one type.
func normal(v any) any {
	switch v := v.(type) {
	case int64:
		return float64(v)
	case int:
		return float64(v)
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = normal(v[i])
		}
		return list
	case map[string]any:
		m := map[string]any{}
		for k := range v {
			m[k] = normal(v[k])
		}
		return m
	}
	return v
}

func contains(found, want any) bool {
	switch v := found.(type) {
	case string:
		return strings.Contains(v, textOf(want))
	case []any:
		return slices.ContainsFunc(v, func(item any) bool { return same(item, want) })
	case map[string]any:
		_, ok := v[textOf(want)]
		return ok
	}
	return false
}

func fits(re *regexp.Regexp, found any) bool {
	switch v := found.(type) {
	case nil:
		return false
	case []any:
		return slices.ContainsFunc(v, func(item any) bool { return re.MatchString(textOf(item)) })
	}
	return re.MatchString(textOf(found))
}

// sizeOf returns how many a list has, or a number itself unless only sizes count.
func sizeOf(v any, only bool) (float64, bool) {
	switch v := normal(v).(type) {
	case nil:
		return 0, true
	case []any:
		return float64(len(v)), true
	case map[string]any:
		return float64(len(v)), true
	case string:
		return float64(utf8.RuneCountInString(v)), only
	case float64:
		return v, !only
	}
	return 0, false
}

// maxShown bounds how much of a value errors show, in runes.
const maxShown = 300

// shorten returns a value as JSON has it, or the beginning of that.
func shorten(v any) string {
	if v == nil {
		return "nothing"
	}
	b := &strings.Builder{}
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "something else"
	}
	return cut(strings.TrimSpace(b.String()), maxShown)
}
