package node

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/mls/frame"
	"github.com/quicproquo/qpq/wire"
)

// heavy is a commit that claims something and has so many bytes more than it needs.
func (x *room) heavy(c wire.Claim, size int) wire.ChannelCommit {
	q := x.commit(c)
	q.Commit = private(x.id, x.epoch[c.Parent], frame.Commit, must(wire.Marshal(c)), strings.Repeat("x", size))
	return q
}

// TestAStrangerDropsNobodysMessages: mallory adds bob to a conversation of hers and fills his inbox with commits.
func TestAStrangerDropsNobodysMessages(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Limits.Inbox = 256 << 10 })
	alice, bob, mallory := r.join("alice"), r.join("bob"), r.join("mallory")
	x := r.create(alice, nil)
	x.take(alice, x.commit(add(1, 0, bob)))
	x.say(alice, "important", 1)
	y := r.create(mallory, nil)
	y.take(mallory, y.commit(add(1, 0, bob)))
	for slot := uint64(2); slot < 20; slot++ {
		y.take(mallory, y.heavy(wire.Claim{Slot: slot, Parent: slot - 1}, 30<<10))
	}
	rows := call(bob.line, wire.InboxFetch{}).Rows
	if lines := bob.inbox(0); !slices.Contains(lines, "message 2 important") {
		t.Errorf("what a stranger sent bob made the server drop the message of a friend:\n%.300q", lines)
	}
	if i := slices.IndexFunc(rows, func(w wire.InboxRow) bool { return w.Kind == wire.InboxKindGap }); i < 0 || rows[i].Channel != y.id {
		t.Errorf("nothing says that commits are missing: %d rows", len(rows))
	}
}

// TestManySmallChannelsDropNobodysMessages: so it is when mallory spreads the same over many conversations, each smaller than that of a friend.
func TestManySmallChannelsDropNobodysMessages(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Limits.Inbox = 256 << 10 })
	alice, bob, mallory := r.join("alice"), r.join("bob"), r.join("mallory")
	x := r.create(alice, nil)
	x.take(alice, x.commit(add(1, 0, bob)))
	x.say(alice, "important "+strings.Repeat("x", 60<<10), 1)
	own := r.create(bob, nil)
	own.say(bob, "to myself "+strings.Repeat("x", 60<<10), 0)
	for range 15 {
		y := r.create(mallory, nil)
		y.take(mallory, y.heavy(add(1, 0, bob), 20<<10))
	}
	seen := map[qpq.ChannelID]int{}
	for _, row := range call(bob.line, wire.InboxFetch{}).Rows {
		if row.Kind == wire.InboxKindMessage {
			seen[row.Channel]++
		}
	}
	if seen[x.id] != 1 || seen[own.id] != 1 {
		t.Errorf("messages by conversation: %v", seen)
	}
}

// TestHandshakesAreBounded: what is larger than the change explains is refused.
func TestHandshakesAreBounded(t *testing.T) {
	r := newRig(t, nil)
	alice, bob := r.join("alice"), r.join("bob")
	q := r.founding(alice, nil)
	q.Group.Chunks = append(q.Group.Chunks, make([]byte, 50<<10))
	refused(alice.line, q, qpq.TooLarge, wire.CodeHandshakeTooLarge)
	x := r.create(alice, nil)
	refused(alice.line, x.heavy(wire.Claim{Slot: 1, Parent: 0}, 33<<10), qpq.TooLarge, wire.CodeHandshakeTooLarge)
	large := x.commit(add(1, 0, bob))
	large.Welcome = welcome(strings.Repeat("x", 50<<10))
	refused(alice.line, large, qpq.TooLarge, wire.CodeHandshakeTooLarge)
	large = x.commit(add(1, 0, bob))
	large.Group.Chunks = append(large.Group.Chunks, make([]byte, 50<<10))
	refused(alice.line, large, qpq.TooLarge, wire.CodeHandshakeTooLarge)
	x.take(alice, x.heavy(add(1, 0, bob), 40<<10))
	x.take(alice, x.heavy(wire.Claim{Slot: 2, Parent: 1}, 36<<10))
	if fmt.Sprint(x.members(bob)) != "[alice owner bob member]" {
		t.Error(x.members(bob))
	}
}
