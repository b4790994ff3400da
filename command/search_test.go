package command_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/quicproquo/qpq"
)

// hit is a message that was found, as programs see it.
type hit struct {
	Text  string                     `json:"text"`
	Fit   float64                    `json:"fit"`
	Spans []struct{ Start, End int } `json:"spans"`

	Earlier, Later []struct{ Text string }
}

// found runs a search and returns what it shows, with its end for programs.
func found(d *device, args ...any) (hits []hit, texts []string, end map[string]any) {
	d.t.Helper()
	d.results = nil
	end = d.run("search", args...)
	for _, o := range d.results {
		var h hit
		raw, err := json.Marshal(o.Value)
		check(d.t, err)
		check(d.t, json.Unmarshal(raw, &h))
		hits, texts = append(hits, h), append(texts, o.Text)
	}
	return hits, texts, end
}

// talkers are alice and bob, who wrote to each other and in a group.
func talkers(t *testing.T) (alice, bob *device) {
	s := newServer(t)
	alice, bob = s.registered("alice"), s.registered("bob")
	alice.run("dm", "user", "bob")
	bob.run("recv")
	alice.run("group create", "name", "team", "user", []string{"bob"})
	for i, text := range []string{"before the crème brûlée", "the Crème brûlée is here", "after it"} {
		alice.run("send", "conversation", "bob", "text", text)
		alice.run("send", "conversation", "team", "text", fmt.Sprintf("lunch %d", i))
	}
	bob.run("recv")
	bob.run("send", "conversation", "alice", "text", "creme, creme")
	alice.run("recv")
	return alice, bob
}

func TestSearchMarksWhatItFound(t *testing.T) {
	alice, _ := talkers(t)
	hits, texts, end := found(alice, "query", "creme BRULEE")
	if len(hits) != 2 || end["found"] != 2.0 || end["next"] != nil || end["type"] != "end" {
		t.Fatalf("%d hits, and the end is %v", len(hits), end)
	}
	for i, want := range []string{"the «Crème» «brûlée» is here", "before the «crème» «brûlée»"} { // the newest first
		if !strings.Contains(texts[i], want) || !strings.Contains(texts[i], "bob") {
			t.Errorf("hit %d is shown as %q, without %q", i, texts[i], want)
		}
		h := hits[i]
		var marked []string
		for _, s := range h.Spans {
			marked = append(marked, h.Text[s.Start:s.End])
		}
		if len(marked) != 2 || !strings.EqualFold(marked[0], "crème") || marked[1] != "brûlée" || strings.Contains(h.Text, "«") || h.Fit <= 0 {
			t.Errorf("for programs hit %d is %+v, with %q marked", i, h, marked)
		}
	}
}

func TestSearchNarrowsDown(t *testing.T) {
	alice, _ := talkers(t)
	for query, want := range map[string][]string{
		"in:team lunch":         {"lunch 2", "lunch 1", "lunch 0"},
		"in:#team -1":           {"lunch 2", "lunch 0"},
		"in:bob from:bob":       {"creme, creme"},
		`"brulee is"`:           {"the Crème brûlée is here"},
		"lunch in:bob":          nil,
		"creme before:2000":     nil,
		"from:me creme -before": {"the Crème brûlée is here"},
	} {
		hits, _, end := found(alice, "query", query)
		var got []string
		for _, h := range hits {
			got = append(got, h.Text)
		}
		if !slices.Equal(got, want) || end["found"] != float64(len(want)) {
			t.Errorf("%s finds %q, and not %q; its end is %v", query, got, want, end)
		}
	}
}

func TestSearchShowsLinesAround(t *testing.T) {
	alice, _ := talkers(t)
	hits, texts, _ := found(alice, "query", `"is here"`, "context", 1)
	if len(hits) != 1 || len(hits[0].Earlier) != 1 || len(hits[0].Later) != 1 {
		t.Fatalf("found: %+v", hits)
	}
	if hits[0].Earlier[0].Text != "before the crème brûlée" || hits[0].Later[0].Text != "after it" {
		t.Errorf("around it are %q and %q", hits[0].Earlier[0].Text, hits[0].Later[0].Text)
	}
	lines := strings.Split(texts[0], "\n")
	if len(lines) != 4 || !strings.HasPrefix(lines[1], "  ") || !strings.HasPrefix(lines[2], "> ") || !strings.Contains(lines[2], "«is here»") || !strings.HasPrefix(lines[3], "  ") {
		t.Errorf("shown is %q", texts[0])
	}
}

func TestSearchGoesOn(t *testing.T) {
	alice, _ := talkers(t)
	var got []string
	args := []any{"query", "lunch", "limit", 2}
	hits, _, end := found(alice, args...)
	for _, h := range hits {
		got = append(got, h.Text)
	}
	next, ok := end["next"].(float64)
	if !ok || len(got) != 2 {
		t.Fatalf("the end is %v, after %q", end, got)
	}
	out, err := alice.try(t.Context(), "search", args...)
	check(t, err)
	if want := fmt.Sprintf("2 messages were found; there may be more: the same with --before %d goes on", int64(next)); out.Text != want {
		t.Errorf("the end says %q, and not %q", out.Text, want)
	}
	hits, _, end = found(alice, append(args, "before", int64(next))...)
	for _, h := range hits {
		got = append(got, h.Text)
	}
	if !slices.Equal(got, []string{"lunch 2", "lunch 1", "lunch 0"}) || end["next"] != nil {
		t.Errorf("found are %q, and the end is %v", got, end)
	}
	if out, err := alice.try(t.Context(), "search", "query", "nobody said it"); err != nil || out.Text != "nothing was found" {
		t.Errorf("what nobody said: %q, %v", out.Text, err)
	}
	if hits, _, _ := found(alice, "query", "creme", "ranked", true, "limit", 1); len(hits) != 1 || hits[0].Text != "creme, creme" {
		t.Errorf("the one that fits best: %+v", hits)
	}
}

func TestSearchRefusesWhatItCannotDo(t *testing.T) {
	s := newServer(t)
	alice := s.registered("alice")
	for _, c := range []struct {
		args []any
		kind qpq.Kind
		text string
	}{
		{[]any{"query", "x1", "limit", 0}, qpq.Invalid, "0 is no number of messages: it takes 1 to 1000"},
		{[]any{"query", "x1", "limit", 1001}, qpq.Invalid, "1 to 1000"},
		{[]any{"query", "x1", "context", -1}, qpq.Invalid, "0 to 100"},
		{[]any{"query", "x1", "context", 101}, qpq.Invalid, "0 to 100"},
		{[]any{"query", "x1", "before", 0}, qpq.Invalid, "0 is no position"},
		{[]any{"query", "has:money"}, qpq.Invalid, "file, link or reply"},
		{[]any{"query", "on:noon"}, qpq.Invalid, "2026-11-27"},
		{[]any{"query", "in:nowhere x"}, qpq.NotFound, "nowhere"},
		{[]any{"query", "-word"}, qpq.Invalid, "write a word that it has as well"},
		{[]any{"query", strings.Repeat("x", 1001)}, qpq.Invalid, "too long"},
	} {
		if _, err := alice.try(t.Context(), "search", c.args...); !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%.60v: %v", c.args, err)
		}
	}
}
