package client_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/wire"
)

// asks has a change wait on a device.
func (d *device) asks(id qpq.ChannelID, a client.Amendment) {
	d.t.Helper()
	a.Conversation = id
	check(d.t, d.AmendLater(a))
}

// asked returns the changes that wait on a device.
func (d *device) asked() (list []string) {
	d.t.Helper()
	for _, a := range must(d.Amendments()) {
		list = append(list, a.String())
	}
	return list
}

func invite(d ...*device) client.Amendment {
	a := client.Amendment{Kind: client.AmendInvite}
	for _, d := range d {
		a.Users = append(a.Users, d.user())
	}
	return a
}

// members returns who is in a conversation, as a device knows it.
func (d *device) members(id qpq.ChannelID) (list []string) {
	d.t.Helper()
	for _, m := range must(d.Conversation(id)).Members {
		list = append(list, m.User.Name)
	}
	slices.Sort(list)
	return list
}

// toldIn returns the notices of a code in a conversation.
func (d *device) toldIn(id qpq.ChannelID, code string) (list []string) {
	d.t.Helper()
	for _, e := range must(d.History(id, 0, 1000)) {
		if e.Notice != nil && e.Notice.Code == code {
			list = append(list, e.Notice.Text)
		}
	}
	return list
}

// added returns how often a device was told that somebody was added.
func (d *device) added(id qpq.ChannelID, who *device) (n int) {
	for _, text := range d.toldIn(id, "added") {
		if strings.Contains(text, " added "+who.user().String()) {
			n++
		}
	}
	return n
}

// club returns the devices of people, and a group of the first two, the first of whom is its owner.
func club(t *testing.T, s *server, names ...string) (id qpq.ChannelID, devices []*device) {
	t.Helper()
	for _, name := range names {
		d := s.device(t)
		d.register(name)
		devices = append(devices, d)
	}
	id = must(devices[0].CreateGroup(t.Context(), "club", devices[1].user()))
	settle(t, devices...)
	return id, devices
}

// TestAChangeKeepsItsPlaceAmongMessages: who is invited offline reads what was said after that and nothing from before, who is removed
// the other way round, over a restart too, and other conversations wait for none of it.
func TestAChangeKeepsItsPlaceAmongMessages(t *testing.T) {
	s := newServer(t, nil)
	id, all := club(t, s, "alice", "bob", "carol", "dave")
	alice, bob, carol, dave := all[0], all[1], all[2], all[3]
	s.Stop()
	ctx := t.Context()
	wants(t, alice.Invite(ctx, id, carol.user()), qpq.Unavailable, "cannot-connect")
	must(alice.SendText(ctx, id, "before both"))
	alice.asks(id, invite(carol, dave))
	must(alice.SendText(ctx, id, "for five"))
	alice.asks(id, client.Amendment{Kind: client.AmendRemove, Users: []qpq.UserID{bob.user()}})
	alice.asks(id, client.Amendment{Kind: client.AmendTitle, Title: "not bob"})
	must(alice.SendText(ctx, id, "without bob"))
	want := []string{"add carol@example.org", "add dave@example.org", "remove bob@example.org", `call the conversation "not bob"`}
	if got := alice.asked(); !slices.Equal(got, want) {
		t.Fatalf("%q waits", got)
	}
	alice.reopen(s.dial)
	wants(t, alice.Sync(ctx), qpq.Unavailable, "cannot-connect")
	if got := alice.asked(); !slices.Equal(got, want) {
		t.Fatalf("after a restart %q waits", got)
	}
	s.Start()
	settle(t, all...)
	if got := alice.asked(); len(got) > 0 {
		t.Errorf("%q still waits", got)
	}
	shows(t, id, []string{"alice: before both", "alice: for five", "alice: without bob"}, alice)
	shows(t, id, []string{"alice: before both", "alice: for five"}, bob)
	shows(t, id, []string{"alice: for five", "alice: without bob"}, carol, dave)
	if v := must(dave.Conversation(id)); v.Title != "not bob" || !slices.Equal(dave.members(id), []string{"alice", "carol", "dave"}) {
		t.Errorf("dave has %+v", v)
	}
	if v := must(bob.Conversation(id)); v.Standing != client.Ended {
		t.Errorf("bob stands %v", v.Standing)
	}
}

// TestAllKindsOfChangesWait: each of them is made, and those who left have said what they said before.
func TestAllKindsOfChangesWait(t *testing.T) {
	s := newServer(t, nil)
	id, all := club(t, s, "alice", "bob")
	alice, bob := all[0], all[1]
	s.Stop()
	ctx, epoch := t.Context(), must(alice.Conversation(id)).Epoch
	alice.asks(id, client.Amendment{Kind: client.AmendRole, Users: []qpq.UserID{bob.user()}, Role: wire.RoleAdmin})
	alice.asks(id, client.Amendment{Kind: client.AmendTimer, Timer: time.Hour})
	alice.asks(id, client.Amendment{Kind: client.AmendKeys})
	must(alice.SendText(ctx, id, "farewell"))
	alice.asks(id, client.Amendment{Kind: client.AmendLeave})
	wants(t, alice.AmendLater(client.Amendment{Conversation: id, Kind: client.AmendTimer, Timer: time.Millisecond}), qpq.Invalid, "bad-timer")
	wants(t, alice.AmendLater(client.Amendment{Conversation: id, Kind: client.AmendTitle, Title: "\x1b"}), qpq.Invalid, "bad-title")
	wants(t, alice.AmendLater(client.Amendment{Conversation: id, Kind: client.AmendRemove, Users: []qpq.UserID{alice.user()}}), qpq.Invalid, "remove-self")
	wants(t, alice.AmendLater(client.Amendment{Conversation: qpq.ChannelID{9}, Kind: client.AmendKeys}), qpq.NotFound, wire.CodeChannelUnknown)
	s.Start()
	settle(t, all...)
	if v := must(bob.Conversation(id)); v.Role != wire.RoleOwner || v.Timer != time.Hour || v.Epoch < epoch+4 || !slices.Equal(bob.members(id), []string{"bob"}) {
		t.Errorf("bob has %+v", v)
	}
	shows(t, id, []string{"alice: farewell"}, bob)
	if got := alice.asked(); len(got) > 0 || must(alice.Conversation(id)).Standing != client.Ended {
		t.Errorf("%q waits, alice stands %v", got, must(alice.Conversation(id)).Standing)
	}
	wants(t, alice.AmendLater(client.Amendment{Conversation: id, Kind: client.AmendKeys}), qpq.Denied, "not-member")
}

// TestAChangeThatIsRefusedIsToldOnce, in its conversation, and what was said after it goes out.
func TestAChangeThatIsRefusedIsToldOnce(t *testing.T) {
	s := newServer(t, nil)
	id, all := club(t, s, "alice", "bob", "carol")
	alice, bob, carol := all[0], all[1], all[2]
	s.Stop()
	ctx := t.Context()
	bob.asks(id, client.Amendment{Kind: client.AmendInvite, Users: []qpq.UserID{{Name: "nobody", Domain: domain}, carol.user()}})
	must(bob.SendText(ctx, id, "one"))
	bob.asks(id, client.Amendment{Kind: client.AmendTitle, Title: "bob's"})
	bob.asks(id, client.Amendment{Kind: client.AmendRole, Users: []qpq.UserID{{Name: "dave", Domain: domain}}, Role: wire.RoleAdmin})
	must(bob.SendText(ctx, id, "two"))
	s.Start()
	settle(t, bob, alice, carol)
	shows(t, id, []string{"bob: one", "bob: two"}, alice, bob, carol)
	if v := must(alice.Conversation(id)); v.Title != "club" {
		t.Errorf("it is called %q", v.Title)
	}
	told := bob.toldIn(id, "not-changed")
	for i, want := range []string{"you asked to add nobody@example.org, and that was not done: ", `you asked to call the conversation "bob's", and that was not done: `, "you asked to make dave@example.org an admin, and that was not done: dave"} {
		if len(told) != 3 || !strings.HasPrefix(told[i], want) {
			t.Fatalf("bob was told %q", told)
		}
	}
	if got := bob.asked(); len(got) > 0 {
		t.Errorf("%q waits", got)
	}
}

// TestWhatARefusedRemovalProtectsStays: what was said after somebody was to be removed, or a timer set, is not sent where that is refused.
func TestWhatARefusedRemovalProtectsStays(t *testing.T) {
	for _, change := range []client.Amendment{{Kind: client.AmendRemove}, {Kind: client.AmendTimer, Timer: time.Hour}} {
		s := newServer(t, nil)
		id, all := club(t, s, "alice", "bob")
		alice, bob := all[0], all[1]
		s.Stop()
		ctx := t.Context()
		must(bob.SendText(ctx, id, "for all"))
		if change.Kind == client.AmendRemove {
			change.Users = []qpq.UserID{alice.user()}
		}
		bob.asks(id, change) // he is no moderator
		secret := must(bob.SendText(ctx, id, "not for alice"))
		s.Start()
		settle(t, bob, alice)
		shows(t, id, []string{"bob: for all"}, alice)
		if told := bob.toldIn(id, "not-changed"); len(told) != 1 || !strings.HasSuffix(told[0], "; what you wrote after it was not sent (1)") {
			t.Errorf("bob was told %q", told)
		}
		if err := bob.Wait(ctx, id, secret); !errors.Is(err, qpq.Denied) {
			t.Errorf("the secret: %v", err)
		}
	}
}

// TestAChangeOfWhoWasRemovedIsRefused: what waited when somebody else removed the account is told as not done, and leaving is done already.
func TestAChangeOfWhoWasRemovedIsRefused(t *testing.T) {
	s := newServer(t, nil)
	id, all := club(t, s, "alice", "bob", "carol")
	alice, bob, carol := all[0], all[1], all[2]
	bob.asks(id, invite(carol))
	bob.asks(id, client.Amendment{Kind: client.AmendLeave})
	check(t, alice.Remove(t.Context(), id, bob.user()))
	settle(t, bob, carol)
	if told := bob.toldIn(id, "not-changed"); len(told) != 1 || !strings.Contains(told[0], "add carol@example.org") || !strings.Contains(told[0], "no longer a member") {
		t.Errorf("bob was told %q", told)
	}
	if got := bob.asked(); len(got) > 0 {
		t.Errorf("%q waits", got)
	}
	if list := must(carol.Conversations()); len(list) > 0 {
		t.Errorf("carol is in %+v", list)
	}
}

// TestTwoAskForTheSame: whoever comes second has nothing to do, and nobody is told of anything.
func TestTwoAskForTheSame(t *testing.T) {
	s := newServer(t, nil)
	id, all := club(t, s, "alice", "bob", "carol")
	alice, bob, carol := all[0], all[1], all[2]
	check(t, alice.SetRole(t.Context(), id, bob.user(), wire.RoleAdmin))
	settle(t, alice, bob)
	s.Stop()
	for _, d := range []*device{alice, bob} {
		d.asks(id, client.Amendment{Kind: client.AmendTitle, Title: "both"})
		d.asks(id, invite(carol))
		must(d.SendText(t.Context(), id, "hello carol"))
	}
	s.Start()
	both := make(chan error, 2)
	for _, d := range []*device{alice, bob} { // at the same time: one of them is stale again and again
		go func() { both <- d.Sync(context.Background()) }()
	}
	check(t, errors.Join(<-both, <-both))
	settle(t, alice, bob, carol)
	for _, d := range []*device{alice, bob} {
		if told, waits := d.toldIn(id, "not-changed"), d.asked(); len(told)+len(waits) > 0 {
			t.Errorf("%s was told %q, and %q waits", d.user(), told, waits)
		}
		if got := d.added(id, carol); got != 1 {
			t.Errorf("%s was told %d times that carol was added", d.user(), got)
		}
	}
	if got := carol.texts(id); len(got) != 2 {
		t.Errorf("carol shows %q", got)
	}
}

// TestAChangeThatWasCutOffIsMadeOnce: the connection breaks, and the program is killed, before the commit was sent or before its answer came.
// What others did meanwhile stays.
func TestAChangeThatWasCutOffIsMadeOnce(t *testing.T) {
	for name, reply := range map[string]bool{"the commit is lost": false, "the answer is lost": true} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, nil)
			id, all := club(t, s, "alice", "bob", "carol")
			alice, bob, carol := all[0], all[1], all[2]
			check(t, alice.SetRole(t.Context(), id, bob.user(), wire.RoleOwner))
			settle(t, all...)
			b := &breaking{server: s, reply: reply}
			alice.reopen(b.dial)
			alice.asks(id, invite(carol))
			must(alice.SendText(t.Context(), id, "hello carol"))
			b.method.Store(int32(wire.ChannelCommit{}.Method().Ordinal))
			wants(t, alice.Sync(t.Context()), qpq.Unavailable, "connection-lost")
			if list := must(alice.Amendments()); len(list) != 1 || !list[0].Tried {
				t.Fatalf("%+v waits", list)
			}
			if _, n, err := alice.ClearOutbox(t.Context(), qpq.ChannelID{1}); err != nil || n != 0 {
				t.Errorf("of another conversation %d were given up: %v", n, err)
			}
			settle(t, bob, carol)
			if reply { // it was made: that bob takes it back stays
				check(t, bob.Remove(t.Context(), id, carol.user()))
			}
			alice.reopen(s.dial)
			settle(t, alice, bob, carol)
			if got := alice.asked(); len(got) > 0 {
				t.Errorf("%q waits", got)
			}
			if n := alice.added(id, carol); n != 1 {
				t.Errorf("alice was told %d times that carol was added", n)
			}
			if want := !reply; slices.Contains(alice.members(id), "carol") != want {
				t.Errorf("members are %q", alice.members(id))
			}
			if !reply {
				shows(t, id, []string{"alice: hello carol"}, bob, carol)
			}
		})
	}
}

// TestLeavingThatWasCutOffEndsQuietly: the hub took the goodbye, and its answer was lost.
func TestLeavingThatWasCutOffEndsQuietly(t *testing.T) {
	for name, reply := range map[string]bool{"the goodbye is lost": false, "the answer is lost": true} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, nil)
			id, all := club(t, s, "alice", "bob")
			alice, bob := all[0], all[1]
			b := &breaking{server: s, reply: reply}
			bob.reopen(b.dial)
			bob.asks(id, client.Amendment{Kind: client.AmendLeave})
			b.method.Store(int32(wire.ChannelLeave{}.Method().Ordinal))
			wants(t, bob.Sync(t.Context()), qpq.Unavailable, "connection-lost")
			bob.reopen(s.dial)
			settle(t, bob, alice)
			if told, waits := bob.toldIn(id, "not-changed"), bob.asked(); len(told)+len(waits) > 0 || must(bob.Conversation(id)).Standing != client.Ended {
				t.Errorf("bob was told %q, %q waits", told, waits)
			}
			if got := alice.members(id); !slices.Equal(got, []string{"alice"}) {
				t.Errorf("members are %q", got)
			}
		})
	}
}

// TestWhatIsAskedForNowComesAfterWhatWaits: an invitation now does not overtake the removal that was asked for before.
func TestWhatIsAskedForNowComesAfterWhatWaits(t *testing.T) {
	s := newServer(t, nil)
	id, all := club(t, s, "alice", "bob")
	alice, bob := all[0], all[1]
	must(alice.SendText(t.Context(), id, "see you"))
	alice.asks(id, client.Amendment{Kind: client.AmendRemove, Users: []qpq.UserID{bob.user()}})
	must(alice.SendText(t.Context(), id, "he is away"))
	check(t, alice.Invite(t.Context(), id, bob.user()))
	settle(t, all...)
	if got := alice.members(id); !slices.Equal(got, []string{"alice", "bob"}) {
		t.Errorf("members are %q", got)
	}
	shows(t, id, []string{"alice: see you"}, bob)
}

// TestChangesAreGivenUp, those of one conversation or all.
func TestChangesAreGivenUp(t *testing.T) {
	s := newServer(t, nil)
	id, all := club(t, s, "alice", "bob", "carol")
	alice, carol := all[0], all[2]
	other := must(alice.CreateGroup(t.Context(), "other"))
	alice.asks(id, invite(carol))
	must(alice.SendText(t.Context(), id, "hello"))
	alice.asks(other, invite(carol))
	if messages, changes, err := alice.ClearOutbox(t.Context(), id); err != nil || messages != 1 || changes != 1 {
		t.Errorf("%d and %d were given up: %v", messages, changes, err)
	}
	settle(t, alice, carol)
	if got := alice.members(id); !slices.Equal(got, []string{"alice", "bob"}) {
		t.Errorf("members are %q", got)
	}
	if got := alice.members(other); !slices.Equal(got, []string{"alice", "carol"}) {
		t.Errorf("members of the other one are %q", got)
	}
}

// TestAChangeWaitsForThisDeviceToJoin: nothing is changed, nor sent, while the group is lost; then all of it is, in order.
func TestAChangeWaitsForThisDeviceToJoin(t *testing.T) {
	s := newServer(t, nil)
	id, all := club(t, s, "alice", "bob", "carol")
	alice, bob, carol := all[0], all[1], all[2]
	l := lies{wire.ChannelGroup{}.Method().Ordinal: answer(qpq.E(qpq.Internal, "internal", "the group is not to be had"))}
	check(t, bob.profile.Change(func(tx *profile.Tx) error { return tx.ClearGroup(id) }))
	bob.reopen(s.lying(l))
	bob.asks(id, invite(carol))
	must(bob.SendText(t.Context(), id, "hello carol"))
	check(t, bob.Sync(t.Context()))
	if list := must(bob.Amendments()); len(list) != 1 || list[0].Problem == "" || list[0].Tried {
		t.Fatalf("%+v waits", list)
	}
	wants(t, bob.SetTimer(t.Context(), id, time.Hour), qpq.Unavailable, "behind")
	bob.reopen(s.dial)
	settle(t, bob, alice, carol)
	if got := bob.asked(); len(got) > 0 {
		t.Errorf("%q waits", got)
	}
	shows(t, id, []string{"bob: hello carol"}, alice, carol)
}
