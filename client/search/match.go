package search

import (
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

const maxSpans = 100 // of a word in a text

// Match says whether texts, which belong together, have what is looked for: each word in one of them. It returns where, in each of them, and how
// well they fit: the more the better.
func (q *Query) Match(texts ...string) (spans [][]Span, fit float64, ok bool) {
	list := make([]folded, len(texts))
	for i, text := range texts {
		list[i] = fold(text, false)
	}
	for _, w := range q.Without {
		if slices.ContainsFunc(list, func(f folded) bool { return len(w.find(f.text, 1)) > 0 }) {
			return nil, 0, false
		}
	}
	places := make([][]place, len(texts))
	for _, w := range q.Words {
		best, count := 0.0, 0
		for i, f := range list {
			found := w.find(f.text, maxSpans)
			places[i] = append(places[i], found...)
			for _, p := range found {
				best = max(best, p.fit)
			}
			count += len(found)
		}
		if count == 0 {
			return nil, 0, false
		}
		fit += best + math.Log2(float64(count))/4
	}
	spans = make([][]Span, len(texts))
	length := 0
	for i, text := range texts {
		spans[i] = originals(text, places[i])
		length += len(text)
	}
	return spans, fit - math.Log2(1+float64(length)/200)/4, true
}

// place is where a word stands in a folded text, and how well that fits: as a word, as the beginning of one, or within.
type place struct {
	start, end int
	fit        float64
}

// find returns up to limit places where a word stands.
func (w Word) find(text string, limit int) (list []place) {
	for at := 0; len(list) < limit; {
		i := strings.Index(text[at:], w.folded)
		if i < 0 {
			break
		}
		start, end := at+i, at+i+len(w.folded)
		begins, ends := !joined(text, start), !joined(text, end)
		if (begins || !w.begins) && (ends || !w.ends) {
			fit := 1.0
			if begins {
				fit++
			}
			if begins && ends {
				fit++
			}
			list = append(list, place{start, end, fit})
			at = end
			continue
		}
		_, size := utf8.DecodeRuneInString(text[start:])
		at = start + size
	}
	return list
}

// joined reports whether a word goes on at a place.
func joined(text string, at int) bool {
	before, _ := utf8.DecodeLastRuneInString(text[:at])
	after, _ := utf8.DecodeRuneInString(text[at:])
	return at > 0 && at < len(text) && classify(before) == letter && classify(after) == letter
}

// originals returns where places of a folded text are in the original, in order, those that touch as one.
func originals(text string, places []place) (list []Span) {
	if len(places) == 0 {
		return nil
	}
	f := fold(text, true)
	slices.SortFunc(places, func(a, b place) int { return a.start - b.start })
	for _, p := range places {
		s := f.original(p.start, p.end)
		if n := len(list); n > 0 && s.Start <= list[n-1].End {
			list[n-1].End = max(list[n-1].End, s.End)
		} else {
			list = append(list, s)
		}
	}
	return list
}
