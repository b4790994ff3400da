package client_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/internal/history"
)

// asked returns how many statements the profile ran for f.
func asked(t *testing.T, p *profile.Profile, f func() error) int64 {
	t.Helper()
	before := p.Statements()
	check(t, f())
	return p.Statements() - before
}

func TestWhatIsShownTakesFewStatements(t *testing.T) {
	p := must(profile.Open(profile.Config{Path: filepath.Join(t.TempDir(), "profile.db"), Key: make([]byte, profile.KeySize)}))
	c := client.New(client.Config{Profile: p})
	t.Cleanup(func() { check(t, c.Close()); check(t, p.Close()) })
	const lines, talks = 1000, 30
	must(history.Fill(p, history.Config{Messages: lines, Conversations: talks, Unread: lines / 2}))
	for id, sum := range must(p.Summaries()) {
		newest := must(p.History(id, 1<<62, 1))
		if len(newest) != 1 || !sum.Newest.Equal(newest[0].Time) || must(p.Summary(id)) != sum {
			t.Errorf("the newest line of %s is of %v, and its list says %v", id, newest, sum)
		}
	}
	end := react(t, p)
	talk := history.Talk(0)
	var list []client.Entry
	for _, show := range []struct {
		what string
		most int64
		f    func() error
	}{
		{"the list of conversations", 5, func() error {
			list, err := c.Conversations()
			if len(list) != talks {
				t.Errorf("there are %d conversations, not %d", len(list), talks)
			}
			return err
		}},
		{"a page of history", 8, func() (err error) { list, err = c.History(talk, end, 100); return err }},
		{"what comes after it", 8, func() (err error) { _, err = c.Later(talk, 0, 100); return err }},
		{"a list of threads", 8, func() error {
			threads, err := c.Threads(talk, 100)
			if len(threads) != 50 || threads[0].Replies != 1 {
				t.Errorf("there are %d threads", len(threads))
			}
			return err
		}},
		{"20 hits with lines around them", 60, func() error {
			hits, _, err := c.Search(t.Context(), client.Query{Text: "in:talk0", Context: 3})
			if len(hits) != 20 || len(hits[10].Before) != 3 || len(hits[10].After) != 3 {
				t.Errorf("there are %d hits", len(hits))
			}
			return err
		}},
	} {
		if n := asked(t, p, show.f); n > show.most {
			t.Errorf("%s takes %d statements, and %d at most are enough", show.what, n, show.most)
		}
	}
	if len(list) != 100 {
		t.Fatalf("a page has %d lines", len(list))
	}
	for i, e := range list {
		if want := i%2 == 0; (len(e.Message.Reactions) == 2) != want || (e.Message.Replies == 1) != want {
			t.Errorf("line %d has %v and %d replies", i, e.Message.Reactions, e.Message.Replies)
		}
	}
}

// react has every second of the newest 100 lines of the first conversation be reacted to twice, and answered once, and returns the position where that begins.
func react(t *testing.T, p *profile.Profile) int64 {
	lines := must(p.History(history.Talk(0), 1<<62, 100))
	check(t, p.Change(func(tx *profile.Tx) error {
		for i, e := range lines {
			if i%2 > 0 {
				continue
			}
			for n := range 2 {
				r := e
				r.Kind, r.Target, r.Sender = profile.KindReaction, e.Position, history.Person(n)
				r.ID = [16]byte{1, byte(i), byte(n)}
				var err error
				if r.Position, err = tx.AddEntry(r); err != nil {
					return err
				}
				if err := tx.React(r, fmt.Sprint(n), false); err != nil {
					return err
				}
			}
			a := e
			a.Kind, a.Target, a.Root, a.ID = profile.KindReply, e.Position, e.Position, [16]byte{2, byte(i)}
			if _, err := tx.AddEntry(a); err != nil {
				return err
			}
		}
		return nil
	}))
	return lines[len(lines)-1].Position + 1
}
