//go:build !js

package profile_test

import (
	"fmt"
	"maps"
	"math/rand"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/profile"
)

var bob = qpq.UserID{Name: "bob", Domain: "example.org"}

// reader does to a profile whatever changes how many entries are new, by chance, and knows how far everything was read.
type reader struct {
	*rand.Rand
	p           *profile.Profile
	channels    []qpq.ChannelID
	n           int
	seen, roots map[qpq.ChannelID]int64 // of roots, those that threads begin with
	threads     map[int64]int64
}

// any returns the position of some entry, or one beyond.
func (r *reader) any() int64 { return 1 + r.Int63n(int64(r.n)+2) }

func (r *reader) step(tx *profile.Tx) error {
	id := r.channels[r.Intn(len(r.channels))]
	now := time.UnixMilli(int64(r.n))
	switch r.Intn(12) {
	case 0:
		at := r.any()
		r.seen[id] = max(r.seen[id], at)
		return tx.SetSeen(id, at, r.Intn(2) == 0, now)
	case 1:
		at := r.any()
		r.seen[id] = max(r.seen[id], at)
		return tx.SetRead(id, at, false, now)
	case 2:
		root, at := r.roots[id], r.any()
		if root == 0 {
			return nil
		}
		r.threads[root] = max(r.threads[root], at)
		return tx.SetThreadRead(root, at, false, now)
	case 3, 4:
		return tx.Wipe(r.any(), profile.Gone(1+r.Intn(3)))
	}
	return r.write(tx, id)
}

// write adds an entry of whatever kind. Some are there already.
func (r *reader) write(tx *profile.Tx, id qpq.ChannelID) error {
	again := r.Intn(10) == 0 && r.n > 0
	if !again {
		r.n++
	}
	e := textEntry(r.n, fmt.Sprint("message ", r.n))
	e.Channel, e.Sender = id, []qpq.UserID{alice, bob}[r.Intn(2)]
	e.State = []profile.EntryState{profile.Received, profile.Received, profile.Received, profile.Queued, profile.Noticed}[r.Intn(5)]
	e.Kind = []profile.Kind{profile.KindText, profile.KindText, profile.KindReply, profile.KindReaction, profile.KindReceipt}[r.Intn(5)]
	if e.State == profile.Noticed {
		e.Kind, e.Sender = profile.KindNotice, qpq.UserID{}
	}
	if e.Kind == profile.KindReply {
		e.Root = r.roots[id]
	}
	position, err := tx.AddEntry(e)
	if e.Root == 0 && position > 0 && r.Intn(3) == 0 {
		r.roots[id] = position
	}
	return err
}

// unread counts one by one.
func (r *reader) unread() map[qpq.ChannelID]int {
	count := map[qpq.ChannelID]int{}
	for _, id := range r.channels {
		count[id] = 0
	}
	for _, e := range must(r.p.Entries(0, 1<<30)) {
		if e.State == profile.Received && e.Kind.Line() && e.Gone == profile.There && e.Sender != alice && e.Position > r.seen[e.Channel] &&
			(e.Root == 0 || e.Position > r.threads[e.Root]) {
			count[e.Channel]++
		}
	}
	return count
}

func counted(p *profile.Profile) map[qpq.ChannelID]int {
	count := map[qpq.ChannelID]int{}
	for id, sum := range must(p.Summaries()) {
		count[id] = sum.Unread
	}
	return count
}

func TestUnreadIsWhatCountingTells(t *testing.T) {
	c := profile.Config{Path: filepath.Join(t.TempDir(), "profile.db"), Key: make([]byte, profile.KeySize)}
	p := must(profile.Open(c))
	defer func() { check(t, p.Close()) }()
	check(t, p.SetAccount(newAccount()))
	r := &reader{rand.New(rand.NewSource(1)), p, []qpq.ChannelID{{1}, {2}, {3}}, 0, map[qpq.ChannelID]int64{}, map[qpq.ChannelID]int64{}, map[int64]int64{}}
	most := 0
	for round := range 300 {
		check(t, p.Change(func(tx *profile.Tx) error {
			for range 10 {
				if round == 0 { // what comes before a conversation is known
					if err := r.write(tx, r.channels[0]); err != nil {
						return err
					}
				} else if err := r.step(tx); err != nil {
					return err
				}
			}
			if round > 0 {
				return nil
			}
			for _, id := range r.channels {
				if err := tx.SetChannel(profile.Channel{ID: id, Standing: profile.Active}); err != nil {
					return err
				}
			}
			return nil
		}))
		got, want := counted(p), r.unread()
		if !maps.Equal(got, want) {
			t.Fatalf("round %d: unread are %v, and counted one by one %v", round, got, want)
		}
		most = max(most, slices.Max(slices.Collect(maps.Values(want))))
	}
	if most < 5 {
		t.Fatalf("never more than %d were unread: nothing was tested", most)
	}
	check(t, profile.Undo(p, 7)) // as an older release left it
	check(t, p.Close())
	p = must(profile.Open(c))
	r.p = p
	if got, want := counted(p), r.unread(); !maps.Equal(got, want) {
		t.Errorf("after an upgrade unread are %v, and counted one by one %v", got, want)
	}
}
