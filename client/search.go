package client

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/client/search"
)

// Query is what to look for in the messages that this device has, and how to show it.
type Query struct {
	// Text is the query as people write it (docs/search.md): words, "phrases", -without, in:, from:, before:, after:, on:, has:.
	Text string
	// Limit is how many hits there are at most. Zero is 20.
	Limit int
	// Before goes on where Search stopped: only messages before this position. Zero begins with the newest.
	Before int64
	// Ranked gives the hits that fit best first, of the newest RankedOver. Otherwise the newest are first.
	Ranked bool
	// Context is how many lines before and after each hit are given with it.
	Context int
	// Progress, if not nil, is told how many messages have to be taken into the index first, again and again while they are.
	Progress func(left int64)
}

// RankedOver is how many of the newest hits are looked at to find those that fit best.
const RankedOver = 1000

// Range is a part of a text, in bytes.
type Range = search.Span

// Hit is a message that was found.
type Hit struct {
	Entry  Entry
	Spans  []Range // of Entry.Message.Text: what was looked for, in order
	Name   []Range // of the name of its file
	Fit    float64 // how well it fits: the more the better
	Before []Entry // lines of its conversation before it, the oldest first
	After  []Entry // and after it
}

const (
	searchPage   = 1024  // messages that are looked at together, at most
	searchBudget = 20000 // messages that are looked at for one call
)

// Search looks messages up on this device; it asks no server. It returns hits, and the position to go on before (Query.Before), 0 where there is
// nothing more. There may be more though there are fewer hits than the limit: a call ends after it looked at many messages that do not fit. It fails with
// qpq.Invalid and code "bad-query" where the query is wrong, and as FindConversation does.
func (c *Client) Search(ctx context.Context, q Query) (hits []Hit, next int64, err error) {
	parsed, err := search.Parse(q.Text, c.cfg.Clock())
	if err != nil {
		return nil, 0, err
	}
	l, err := c.lookup(parsed)
	if err != nil {
		return nil, 0, err
	}
	if err := c.expire(); err != nil {
		return nil, 0, err
	}
	if err := c.index(ctx, q.Progress); err != nil {
		return nil, 0, err
	}
	limit := cmp.Or(max(q.Limit, 0), 20)
	want := limit
	if q.Ranked {
		want = max(want, RankedOver)
	}
	l.Before = q.Before
	found, next, err := c.scan(ctx, parsed, &l, want)
	if err != nil {
		return nil, 0, err
	}
	if q.Ranked {
		slices.SortStableFunc(found, func(a, b sighting) int { return cmp.Compare(b.fit, a.fit) })
		found = found[:min(limit, len(found))]
	}
	hits, err = c.hits(found, q.Context)
	return hits, next, err
}

// lookup turns a query into one for the profile.
func (c *Client) lookup(q *search.Query) (l profile.Lookup, err error) {
	l = profile.Lookup{Words: q.Terms(), Since: q.Since, Until: q.Until}
	var in, from []string
	for _, name := range q.In {
		v, err := c.meant(name)
		if err != nil {
			return l, err
		}
		in = append(in, profile.TermChannel(v.ID))
	}
	for _, name := range q.From {
		u, err := c.author(name)
		if err != nil {
			return l, err
		}
		from = append(from, profile.TermSender(u))
	}
	for _, group := range [][]string{in, from} {
		if len(group) > 0 {
			l.Marks = append(l.Marks, group)
		}
	}
	for _, kind := range q.Has {
		l.Marks = append(l.Marks, []string{":" + kind})
	}
	return l, nil
}

// meant returns the conversation that "in:" names: with a "#" before it or without.
func (c *Client) meant(name string) (*Conversation, error) {
	v, err := c.FindConversation(name)
	if plain, ok := strings.CutPrefix(name, "#"); ok && errors.Is(err, qpq.NotFound) {
		return c.FindConversation(plain)
	}
	return v, err
}

// author returns the account that "from:" names.
func (c *Client) author(name string) (qpq.UserID, error) {
	if strings.EqualFold(name, "me") {
		own, _, err := c.Self()
		return own, err
	}
	u, err := c.ParseUser(name)
	if err != nil {
		return u, qpq.Wrap(qpq.KindOf(err), qpq.CodeOf(err), "search: from:"+name+": "+err.Error(), err)
	}
	return u, nil
}

// index puts messages into the index, where many are not in it yet.
func (c *Client) index(ctx context.Context, progress func(int64)) error {
	for {
		left, err := c.cfg.Profile.Unindexed()
		if err != nil || left == 0 {
			return err
		}
		if progress != nil {
			progress(left)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := c.cfg.Profile.Index(); err != nil {
			return err
		}
	}
}

// sighting is a message that fits, before it is read.
type sighting struct {
	position   int64
	text, name []Range
	fit        float64
}

// scan looks for messages that fit, the newest first, and returns the position before which to go on.
func (c *Client) scan(ctx context.Context, q *search.Query, l *profile.Lookup, want int) (found []sighting, next int64, err error) {
	for looked, page := 0, min(want, searchPage); looked < searchBudget; page = min(2*page, searchPage) {
		list, next, err := c.cfg.Profile.Texts(l, page)
		if err != nil {
			return nil, 0, err
		}
		var missed []profile.Said
		for i := range list {
			v := &list[i]
			if !l.Allows(v) {
				continue
			}
			spans, fit, ok := q.Match(v.Text, v.Name)
			if !ok {
				missed = append(missed, *v)
				continue
			}
			if found = append(found, sighting{v.Position, spans[0], spans[1], fit}); len(found) == want {
				return found, v.Position, nil
			}
		}
		if next == 0 {
			return found, 0, nil
		}
		if err := ctx.Err(); err != nil {
			return nil, 0, err
		}
		l.Narrow(missed)
		l.Before = next
		looked += len(list)
	}
	return found, l.Before, nil
}

// hits reads what was found, as it stands now.
func (c *Client) hits(found []sighting, around int) ([]Hit, error) {
	positions := make([]int64, len(found))
	for i, s := range found {
		positions[i] = s.position
	}
	stored, err := c.cfg.Profile.At(positions)
	if err != nil {
		return nil, err
	}
	var there []profile.Entry
	var seen []sighting
	for _, s := range found {
		if e, ok := stored[s.position]; ok && e.Gone == There { // still
			there, seen = append(there, e), append(seen, s)
		}
	}
	entries, err := c.read(there, nil)
	if err != nil {
		return nil, err
	}
	hits := make([]Hit, 0, len(entries))
	for i, e := range entries {
		s := seen[i]
		hits = append(hits, Hit{Entry: e, Spans: within(s.text, e.Message.Text), Name: s.name, Fit: s.fit})
	}
	if around > 0 {
		err = c.surround(hits, around)
	}
	return hits, err
}

// surround reads so many lines before and after each hit, all of them together.
func (c *Client) surround(hits []Hit, around int) error {
	var stored []profile.Entry
	ends := make([][2]int, len(hits)) // in stored: of what is before a hit, and after it
	for i, h := range hits {
		before, err := c.cfg.Profile.History(h.Entry.Channel, h.Entry.Position, around)
		if err != nil {
			return err
		}
		after, err := c.cfg.Profile.Later(h.Entry.Channel, h.Entry.Position, around)
		if err != nil {
			return err
		}
		stored = append(append(stored, before...), after...)
		ends[i] = [2]int{len(stored) - len(after), len(stored)}
	}
	lines, err := c.read(stored, nil)
	if err != nil {
		return err
	}
	at := 0
	for i := range hits {
		hits[i].Before, hits[i].After = lines[at:ends[i][0]:ends[i][0]], lines[ends[i][0]:ends[i][1]:ends[i][1]]
		at = ends[i][1]
	}
	return nil
}

// within returns the spans that are in a text, which may have changed since.
func within(spans []Range, text string) []Range {
	return slices.DeleteFunc(spans, func(s Range) bool { return s.End > len(text) })
}
