//go:build !js

package profile_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/client/search"
)

var vocabulary = strings.Fields("weather Wetter météo 天気 天气 날씨 погода lunch dinner tomorrow ok no café straße the them other brother 🎉 7 42 iPhone手机")

func sentence(r *rand.Rand) string {
	words := make([]string, 1+r.IntN(6))
	for i := range words {
		words[i] = vocabulary[r.IntN(len(vocabulary))]
	}
	return strings.Join(words, []string{" ", ", "}[r.IntN(2)])
}

// TestIndexFindsWhatIsThere plays random histories of messages that are sent, edited and wiped, and compares what is found with what is there.
func TestIndexFindsWhatIsThere(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			var m profile.Memory
			p := must(m.Open(memoryKey))
			defer func() { check(t, p.Close()) }()
			r := rand.New(rand.NewPCG(seed, 1))
			said := map[int64]string{}
			var order []int64
			n := 0
			for range 30 {
				check(t, p.Change(func(tx *profile.Tx) error {
					for range 1 + r.IntN(80) {
						n++
						text := sentence(r)
						position, err := tx.AddEntry(textEntry(n, text))
						if err != nil {
							return err
						}
						said[position] = text
						order = append(order, position)
						pick := order[r.IntN(len(order))]
						if _, ok := said[pick]; !ok {
							continue
						}
						switch r.IntN(12) {
						case 0:
							n++
							text := sentence(r)
							at, err := edit(tx, n, pick, text)
							if err != nil {
								return err
							}
							if r.IntN(3) == 0 { // it is never sent
								if err := errors.Join(tx.SetEntry(at, profile.Failed, time.Now(), time.Now()), tx.Undo(at)); err != nil {
									return err
								}
								continue
							}
							said[pick] = text
						case 1:
							if err := tx.Wipe(pick, profile.Expired); err != nil {
								return err
							}
							delete(said, pick)
						}
					}
					return nil
				}))
				if r.IntN(4) == 0 {
					check(t, p.Index())
				}
				if r.IntN(10) == 0 {
					check(t, p.Close())
					p = must(m.Open(memoryKey))
				}
				compare(t, p, r, said)
			}
			for p.Backlog() > 0 {
				check(t, p.Index())
			}
			for range 10 {
				compare(t, p, r, said)
			}
		})
	}
}

// compare looks a few words up, and checks that all is found that says them, and nothing else.
func compare(t *testing.T, p *profile.Profile, r *rand.Rand, said map[int64]string) {
	t.Helper()
	for range 3 {
		query := ""
		for range 1 + r.IntN(3) {
			word := []rune(vocabulary[r.IntN(len(vocabulary))])
			from := r.IntN(len(word))
			query += " " + string(word[from:from+1+r.IntN(len(word)-from)])
		}
		q := must(search.Parse(query, time.Now()))
		var want []int64
		for position, text := range said {
			if _, _, ok := q.Match(text); ok {
				want = append(want, position)
			}
		}
		slices.SortFunc(want, func(a, b int64) int { return int(b - a) })
		if got := found(p, query); !slices.Equal(got, want) {
			t.Fatalf("%q is found at %v, and is at %v", query, got, want)
		}
	}
}

func TestLookupByMarkAndTime(t *testing.T) {
	var m profile.Memory
	p := must(m.Open(memoryKey))
	defer p.Close()
	other := book
	other[0]++
	for n := range 5000 {
		e := textEntry(n, "say")
		if n%1000 == 7 {
			e.Channel = other
		}
		if n == 2500 {
			e.Time = time.UnixMilli(0) // a clock was wrong
		}
		check(t, p.Change(func(tx *profile.Tx) error { _, err := tx.AddEntry(e); return err }))
	}
	for p.Backlog() > 0 {
		check(t, p.Index())
	}
	minute := func(n int) time.Time { return time.UnixMilli(int64(n) * 60_000) }
	positions := func(l profile.Lookup) (list []int64) {
		looked := lookedUp(p, l, 50)
		if len(looked) > 2*1024+200 && !(l.Since.IsZero() && l.Until.IsZero()) {
			t.Errorf("%d messages are gone through for some minutes", len(looked))
		}
		for _, v := range looked {
			if l.Allows(&v) {
				list = append(list, v.Position)
			}
		}
		return list
	}
	for name, c := range map[string]struct {
		l    profile.Lookup
		want []int64
	}{
		"conversation":            {profile.Lookup{Marks: [][]string{{profile.TermChannel(other)}}}, []int64{4008, 3008, 2008, 1008, 8}},
		"conversation and time":   {profile.Lookup{Marks: [][]string{{profile.TermChannel(other)}}, Since: minute(1007), Until: minute(3007)}, []int64{2008, 1008}},
		"since and until":         {profile.Lookup{Since: minute(4000), Until: minute(4003)}, []int64{4003, 4002, 4001}},
		"what has the wrong time": {profile.Lookup{Until: minute(1)}, []int64{2501, 1}},
		"none of a user":          {profile.Lookup{Marks: [][]string{{"@bob@example.org"}}}, nil},
		"a word and none":         {profile.Lookup{Words: []string{"say", "sax"}}, nil},
		"before a position":       {profile.Lookup{Words: []string{"say"}, Before: 3}, []int64{2, 1}},
		"before all":              {profile.Lookup{Until: time.UnixMilli(-5)}, nil},
		"after all":               {profile.Lookup{Since: minute(9000)}, nil},
	} {
		if got := positions(c.l); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, not %v", name, got, c.want)
		}
	}
	check(t, p.Change(func(tx *profile.Tx) error { return tx.SetEntry(10, profile.Accepted, minute(4999), minute(4999)) }))
	if got := positions(profile.Lookup{Since: minute(4999)}); !slices.Equal(got, []int64{5000, 10}) {
		t.Errorf("after a time has changed: %v", got)
	}
}
