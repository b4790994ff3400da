package search

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/quicproquo/qpq"
)

// Query is what somebody looks for. A message has all of it.
type Query struct {
	Words   []Word
	Without []Word    // none of these
	In      []string  // names of conversations: one of them
	From    []string  // users: one of them
	Since   time.Time // zero for no limit
	Until   time.Time // before it; zero for no limit
	Has     []string  // of Kinds
}

// Kinds are what a message can have or be: the values of "has:".
var Kinds = []string{"file", "link", "reply"}

const (
	maxQuery = 1000 // bytes
	maxItems = 32
)

// Parse reads a query as people write it: words and "quoted phrases", which a message has; the same with a minus before them, which it has not; and
// in:, from:, before:, after:, on: and has: with a value. Days are those of now's time zone. It fails with qpq.Invalid, and says with which word.
func Parse(text string, now time.Time) (*Query, error) {
	if len(text) > maxQuery {
		return nil, invalid("it is too long: %d characters are the most", maxQuery)
	}
	q, n := &Query{}, 0
	for rest := strings.TrimSpace(qpq.Printable(text)); rest != ""; rest = strings.TrimLeftFunc(rest, unicode.IsSpace) {
		var i item
		i, rest = next(rest)
		if n++; n > maxItems {
			return nil, invalid("it has too many words: %d are the most", maxItems)
		}
		if err := q.add(i, now); err != nil {
			return nil, err
		}
	}
	if len(q.Words)+len(q.Without)+len(q.In)+len(q.From)+len(q.Has) == 0 && q.Since.IsZero() && q.Until.IsZero() {
		return nil, invalid("there is nothing to look for: write a word, or in:, from:, before:, after:, on: or has: with a value")
	}
	if !q.Since.IsZero() && !q.Until.IsZero() && !q.Since.Before(q.Until) {
		return nil, invalid("no day is after and before those that it names")
	}
	return q, q.usable()
}

// usable fails where there is nothing that an index could help with.
func (q *Query) usable() error {
	if len(q.Terms()) > 0 || len(q.In) > 0 || len(q.From) > 0 || len(q.Has) > 0 || len(q.Words)+len(q.Without) == 0 {
		return nil
	}
	if len(q.Words) == 0 {
		return invalid("it only says what a message must not have: write a word that it has as well")
	}
	return invalid("%q has no letters, digits or symbols to look for", q.Words[0].said)
}

func invalid(format string, args ...any) error {
	return qpq.E(qpq.Invalid, "bad-query", "search: "+fmt.Sprintf(format, args...))
}

// item is a part of a query.
type item struct {
	minus, quoted bool
	key, value    string // the key is empty for words
	said          string // as it was written
}

var keys = []string{"in", "from", "before", "after", "on", "has"}

// next takes the first item off a query that does not begin with a space.
func next(text string) (i item, rest string) {
	rest, i.minus = strings.CutPrefix(text, "-")
	if i.minus && (rest == "" || strings.IndexFunc(rest, unicode.IsSpace) == 0) {
		rest, i.minus = text, false // a dash
	}
	if key, after, ok := strings.Cut(rest, ":"); ok && slices.Contains(keys, strings.ToLower(key)) {
		i.key, rest = strings.ToLower(key), after
	}
	if after, ok := strings.CutPrefix(rest, `"`); ok {
		i.quoted = true
		i.value, rest, _ = strings.Cut(after, `"`) // to the end, if it is not closed
	} else {
		end := strings.IndexFunc(rest, unicode.IsSpace)
		if end < 0 {
			end = len(rest)
		}
		i.value, rest = rest[:end], rest[end:]
	}
	i.value = strings.TrimSpace(i.value)
	i.said = strings.TrimSpace(strings.TrimSuffix(text, rest))
	return i, rest
}

func (q *Query) add(i item, now time.Time) error {
	if i.key == "" {
		w := word(i.value)
		switch {
		case w.folded == "", !i.quoted && strings.Trim(i.value, "-–—") == "":
		case i.minus:
			q.Without = append(q.Without, w)
		default:
			q.Words = append(q.Words, w)
		}
		return nil
	}
	if i.minus {
		return invalid("%s: only words can be left out", i.said)
	}
	if i.value == "" {
		return invalid("%s: needs a value: %s", i.key, values[i.key])
	}
	switch i.key {
	case "in":
		q.In = append(q.In, i.value)
	case "from":
		q.From = append(q.From, strings.TrimPrefix(i.value, "@"))
	case "has":
		kind := strings.ToLower(i.value)
		if !slices.Contains(Kinds, kind) {
			return invalid("%s: messages are not looked up by that: %s", i.said, values["has"])
		}
		q.Has = append(q.Has, kind)
	default:
		return q.when(i, now)
	}
	return nil
}

var values = map[string]string{
	"in": "the name of a conversation", "from": "a user", "has": "file, link or reply",
	"before": days, "after": days, "on": days,
}

const days = "today, yesterday, 2026-11-27, 2026-11 or 2026"

// when narrows the time.
func (q *Query) when(i item, now time.Time) error {
	from, to, ok := day(strings.ToLower(i.value), now)
	if !ok {
		return invalid("%s: that is no day: write %s", i.said, days)
	}
	if i.key == "before" {
		to, from = from, time.Time{}
	}
	if i.key == "after" {
		from, to = to, time.Time{}
	}
	if from.After(q.Since) {
		q.Since = from
	}
	if !to.IsZero() && (q.Until.IsZero() || to.Before(q.Until)) {
		q.Until = to
	}
	return nil
}

// day returns when a day, a month or a year begins and ends.
func day(text string, now time.Time) (from, to time.Time, ok bool) {
	year, month, date := now.Date()
	switch text {
	case "today":
		return midnight(now, year, month, date), midnight(now, year, month, date+1), true
	case "yesterday":
		return midnight(now, year, month, date-1), midnight(now, year, month, date), true
	}
	for _, f := range []struct {
		format  string
		y, m, d int
	}{{time.DateOnly, 0, 0, 1}, {"2006-01", 0, 1, 0}, {"2006", 1, 0, 0}} {
		if t, err := time.Parse(f.format, text); err == nil && t.Year() > 0 {
			year, month, date := t.Date()
			return midnight(now, year, month, date), midnight(now, year+f.y, month+time.Month(f.m), date+f.d), true
		}
	}
	return from, to, false
}

func midnight(now time.Time, year int, month time.Month, date int) time.Time {
	return time.Date(year, month, date, 0, 0, 0, 0, now.Location())
}

// Word is a word or a phrase to look for. It may stand in the middle of a word, unless it is short: two letters begin a word, one is a word.
type Word struct {
	said         string
	folded       string
	begins, ends bool // it stands where a word begins, and ends
}

func word(said string) Word {
	w := Word{said: said, folded: strings.TrimSpace(fold(said, false).text)}
	var first, last run
	runs(w.folded, func(c class, at []int) {
		last = run{c, len(at) - 1, at[len(at)-1]}
		if at[0] == 0 {
			first = last
		}
	})
	w.begins = first.of == letter && first.length < 3
	w.ends = last.of == letter && last.length == 1 && last.end == len(w.folded)
	return w
}

type run struct {
	of          class
	length, end int
}

// Terms returns terms that all messages have that the query may mean; none where its words have none.
func (q *Query) Terms() []string {
	var b []byte
	for _, w := range q.Words {
		b = appendText(b, w.folded, false)
	}
	return strings.Fields(string(b))
}
