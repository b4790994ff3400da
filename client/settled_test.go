package client_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/wire"
)

// restored returns in how many conversations a device restored, or tried to, the group: with nothing stored of it, it says that it is lost.
func (d *device) restored(ids []qpq.ChannelID) (n int) {
	d.t.Helper()
	for _, id := range ids {
		if slices.Contains(d.codes(id), "damaged") {
			n++
		}
	}
	return n
}

// TestASettledConversationIsNotRestored: where nothing is to do, a program that starts does not restore the groups of a person's conversations;
// the one that is written to is.
func TestASettledConversationIsNotRestored(t *testing.T) {
	s := newServer(t, nil)
	ctx := context.Background()
	alice, bob := s.device(t), s.device(t)
	alice.register("alice")
	bob.register("bob")
	var ids []qpq.ChannelID
	for i := range 12 {
		ids = append(ids, must(alice.CreateGroup(ctx, fmt.Sprint("group ", i), bob.user())))
	}
	settle(t, bob, alice)
	lose := func() {
		for _, id := range ids {
			check(t, bob.profile.Change(func(tx *profile.Tx) error { return tx.ClearGroup(id) }))
		}
		bob.reopen(s.dial)
	}
	lose()
	for range 2 {
		check(t, bob.Sync(ctx))
		bob.reopen(s.dial)
	}
	if n := bob.restored(ids); n != 0 {
		t.Errorf("%d of %d settled conversations were restored", n, len(ids))
	}
	alice.says(ids[5], "anybody there?")
	check(t, bob.Sync(ctx))
	if n := bob.restored(ids); n != 1 {
		t.Errorf("one was written to, and %d were restored", n)
	}
	bob.says(ids[5], "yes")
	check(t, alice.Sync(ctx))
	shows(t, ids[5], []string{"alice: anybody there?", "bob: yes"}, alice)
	must(s.device(t).Login(ctx, "alice", with(secret), "phone"))
	must(bob.Lookup(ctx, alice.user()))
	check(t, bob.Sync(ctx))
	if n := bob.restored(ids); n != len(ids) {
		t.Errorf("a member of all has another device, and %d of %d were looked after", n, len(ids))
	}
}

// TestWhatWasLeftToDoIsDoneAfterARestart: bob's conversation is settled. Then something comes that has to be done, and his program ends before
// it does it.
func TestWhatWasLeftToDoIsDoneAfterARestart(t *testing.T) {
	unavailable := lies{wire.ChannelCommit{}.Method().Ordinal: answer(qpq.E(qpq.Unavailable, "gone", "the server is busy"))}
	for name, happens := range map[string]func(s *server, id qpq.ChannelID, alice, bob *device){
		"a device was revoked": func(s *server, _ qpq.ChannelID, alice, bob *device) {
			phone := must(s.device(t).Login(t.Context(), "alice", with(secret), "phone")).Device
			settle(t, alice, bob) // alice brings it in
			settled(t, bob)
			alice.reopen(s.lying(unavailable))
			_ = alice.RevokeDevice(t.Context(), phone, with(secret))
			alice.reopen(s.dial)
			must(bob.Lookup(t.Context(), alice.user()))
		},
		"the answer to a commit was lost": func(s *server, id qpq.ChannelID, _, bob *device) {
			b := &breaking{server: s}
			bob.reopen(b.dial)
			check(t, bob.Sync(t.Context()))
			b.method.Store(int32(wire.ChannelCommit{}.Method().Ordinal))
			wants(t, bob.UpdateKeys(t.Context(), id), qpq.Unavailable, "unanswered")
		},
		"garbage came": func(s *server, id qpq.ChannelID, alice, bob *device) {
			ch := must(bob.profile.Channel(id))
			alice.close()
			alice.open(s.dial)
			_, err := wire.Call(t.Context(), s.steal(t, alice), garbage(id, ch.Slot+1, ch.Epoch, ch.AccessSlot))
			check(t, err)
			bob.reopen(s.lying(unavailable))
			_ = bob.Sync(t.Context())
		},
		"somebody left": func(s *server, id qpq.ChannelID, alice, bob *device) {
			check(t, alice.Leave(t.Context(), id))
			bob.reopen(s.lying(unavailable))
			_ = bob.Sync(t.Context())
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, nil)
			id, alice, bob, _ := three(t, s)
			settle(t, bob, alice)
			settled(t, bob)
			happens(s, id, alice, bob)
			network := &tap{dial: s.dial}
			bob.reopen(network.connect)
			settle(t, bob)
			if n := network.called(wire.ChannelCommit{}); n != 1 {
				t.Errorf("it was done %d times", n)
			}
			settled(t, bob)
			bob.reopen(network.connect)
			settle(t, bob)
			if n := network.called(wire.ChannelCommit{}); n != 0 {
				t.Errorf("and again %d times", n)
			}
			bob.says(id, "all is well")
		})
	}
}

// settled fails unless all conversations of a device are.
func settled(t *testing.T, d *device) {
	t.Helper()
	for _, ch := range must(d.profile.Channels()) {
		if !ch.Settled {
			t.Errorf("the conversation %s of %s is not settled: %+v; notices %q", ch.ID, d.user(), ch.Standing, d.codes(ch.ID))
		}
	}
}

// TestAGapIsAskedAboutAfterARestart: messages of bob's inbox were dropped, and his program ends before it could ask who is a member still.
func TestAGapIsAskedAboutAfterARestart(t *testing.T) {
	s := newServer(t, nil)
	id, alice, bob, _ := three(t, s)
	settle(t, bob, alice)
	settled(t, bob)
	at := *must(bob.profile.Inbox())
	gap := []wire.InboxRow{{Sequence: at.Processed + 1, Kind: wire.InboxKindGap, Channel: id, ChannelSequence: must(bob.profile.Channel(id)).Sequence, Time: time.Now()}}
	network := &tap{dial: s.dial, lie: func(method uint16, _ []byte) (uint16, []byte, bool) {
		switch method {
		case wire.InboxFetch{}.Method().Ordinal:
			reply := wire.InboxFetchReply{Rows: gap, Acknowledged: at.Acknowledged, Head: at.Processed + 1}
			gap = nil
			return 0, must(wire.Marshal(reply)), true
		case wire.InboxAck{}.Method().Ordinal, wire.ChannelInfo{}.Method().Ordinal:
			status, reply := wire.EncodeError(qpq.E(qpq.Unavailable, "gone", "the server is busy"))
			return status, reply, true
		}
		return 0, nil, false
	}}
	bob.reopen(network.connect)
	_ = bob.Sync(t.Context())
	network = &tap{dial: s.dial}
	bob.reopen(network.connect)
	settle(t, bob)
	if n := network.called(wire.ChannelInfo{}); n != 1 {
		t.Errorf("the hub was asked %d times who is a member", n)
	}
	settled(t, bob)
}
