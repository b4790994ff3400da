package command

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
)

// searching are the commands that look messages up.
var searching = []*Command{
	define(Command{
		Name: "search", Summary: "look messages up",
		Long: "Looks through the messages that this device has, in all conversations, the newest first; no server is asked. A message is found that has all the words, each of which may be a part of one, " +
			"with or without accents, in upper or lower case. \"Words in quotes\" stand in a row, and -word is left out. These narrow it down: in:CONVERSATION, from:USER (from:me), " +
			"before:, after: and on: with today, yesterday, 2026-11-27, 2026-11 or 2026, and has:file, has:link or has:reply. What was found stands between « and ».\n\n" +
			"In a shell, put the query in single quotes where it has quotes, and -- before it where it begins with a minus. docs/search.md tells more.",
		Example: []string{"search lunch tomorrow", "search 'in:\"Book club\" from:bob \"chapter two\"'", "search has:link after:2026-10 --limit 5", "search recipe --ranked", "search -- lunch -monday"},
	}, find),
}

type searchArgs struct {
	Query   string `arg:"query" takes:"rest" help:"words, \"phrases\", -without, in:, from:, before:, after:, on:, has:"`
	Limit   *int   `flag:"limit" help:"show so many messages at most; 20 unless you say otherwise"`
	Before  *int64 `flag:"before" help:"go on with messages before this position, as the end of another search tells it"`
	Ranked  bool   `flag:"ranked" help:"first those that fit best, of the newest 1000"`
	Context *int   `flag:"context" help:"show so many lines before and after each, too"`
}

// HitJSON is a message that was found, for programs.
type HitJSON struct {
	EntryJSON
	Spans     []SpanJSON  `json:"spans"`                // where in the text, in bytes
	NameSpans []SpanJSON  `json:"name_spans,omitempty"` // where in the name of a file
	Fit       float64     `json:"fit"`                  // the more the better
	Earlier   []EntryJSON `json:"earlier,omitempty"`    // lines before it
	Later     []EntryJSON `json:"later,omitempty"`      // and after
}

// SpanJSON is a part of a text, in bytes of UTF-8.
type SpanJSON struct {
	Start int `json:"start"`
	End   int `json:"end"`
}

// searchedJSON is the end of a search, for programs.
type searchedJSON struct {
	Type  string `json:"type"` // "end"
	Found int    `json:"found"`
	Next  int64  `json:"next,omitempty"` // what to give as "before" to go on; none where there is nothing more
}

func find(ctx context.Context, e *Env, a searchArgs) (Output, error) {
	q := client.Query{Text: a.Query, Limit: 20, Ranked: a.Ranked, Progress: e.indexing()}
	if a.Limit != nil {
		q.Limit = *a.Limit
	}
	if a.Context != nil {
		q.Context = *a.Context
	}
	if a.Before != nil {
		q.Before = *a.Before
	}
	switch {
	case q.Limit < 1 || q.Limit > 1000:
		return Output{}, qpq.E(qpq.Invalid, "usage", fmt.Sprintf("search: %d is no number of messages: it takes 1 to 1000", q.Limit))
	case q.Context < 0 || q.Context > 100:
		return Output{}, qpq.E(qpq.Invalid, "usage", fmt.Sprintf("search: %d is no number of lines: it takes 0 to 100", q.Context))
	case a.Before != nil && q.Before < 1:
		return Output{}, qpq.E(qpq.Invalid, "usage", fmt.Sprintf("search: %d is no position: it takes 1 or more", q.Before))
	}
	s, err := e.scope(ctx, "")
	if err != nil {
		return Output{}, err
	}
	end := searchedJSON{Type: "end"}
	for {
		hits, next, err := e.Client.Search(ctx, q)
		if err != nil {
			return Output{}, err
		}
		for i := range hits {
			if err := s.hit(&hits[i]); err != nil {
				return Output{}, err
			}
		}
		end.Found, end.Next = end.Found+len(hits), next
		if q.Before, q.Limit = next, q.Limit-len(hits); next == 0 || q.Limit <= 0 || q.Ranked {
			return Output{end, end.text()}, nil
		}
	}
}

func (s searchedJSON) text() string {
	text := fmt.Sprintf("%d messages were found", s.Found)
	switch s.Found {
	case 0:
		text = "nothing was found"
	case 1:
		text = "one message was found"
	}
	if s.Next != 0 {
		text += fmt.Sprintf("; there may be more: the same with --before %d goes on", s.Next)
	}
	return text
}

// indexing returns what tells, now and then, that messages have to be taken into the index, if that takes longer than a second.
func (e *Env) indexing() func(left int64) {
	told := time.Now()
	return func(left int64) {
		if time.Since(told) < time.Second {
			return
		}
		told = time.Now()
		e.UI.Show(Output{map[string]any{"notice": map[string]any{"code": "indexing", "left": left}},
			fmt.Sprintf("note: %d entries that are not in the index yet are taken into it, once; if that is interrupted, it goes on where it was", left)})
	}
}

// hit shows a message that was found, with the lines around it.
func (s *scope) hit(h *client.Hit) error {
	v, err := s.in(&h.Entry)
	if err != nil {
		return err
	}
	j := HitJSON{EntryJSON: EntryValue(v, &h.Entry), Spans: spans(h.Spans), NameSpans: spans(h.Name), Fit: h.Fit}
	found, in := EntryText(s.own, v, new(marked(h))), strings.TrimSpace(Place(v.Name()))
	if f := h.Entry.Message.File(); f != nil && len(h.Name) > 0 && h.Name[len(h.Name)-1].End <= len(f.Name) {
		found = strings.Replace(found, "("+qpq.OneLine(f.Name), "("+qpq.OneLine(highlighted(f.Name, h.Name)), 1)
	}
	if len(h.Before)+len(h.After) == 0 {
		return s.env.UI.Result(Output{j, in + " " + found})
	}
	lines := []string{in}
	for _, e := range h.Before {
		j.Earlier = append(j.Earlier, EntryValue(v, &e))
		lines = append(lines, "  "+EntryText(s.own, v, &e))
	}
	lines = append(lines, "> "+found)
	for _, e := range h.After {
		j.Later = append(j.Later, EntryValue(v, &e))
		lines = append(lines, "  "+EntryText(s.own, v, &e))
	}
	return s.env.UI.Result(Output{j, strings.Join(lines, "\n")})
}

func spans(list []client.Range) []SpanJSON {
	out := make([]SpanJSON, len(list))
	for i, s := range list {
		out[i] = SpanJSON(s)
	}
	return out
}

// marked returns what was found with marks in its text.
func marked(h *client.Hit) client.Entry {
	e, m := h.Entry, *h.Entry.Message
	m.Text = highlighted(m.Text, h.Spans)
	e.Message = &m
	return e
}

// highlighted returns a text with what was found in it between « and ».
func highlighted(text string, spans []client.Range) string {
	var b strings.Builder
	at := 0
	for _, s := range spans {
		b.WriteString(text[at:s.Start] + "«" + text[s.Start:s.End] + "»")
		at = s.End
	}
	return b.String() + text[at:]
}
