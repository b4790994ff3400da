package profile_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/client/search"
	"github.com/quicproquo/qpq/wire"
)

var book = qpq.ChannelID{1, 2, 3}

// say adds texts of alice, the first of them as message n, and returns the position of the last.
func say(t *testing.T, p *profile.Profile, n int, texts ...string) (position int64) {
	t.Helper()
	check(t, p.Change(func(tx *profile.Tx) (err error) {
		for i, text := range texts {
			if position, err = tx.AddEntry(textEntry(n+i, text)); err != nil {
				return err
			}
		}
		return nil
	}))
	return position
}

func textEntry(n int, text string) profile.Entry {
	return profile.Entry{Channel: book, Time: time.UnixMilli(int64(n) * 60_000), State: profile.Received, Kind: profile.KindText, Sender: alice, ID: id(n),
		Content: must(wire.Marshal(wire.Message{ID: id(n), Sent: time.UnixMilli(int64(n)), Body: wire.TextBody{Text: text}}))}
}

func id(n int) [16]byte { return [16]byte{byte(n), byte(n >> 8), byte(n >> 16), 1} }

// edit has a message say something else.
func edit(tx *profile.Tx, n int, target int64, text string) (position int64, err error) {
	e := textEntry(n, text)
	e.Kind, e.Target = profile.KindEdit, target
	e.Content = must(wire.Marshal(wire.Message{ID: e.ID, Sent: e.Time, Body: wire.EditBody{Target: wire.MessageRef{Sender: alice}, Text: text}}))
	if position, err = tx.AddEntry(e); err != nil {
		return 0, err
	}
	return position, tx.SetEdit(target, position)
}

func catchUp(t *testing.T, p *profile.Profile) {
	t.Helper()
	for {
		if err := p.Index(); err != nil {
			t.Fatal(err)
		}
		if p.Backlog() == 0 {
			return
		}
	}
}

func must2[A, B any](a A, b B, err error) (A, B) {
	if err != nil {
		panic(err)
	}
	return a, b
}

// lookedUp returns the positions of what may be meant, the newest first, read a few at a time.
func lookedUp(p *profile.Profile, l profile.Lookup, page int) (list []profile.Said) {
	for {
		some, next := must2(p.Texts(&l, page))
		list = append(list, some...)
		if next == 0 {
			return list
		}
		l.Before = next
	}
}

// found returns the positions of the messages that a query means, the newest first.
func found(p *profile.Profile, query string) (list []int64) {
	q := must(search.Parse(query, time.Now()))
	for _, v := range lookedUp(p, profile.Lookup{Words: q.Terms()}, 40) {
		if _, _, ok := q.Match(v.Text, v.Name); ok {
			list = append(list, v.Position)
		}
	}
	return list
}

func TestLookup(t *testing.T) {
	var m profile.Memory
	p := must(m.Open(memoryKey))
	defer func() { check(t, p.Close()) }()
	texts := make([]string, 700)
	for i := range texts {
		texts[i] = fmt.Sprintf("message %d", i)
	}
	texts[3], texts[699] = "Crème brûlée 天气", "crèmes"
	say(t, p, 0, texts...)
	if n := p.Backlog(); n == 0 || n >= 700 {
		t.Fatalf("%d entries are not in the index", n)
	}
	for query, want := range map[string][]int64{"creme": {700, 4}, "CREME 气": {4}, "message 42": {43, 421, 422, 423, 424, 425, 426, 427, 428, 429, 430}, "none": nil} {
		slices.SortFunc(want, func(a, b int64) int { return int(b - a) })
		if got := found(p, query); !slices.Equal(got, want) {
			t.Errorf("%s: %v, not %v", query, got, want)
		}
	}
	check(t, p.Change(func(tx *profile.Tx) error { return tx.Wipe(4, profile.Deleted) }))
	if got := found(p, "creme"); !slices.Equal(got, []int64{700}) {
		t.Errorf("after one was wiped: %v", got)
	}
}
