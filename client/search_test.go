package client_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/wire"
)

// finds returns the texts that a query finds, with marks around what was looked for.
func (d *device) finds(q client.Query) (list []string) {
	d.t.Helper()
	for {
		hits, next := must2(d.Search(context.Background(), q))
		for _, h := range hits {
			text, at := "", 0
			for _, s := range h.Spans {
				text += h.Entry.Message.Text[at:s.Start] + "«" + h.Entry.Message.Text[s.Start:s.End] + "»"
				at = s.End
			}
			list = append(list, text+h.Entry.Message.Text[at:])
		}
		if next == 0 || q.Ranked {
			return list
		}
		q.Before = next
	}
}

func must2[A, B any](a A, b B, err error) (A, B) {
	if err != nil {
		panic(err)
	}
	return a, b
}

func TestSearch(t *testing.T) {
	s := newServer(t, nil)
	alice, bob := s.device(t), s.device(t)
	alice.register("alice")
	bob.register("bob")
	ctx := context.Background()
	direct := must(alice.Direct(ctx, bob.user()))
	team := must(alice.CreateGroup(ctx, "Team talk", bob.user()))
	alice.says(direct, "Lunch tomorrow?")
	settle(t, alice, bob)
	bob.says(direct, "yes, see https://lunch.example.org")
	bob.says(team, "the lunchbox of the team")
	reply := must(bob.Reply(ctx, team, must(bob.History(team, 0, 1))[0].Ref(), "with a crème brûlée"))
	settle(t, bob, alice)
	for query, want := range map[string][]string{
		"lunch":                {"the «lunch»box of the team", "yes, see https://«lunch».example.org", "«Lunch» tomorrow?"},
		"LUNCH -box":           {"yes, see https://«lunch».example.org", "«Lunch» tomorrow?"},
		"lunch in:bob":         {"yes, see https://«lunch».example.org", "«Lunch» tomorrow?"},
		`lunch in:"team talk"`: {"the «lunch»box of the team"},
		`lunch in:"#team talk" from:@bob@example.org`: {"the «lunch»box of the team"},
		"from:me":                     {"Lunch tomorrow?"},
		"from:bob lunch has:link":     {"yes, see https://«lunch».example.org"},
		"has:reply":                   {"with a crème brûlée"},
		"creme brulee":                {"with a «crème» «brûlée»"},
		`"lunch tomorrow"`:            {"«Lunch tomorrow»?"},
		"lunch before:2000":           nil,
		"tomorrow lunchbox":           nil,
		"in:bob in:\"Team talk\" the": {"«the» lunchbox of «the» team"},
	} {
		if got := alice.finds(client.Query{Text: query, Limit: 2}); !slices.Equal(got, want) {
			t.Errorf("%s finds %q, and not %q", query, got, want)
		}
	}
	if got := alice.finds(client.Query{Text: "lunch", Ranked: true}); !slices.Equal(got, []string{"«Lunch» tomorrow?", "yes, see https://«lunch».example.org", "the «lunch»box of the team"}) {
		t.Errorf("ranked: %q", got)
	}
	hits, _ := must2(alice.Search(ctx, client.Query{Text: "lunchbox", Context: 1}))
	if h := hits[0]; len(h.Before) != 1 || len(h.After) != 1 || h.After[0].Message.ID != reply {
		t.Errorf("around a hit: %+v", h)
	}

	original := must(alice.At(hits[0].Entry.Position)).Ref()
	must(bob.EditMessage(ctx, team, must(bob.Message(team, original.ID.String())).Ref(), "a hamper"))
	settle(t, bob, alice)
	if got := alice.finds(client.Query{Text: "lunchbox"}); len(got) > 0 {
		t.Errorf("what it said before an edit is found: %q", got)
	}
	if got := alice.finds(client.Query{Text: "hamper"}); !slices.Equal(got, []string{"a «hamper»"}) {
		t.Errorf("after an edit: %q", got)
	}
	must(bob.DeleteMessage(ctx, team, must(bob.Message(team, original.ID.String())).Ref()))
	settle(t, bob, alice)
	if got := alice.finds(client.Query{Text: "hamper"}); len(got) > 0 {
		t.Errorf("what was deleted is found: %q", got)
	}
}

func TestSearchRefuses(t *testing.T) {
	s := newServer(t, nil)
	alice := s.device(t)
	alice.register("alice")
	for query, kind := range map[string]qpq.Kind{"in:nobody x": qpq.NotFound, "from:a@b@c x": qpq.Invalid, "has:money": qpq.Invalid, "": qpq.Invalid, "before:noon x": qpq.Invalid} {
		_, _, err := alice.Search(context.Background(), client.Query{Text: query})
		if !errors.Is(err, kind) {
			t.Errorf("%q: %v", query, err)
		}
	}
}

// TestSearchEndsInParts has a query whose terms many messages have that do not fit, that for where its words meet among them: a call ends before it looked at all of them, and the next goes on.
func TestSearchEndsInParts(t *testing.T) {
	s := newServer(t, nil)
	alice := s.device(t)
	alice.register("alice")
	ctx := context.Background()
	notes := must(alice.Direct(ctx, alice.user()))
	must(alice.SendText(ctx, notes, "one two"))
	const many = 25000
	own := alice.user()
	check(t, alice.profile.Change(func(tx *profile.Tx) error {
		for i := range many {
			m := wire.Message{ID: [16]byte{1, byte(i), byte(i >> 8)}, Sent: time.Now(), Body: wire.TextBody{Text: fmt.Sprintf("one and two, none twice, %d", i)}}
			_, err := tx.AddEntry(profile.Entry{Channel: notes, Time: m.Sent, State: profile.Received, Kind: profile.KindText, Sender: own, ID: m.ID, Content: must(wire.Marshal(m))})
			if err != nil {
				return err
			}
		}
		return nil
	}))
	calls := 0
	q := client.Query{Text: `"one two"`}
	for {
		hits, next := must2(alice.Search(ctx, q))
		calls++
		if len(hits) == 1 {
			break
		}
		if next == 0 || calls > 10 {
			t.Fatalf("nothing was found in %d calls", calls)
		}
		q.Before = next
	}
	if calls < 2 {
		t.Errorf("%d calls", calls)
	}
}
