package client_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/client/conversation"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/wire"
)

// settle has devices receive and send all there is, until nobody has anything more for another.
func settle(t *testing.T, devices ...*device) {
	t.Helper()
	for range 3 {
		for _, d := range devices {
			check(t, d.Sync(context.Background()))
		}
	}
}

// texts returns what a device shows of a conversation: texts as "name: text", notices as their codes.
func (d *device) texts(id qpq.ChannelID) (list []string) {
	d.t.Helper()
	for _, e := range must(d.History(id, 0, 1000)) {
		if e.Message == nil {
			continue
		}
		list = append(list, e.Message.Sender.Name+": "+e.Message.Body.Body.(wire.TextBody).Text)
	}
	return list
}

// codes returns the notices that a device shows in a conversation.
func (d *device) codes(id qpq.ChannelID) (list []string) {
	d.t.Helper()
	for _, e := range must(d.History(id, 0, 1000)) {
		if e.Notice != nil {
			list = append(list, e.Notice.Code)
		}
	}
	return list
}

func (d *device) says(id qpq.ChannelID, text string) client.MessageID {
	d.t.Helper()
	m, err := d.SendText(context.Background(), id, text)
	check(d.t, err)
	check(d.t, d.Sync(context.Background()))
	check(d.t, d.Wait(context.Background(), id, m))
	return m
}

func shows(t *testing.T, id qpq.ChannelID, want []string, devices ...*device) {
	t.Helper()
	for _, d := range devices {
		if got := d.texts(id); !slices.Equal(got, want) {
			t.Errorf("%s shows %q and not %q; notices %q", d.user(), got, want, d.codes(id))
		}
	}
}

func TestTwoPeopleTalk(t *testing.T) {
	s := newServer(t, nil)
	alice, bob := s.device(t), s.device(t)
	alice.register("alice")
	bob.register("bob")
	ctx := context.Background()
	id := must(alice.Direct(ctx, bob.user()))
	alice.says(id, "hello")
	check(t, bob.Sync(ctx))
	shows(t, id, []string{"alice: hello"}, alice, bob)
	if other := must(bob.Direct(ctx, alice.user())); other != id {
		t.Errorf("bob has another conversation with alice: %s", other)
	}
	bob.says(id, "hi")
	check(t, alice.Sync(ctx))
	alice.reopen(s.dial)
	alice.says(id, "how are you")
	check(t, bob.Sync(ctx))
	shows(t, id, []string{"alice: hello", "bob: hi", "alice: how are you"}, alice, bob)
	if v := must(bob.FindConversation("alice")); v.Unread != 2 || v.Peer != alice.user() || v.Standing != client.Active {
		t.Errorf("bob's conversation is %+v", v)
	}
}

func TestDirectConversationOpenedByBoth(t *testing.T) {
	s := newServer(t, nil)
	alice, bob := s.device(t), s.device(t)
	alice.register("alice")
	bob.register("bob")
	ctx := context.Background()
	ids := make(chan qpq.ChannelID, 2)
	for _, x := range [][2]*device{{alice, bob}, {bob, alice}} {
		go func() {
			id, err := x[0].Direct(ctx, x[1].user())
			if err != nil {
				t.Error(err)
			}
			ids <- id
		}()
	}
	a, b := <-ids, <-ids
	if a != b {
		t.Fatalf("two conversations were made: %s, %s", a, b)
	}
	settle(t, alice, bob)
	alice.says(a, "one")
	settle(t, bob)
	bob.says(a, "two")
	settle(t, alice)
	shows(t, a, []string{"alice: one", "bob: two"}, alice, bob)
}

func TestNotesToOneself(t *testing.T) {
	s := newServer(t, nil)
	laptop, phone := s.device(t), s.device(t)
	laptop.register("alice")
	_, err := phone.Login(t.Context(), "alice", with(secret), "phone")
	check(t, err)
	id := must(laptop.Direct(t.Context(), laptop.user()))
	settle(t, phone, laptop)
	laptop.says(id, "buy milk")
	settle(t, phone)
	phone.says(id, "done")
	settle(t, laptop)
	shows(t, id, []string{"alice: buy milk", "alice: done"}, laptop, phone)
	for _, d := range []*device{laptop, phone} {
		if v := must(d.FindConversation("alice")); v.ID != id || v.Peer != d.user() || len(v.Members) != 1 {
			t.Errorf("notes are %+v", v)
		}
		if again := must(d.Direct(t.Context(), d.user())); again != id {
			t.Errorf("notes were made again: %s", again)
		}
	}
}

func TestGroup(t *testing.T) {
	s := newServer(t, nil)
	alice, bob, carol := s.device(t), s.device(t), s.device(t)
	alice.register("alice")
	bob.register("bob")
	carol.register("carol")
	ctx := context.Background()
	id := must(alice.CreateGroup(ctx, "friends", bob.user()))
	alice.says(id, "one")
	settle(t, bob)
	check(t, bob.Invite(ctx, id, carol.user()))
	settle(t, alice, carol)
	carol.says(id, "two")
	settle(t, alice, bob)
	shows(t, id, []string{"alice: one", "carol: two"}, alice, bob)
	shows(t, id, []string{"carol: two"}, carol)

	wants(t, bob.Remove(ctx, id, carol.user()), qpq.Denied, "rule")
	check(t, alice.Remove(ctx, id, carol.user()))
	settle(t, bob, carol)
	alice.says(id, "three")
	settle(t, bob, carol)
	shows(t, id, []string{"carol: two"}, carol)
	shows(t, id, []string{"alice: one", "carol: two", "alice: three"}, alice, bob)
	if v := must(carol.Conversation(id)); v.Standing != client.Ended {
		t.Errorf("carol stands as %v", v.Standing)
	}
	if _, err := carol.SendText(ctx, id, "four"); !errors.Is(err, qpq.Denied) {
		t.Errorf("carol still writes: %v", err)
	}

	check(t, alice.Leave(ctx, id))
	settle(t, bob)
	bob.says(id, "alone")
	if v := must(bob.Conversation(id)); len(v.Members) != 1 || v.Role != wire.RoleOwner {
		t.Errorf("after alice left, bob sees %+v", v)
	}
}

func TestSecondDevice(t *testing.T) {
	s := newServer(t, nil)
	alice, bob, phone := s.device(t), s.device(t), s.device(t)
	alice.register("alice")
	bob.register("bob")
	ctx := context.Background()
	id := must(alice.Direct(ctx, bob.user()))
	alice.says(id, "before")
	_, err := phone.Login(ctx, "alice", with(secret), "phone")
	check(t, err)
	settle(t, phone, alice, bob)
	alice.says(id, "own")
	settle(t, bob, phone)
	bob.says(id, "hi")
	settle(t, alice, phone)
	phone.says(id, "from the phone")
	settle(t, alice, bob)
	shows(t, id, []string{"alice: before", "alice: own", "bob: hi", "alice: from the phone"}, alice, bob)
	shows(t, id, []string{"alice: own", "bob: hi", "alice: from the phone"}, phone)
}

// TestARevokedDeviceIsOutOfAllGroups looks at the group of another member.
func TestARevokedDeviceIsOutOfAllGroups(t *testing.T) {
	s := newServer(t, nil)
	ctx := context.Background()
	id, alice, bob, _ := three(t, s)
	phone := s.device(t)
	must(phone.Login(ctx, "alice", with(secret), "phone"))
	settle(t, alice, phone, bob)
	stolen := must(phone.profile.Account()).Device.ID()
	devices := func() []qpq.DeviceID {
		ch := must(bob.profile.Channel(id))
		config := conversation.Config{Account: func(u qpq.UserID) (*identity.AccountState, error) { return bob.profile.Contact(u) }}
		g := must(conversation.Restore(config, must(bob.profile.Group(id)), ch.Slot, conversation.Access{Slot: ch.AccessSlot, Key: ch.Access}))
		return must(g.Devices())[alice.user()]
	}
	if !slices.Contains(devices(), stolen) {
		t.Fatal("the phone is not in the group")
	}
	check(t, alice.RevokeDevice(ctx, stolen, with(secret)))
	settle(t, bob)
	if slices.Contains(devices(), stolen) {
		t.Error("the phone is in the group still")
	}
}
