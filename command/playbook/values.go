package playbook

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/quicproquo/qpq"
)

// Bounds of what one playbook may do.
const (
	maxRepeat   = 100_000
	maxLoad     = 1_000_000 // beginnings of one step at a rate
	maxRate     = 10_000    // a second
	maxUsers    = 1_000
	maxDuration = 24 * time.Hour
)

// quantity is what Number, Duration and Rate have in common: a text that is read once its variables are known.
type quantity[T any] struct{ Text }

func (q *quantity[T]) takeAs(n *node, read func(string) (T, error)) string {
	if wrong := q.Text.take(n); wrong != "" {
		return wrong
	}
	if len(q.uses()) > 0 {
		return ""
	}
	if _, err := read(n.text); err != nil {
		return err.Error()
	}
	return ""
}

// of reads it; where it is not given it is other.
func (q *quantity[T]) of(s *scope, other T, read func(string) (T, error)) (T, error) {
	if !q.given {
		return other, nil
	}
	text, err := q.text(s)
	if err != nil {
		return other, err
	}
	v, err := read(text)
	if err != nil {
		return other, qpq.Wrap(qpq.Invalid, "usage", q.source()+": "+err.Error(), err)
	}
	return v, nil
}

// Number is a whole number that is not negative, or a variable that has one.
type Number struct{ quantity[int] }

func readNumber(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > 1<<40 {
		return 0, fmt.Errorf("%q is no number: write a whole one that is not negative", s)
	}
	return n, nil
}

func (q *Number) take(n *node) string { return q.takeAs(n, readNumber) }

func (q *Number) value(s *scope, other int) (int, error) { return q.of(s, other, readNumber) }

func (*Number) form() (map[string]any, string) {
	return map[string]any{"anyOf": []any{map[string]any{"type": "integer", "minimum": 0}, withVariable}}, "whole number"
}

// withVariable is the form of a text that has a variable in it.
var withVariable = map[string]any{"type": "string", "pattern": `\$\{`}

// Duration is a time, as 500ms, 10s or 2m.
type Duration struct{ quantity[time.Duration] }

func readDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 || d > maxDuration {
		return 0, fmt.Errorf("%q is no time: write 500ms, 10s or 2m, at most %v", s, maxDuration)
	}
	return d, nil
}

func (q *Duration) take(n *node) string { return q.takeAs(n, readDuration) }

func (q *Duration) value(s *scope, other time.Duration) (time.Duration, error) {
	return q.of(s, other, readDuration)
}

func (*Duration) form() (map[string]any, string) {
	return map[string]any{"type": "string", "pattern": `^([0-9.]+(ms|s|m|h))+$|\$\{`}, "time, as 10s"
}

// Rate is how often something begins, as 20/s or 300/m.
type Rate struct{ quantity[float64] }

// readRate returns a rate in beginnings a second.
func readRate(s string) (float64, error) {
	count, unit, _ := strings.Cut(s, "/")
	per := map[string]float64{"s": 1, "m": 60, "h": 3600}[unit]
	n, err := strconv.ParseFloat(count, 64)
	if err != nil || per == 0 || !(n > 0) || n/per > maxRate {
		return 0, fmt.Errorf("%q is no rate: write 20/s, 300/m or 100/h, at most %d/s", s, maxRate)
	}
	return n / per, nil
}

func (q *Rate) take(n *node) string { return q.takeAs(n, readRate) }

func (q *Rate) value(s *scope) (float64, error) { return q.of(s, 0, readRate) }

func (*Rate) form() (map[string]any, string) {
	return map[string]any{"type": "string", "pattern": `^[0-9.]+/(s|m|h)$|\$\{`}, "rate, as 20/s"
}

// Pattern is a regular expression (RE2).
type Pattern struct{ quantity[*regexp.Regexp] }

func readPattern(s string) (*regexp.Regexp, error) {
	re, err := regexp.Compile(s)
	if err != nil {
		return nil, fmt.Errorf("it is no regular expression: %v: see https://golang.org/s/re2syntax", err)
	}
	return re, nil
}

func (q *Pattern) take(n *node) string { return q.takeAs(n, readPattern) }

func (q *Pattern) value(s *scope) (*regexp.Regexp, error) { return q.of(s, nil, readPattern) }

func (*Pattern) form() (map[string]any, string) {
	return map[string]any{"type": "string"}, "regular expression"
}

// Condition is a == b or a != b.
type Condition struct {
	left, right Text
	differ      bool
}

func (c *Condition) take(n *node) string {
	text, ok := n.value.(string)
	if !ok {
		return "it is " + n.what() + ": write a == b or a != b"
	}
	left, right, found := strings.Cut(text, "==")
	if !found {
		if left, right, found = strings.Cut(text, "!="); !found {
			return fmt.Sprintf("%q is no condition: write a == b or a != b", text)
		}
		c.differ = true
	}
	return cmp.Or(side(&c.left, left, n.at), side(&c.right, right, n.at))
}

// side reads one side of a condition.
func side(t *Text, text string, at Position) string {
	parts, wrong := parseText(strings.Trim(strings.TrimSpace(text), `"'`))
	*t = Text{at, parts, true}
	return wrong
}

func (*Condition) form() (map[string]any, string) {
	return map[string]any{"type": "string", "pattern": "(==|!=)"}, "`a == b` or `a != b`"
}

func (c *Condition) uses() []string { return append(c.left.uses(), c.right.uses()...) }

func (c *Condition) holds(s *scope) (bool, error) {
	left, err := c.left.text(s)
	if err != nil {
		return false, err
	}
	right, err := c.right.text(s)
	return (left == right) != c.differ, err
}
