package client_test

import (
	"slices"
	"testing"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/wire"
)

// replaying is a network whose server hands out again what it was given before, as rows of its choice.
type replaying struct {
	tap
	sent map[client.MessageID][]byte // ciphertexts
	rows []wire.InboxRow             // the next answer of the inbox, none for what the server has
	head uint64                      // that it goes with
}

func (s *server) replaying() *replaying {
	r := &replaying{tap: tap{dial: s.dial}, sent: map[client.MessageID][]byte{}}
	r.lie = func(method uint16, request []byte) (uint16, []byte, bool) {
		switch method {
		case wire.Send{}.Method().Ordinal:
			q := must(wire.Unmarshal[wire.Send](request))
			r.sent[q.ID] = slices.Clone(q.Payload)
		case wire.InboxFetch{}.Method().Ordinal:
			if r.rows == nil {
				return 0, nil, false
			}
			reply := wire.InboxFetchReply{Rows: r.rows, Acknowledged: must(wire.Unmarshal[wire.InboxFetch](request)).Acknowledged, Head: r.head}
			r.rows = nil
			return 0, must(wire.Marshal(reply)), true
		case wire.InboxAck{}.Method().Ordinal: // of what there is not
			if must(wire.Unmarshal[wire.InboxAck](request)).Sequence == r.head {
				r.head = 0
				return 0, must(wire.Marshal(wire.InboxAckReply{})), true
			}
		}
		return 0, nil, false
	}
	return r
}

// hands has a device receive a row under the next number.
func (r *replaying) hands(d *device, row wire.InboxRow) {
	d.t.Helper()
	r.head = must(d.profile.Inbox()).Processed + 1
	row.Sequence, row.Time = r.head, time.Now()
	r.rows = []wire.InboxRow{row}
	check(d.t, d.Sync(d.t.Context()))
	if r.rows != nil {
		d.t.Fatal("it was not fetched")
	}
}

// again has a device receive a ciphertext that was sent before, under the next number, as a message of whatever id and device.
func (r *replaying) again(d *device, id qpq.ChannelID, ciphertext []byte, m client.MessageID, from *device) {
	d.t.Helper()
	if len(ciphertext) == 0 {
		d.t.Fatal("it was not sent")
	}
	r.hands(d, wire.InboxRow{Kind: wire.InboxKindMessage, Channel: id, ChannelSequence: must(d.profile.Channel(id)).Sequence + 1, Payload: ciphertext, ID: m,
		From: &wire.MemberDevice{User: from.user(), Device: must(from.profile.Account()).Device.ID()}})
}

// edits gives a message another text, and has it sent.
func (d *device) edits(id qpq.ChannelID, m client.MessageID, text string) client.MessageID {
	d.t.Helper()
	sent := must(d.EditMessage(d.t.Context(), id, d.line(id, m).Ref(), text))
	check(d.t, d.Sync(d.t.Context()))
	check(d.t, d.Wait(d.t.Context(), id, sent))
	return sent
}

// reacts puts an emoji on a message, or takes it off, and has it sent.
func (d *device) reacts(id qpq.ChannelID, m client.MessageID, emoji string, remove bool) client.MessageID {
	d.t.Helper()
	sent := must(d.React(d.t.Context(), id, d.line(id, m).Ref(), emoji, remove))
	check(d.t, d.Sync(d.t.Context()))
	check(d.t, d.Wait(d.t.Context(), id, sent))
	return sent
}

// shows fails unless a device shows that a message says something now, and so many reactions to it.
func (d *device) shows(id qpq.ChannelID, m client.MessageID, text string, reactions int) {
	d.t.Helper()
	if got := d.line(id, m).Message; got.Text != text || len(got.Reactions) != reactions {
		d.t.Errorf("it says %q to %s and not %q, and has %d reactions, not %d; notices %q", got.Text, d.user(), text, len(got.Reactions), reactions, d.codes(id))
	}
}

// onTwoDevices has alice, on two devices, and bob in a conversation.
func onTwoDevices(t *testing.T, s *server) (alice, phone, bob *device, id qpq.ChannelID) {
	t.Helper()
	alice, phone, bob = s.device(t), s.device(t), s.device(t)
	alice.register("alice")
	bob.register("bob")
	must(phone.Login(t.Context(), "alice", with(secret), "phone"))
	id = must(alice.Direct(t.Context(), bob.user()))
	settle(t, alice, phone, bob, alice)
	return alice, phone, bob, id
}

// TestWhatIsReplayedTakesNoEffectAgain: a server hands out rows of this device's own edits and reactions once more, before and after newer ones of
// this device and of another one of the account, over a restart, and with the ids of others.
func TestWhatIsReplayedTakesNoEffectAgain(t *testing.T) {
	s := newServer(t, nil)
	alice, phone, bob, id := onTwoDevices(t, s)
	hub := s.replaying()
	alice.reopen(hub.connect)
	phone.reopen(hub.connect)
	bob.reopen(hub.connect)
	m := alice.says(id, "zero")
	settle(t, phone, bob)

	one, on := alice.edits(id, m, "one"), alice.reacts(id, m, "👍", false)
	hub.again(alice, id, hub.sent[one], one, alice)
	alice.shows(id, m, "one", 1)
	two, off := alice.edits(id, m, "two"), alice.reacts(id, m, "👍", true)
	for range 2 {
		hub.again(alice, id, hub.sent[one], one, alice)
		hub.again(alice, id, hub.sent[on], on, alice)
		alice.shows(id, m, "two", 0)
		alice.reopen(hub.connect)
	}
	settle(t, phone, bob)
	three, back := phone.edits(id, m, "three"), phone.reacts(id, m, "👍", false)
	settle(t, alice, bob)
	for _, old := range []client.MessageID{one, two, on, off} {
		hub.again(alice, id, hub.sent[old], old, alice)
		hub.again(alice, id, hub.sent[three], old, alice) // of another device: its key is used up
		alice.shows(id, m, "three", 1)
	}
	alice.edits(id, m, "four")
	alice.reacts(id, m, "👍", true)
	for _, old := range []client.MessageID{three, back} { // which are of the phone
		hub.again(alice, id, hub.sent[old], old, alice)
		hub.again(alice, id, hub.sent[old], old, phone)
	}
	alice.shows(id, m, "four", 0)
	settle(t, phone, bob)
	for _, d := range []*device{phone, bob} {
		hub.again(d, id, hub.sent[one], one, alice)
		hub.again(d, id, hub.sent[on], on, alice)
		d.shows(id, m, "four", 0)
	}
}

// TestDevicesAgreeOnWhatWasWrittenOffline: the phone edits without a connection what its other device edits meanwhile, or before. What comes last in the
// conversation counts on all devices, also where the phone changed its mind twice, and where its last edit is given up.
func TestDevicesAgreeOnWhatWasWrittenOffline(t *testing.T) {
	s := newServer(t, nil)
	alice, phone, bob, id := onTwoDevices(t, s)
	m := alice.says(id, "zero")
	settle(t, phone, bob)
	ctx := t.Context()
	ref := phone.line(id, m).Ref()
	must(phone.EditMessage(ctx, id, ref, "offline"))
	must(phone.React(ctx, id, ref, "👍", true))
	alice.edits(id, m, "meanwhile")
	alice.reacts(id, m, "👍", false)
	settle(t, phone, bob, alice)
	for _, d := range []*device{alice, phone, bob} {
		d.shows(id, m, "offline", 0)
		all := must(d.Edits(d.line(id, m).Ref()))
		if got := all[len(all)-1].Message.Text; got != "offline" {
			t.Errorf("%s says that %q was the last edit", d.user(), got)
		}
	}
	alice.edits(id, m, "again")
	must(phone.EditMessage(ctx, id, ref, "first thought"))
	must(phone.EditMessage(ctx, id, ref, "second thought"))
	phone.shows(id, m, "second thought", 0)
	settle(t, phone, bob, alice)
	for _, d := range []*device{alice, phone, bob} {
		d.shows(id, m, "second thought", 0)
	}
	must(phone.EditMessage(ctx, id, ref, "never sent"))
	_, _, err := phone.ClearOutbox(ctx, id)
	check(t, err)
	phone.shows(id, m, "second thought", 0)
	alice.reacts(id, m, "👍", false)
	settle(t, phone, alice)
	for _, remove := range []bool{true, false} { // neither taking it off nor putting it on once more comes to anything
		must(phone.React(ctx, id, ref, "👍", remove))
		_, _, err = phone.ClearOutbox(ctx, id)
		check(t, err)
		phone.shows(id, m, "second thought", 1)
	}
	alice.reacts(id, m, "👍", true)
	settle(t, phone, alice)
	must(phone.React(ctx, id, ref, "👍", false))
	phone.shows(id, m, "second thought", 1)
	_, _, err = phone.ClearOutbox(ctx, id)
	check(t, err)
	phone.shows(id, m, "second thought", 0)
}

// TestWhatIsReplayedToARestoredDeviceTakesNoEffectAgain: alice's profile is an older copy, which knows one edit of its own, and joins anew. What she cannot
// decrypt any more the server says to be hers.
func TestWhatIsReplayedToARestoredDeviceTakesNoEffectAgain(t *testing.T) {
	s := newServer(t, nil)
	alice, phone, bob, id := onTwoDevices(t, s)
	hub := s.replaying()
	alice.reopen(hub.connect)
	m := alice.says(id, "zero")
	one := alice.edits(id, m, "one")
	alice.close()
	backup := t.TempDir()
	check(t, copyFiles(alice.dir, backup))
	alice.open(s.dial)
	settle(t, alice, phone)
	alice.says(id, "newer")
	settle(t, phone, bob)
	alice.close()
	check(t, copyFiles(backup, alice.dir))
	alice.open(hub.connect)
	settle(t, alice, bob, phone)
	if !alice.noticed("old-copy") {
		t.Fatalf("alice was told %v", alice.notices)
	}
	phone.edits(id, m, "two")
	settle(t, alice)
	alice.shows(id, m, "two", 0)
	hub.again(alice, id, hub.sent[one], one, alice)
	alice.shows(id, m, "two", 0)
}

// TestWhatWasSaidOfAnEarlierMembershipIsOver: bob was removed and is a member again, and left once more and is a member again. The server hands out the rows
// that tell of the ends once more, to bob and to alice, who may remove him.
func TestWhatWasSaidOfAnEarlierMembershipIsOver(t *testing.T) {
	s := newServer(t, nil)
	id, alice, bob, carol := three(t, s)
	hub := s.replaying()
	alice.reopen(hub.connect)
	bob.reopen(hub.connect)
	settle(t, alice, bob, carol)
	for name, end := range map[string]func() error{
		"removed": func() error { return alice.Remove(t.Context(), id, bob.user()) },
		"left":    func() error { return bob.Leave(t.Context(), id) },
	} {
		check(t, end())
		at := must(carol.profile.Channel(id)).Sequence // of the last row before he was a member no longer, or of the one that says so
		settle(t, alice, bob, carol)
		check(t, alice.Invite(t.Context(), id, bob.user()))
		settle(t, bob, alice, carol)
		hub.hands(bob, wire.InboxRow{Kind: wire.InboxKindRemoved, Channel: id, ChannelSequence: at})
		if v := must(bob.Conversation(id)); v.Standing != client.Active {
			t.Errorf("bob, who was %s once, stands as %v; notices %q", name, v.Standing, bob.codes(id))
		}
		hub.hands(alice, wire.InboxRow{Kind: wire.InboxKindLeft, Channel: id, ChannelSequence: at, From: &wire.MemberDevice{User: bob.user()}})
		settle(t, alice, bob, carol)
		if got := alice.members(id); !slices.Contains(got, "bob") {
			t.Errorf("bob, who was %s once, is none of %q; alice was told %q", name, got, alice.codes(id))
		}
	}
	talk(t, id, alice, bob, carol)
}

// TestWhoLeftLeavesNoOtherBranch: bob left, and the server names, as its newest change, one from before he joined of which he knows nothing: others may have
// gone another way there, and have added him. He does not end a membership that he cannot tell from the one that he ended.
func TestWhoLeftLeavesNoOtherBranch(t *testing.T) {
	s := newServer(t, nil)
	id, alice, bob, _ := three(t, s)
	joined := must(bob.profile.Channel(id)).Joined
	heads := map[string]wire.ChannelHead{
		"from before he joined": {Channel: id, Slot: joined - 1, Commit: [32]byte{1}, Sequence: 1},
		"by which he joined":    {Channel: id, Slot: joined, Commit: [32]byte{1}, Sequence: 1},
	}
	real := wire.ChannelHead{Channel: id, Slot: joined, Commit: must(wire.Unmarshal[wire.SlotReceipt](must(bob.profile.Channel(id)).Head)).Commit, Sequence: 1}
	check(t, alice.UpdateKeys(t.Context(), id))
	check(t, bob.Leave(t.Context(), id))
	for name, head := range heads {
		network := &tap{dial: s.lying(lies{wire.ChannelsList{}.Method().Ordinal: reply(wire.ChannelsListReply{Channels: []wire.ChannelHead{head}})})}
		bob.reopen(network.connect)
		_ = bob.Sync(t.Context())
		if n := network.called(wire.ChannelLeave{}); n > 0 {
			t.Errorf("%s: bob left %d times", name, n)
		}
	}
	network := &tap{dial: s.lying(lies{wire.ChannelsList{}.Method().Ordinal: reply(wire.ChannelsListReply{Channels: []wire.ChannelHead{real}})})}
	bob.reopen(network.connect)
	_ = bob.Sync(t.Context())
	if n := network.called(wire.ChannelLeave{}); n != 1 {
		t.Errorf("where the server forgot that he left he told it %d times", n)
	}
}
