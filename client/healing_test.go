package client_test

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/store/sqlite"
	"github.com/quicproquo/qpq/wire"
)

// three returns the devices of three people in one conversation.
func three(t *testing.T, s *server) (id qpq.ChannelID, alice, bob, carol *device) {
	t.Helper()
	alice, bob, carol = s.device(t), s.device(t), s.device(t)
	alice.register("alice")
	bob.register("bob")
	carol.register("carol")
	id = must(alice.CreateGroup(context.Background(), "three", bob.user(), carol.user()))
	settle(t, bob, carol)
	return id, alice, bob, carol
}

// talk has each say something that all others show.
func talk(t *testing.T, id qpq.ChannelID, devices ...*device) {
	t.Helper()
	settle(t, devices...)
	for i, d := range devices {
		d.says(id, "word "+string(rune('a'+i)))
	}
	settle(t, devices...)
	for _, d := range devices {
		all := d.texts(id)
		for i, from := range devices {
			if want := from.user().Name + ": word " + string(rune('a'+i)); !slices.Contains(all, want) {
				t.Errorf("%s does not show %q but %q; notices %q", d.user(), want, all, d.codes(id))
			}
		}
	}
}

func TestLostGroupStateHeals(t *testing.T) {
	s := newServer(t, nil)
	id, alice, bob, carol := three(t, s)
	check(t, bob.profile.Change(func(tx *profile.Tx) error { return tx.ClearGroup(id) }))
	bob.reopen(s.dial)
	alice.says(id, "unheard")
	talk(t, id, bob, alice, carol)
	if !slices.Contains(bob.codes(id), "healed") {
		t.Errorf("bob was told %q", bob.codes(id))
	}
}

func TestRestoredProfileHeals(t *testing.T) {
	s := newServer(t, nil)
	id, alice, bob, carol := three(t, s)
	bob.close()
	backup := t.TempDir()
	check(t, copyFiles(bob.dir, backup))
	bob.open(s.dial)
	settle(t, bob)
	bob.says(id, "newer")
	check(t, bob.UpdateKeys(context.Background(), id))
	settle(t, alice, carol)
	bob.close()
	check(t, copyFiles(backup, bob.dir))
	bob.open(s.dial)
	talk(t, id, bob, alice, carol)
	if !bob.noticed("old-copy") || !slices.Contains(bob.codes(id), "healed") {
		t.Errorf("bob was told %v and %q", bob.notices, bob.codes(id))
	}
}

func TestServerThatLostCommitsIsGivenThemBack(t *testing.T) {
	s := newServer(t, nil)
	id, alice, bob, carol := three(t, s)
	talk(t, id, alice, bob, carol)
	s.Stop()
	yesterday := filepath.Join(t.TempDir(), "qpq.db")
	check(t, sqlite.Copy(s.Path, yesterday))
	s.Start()
	check(t, alice.UpdateKeys(context.Background(), id))
	check(t, alice.Remove(context.Background(), id, carol.user()))
	settle(t, bob)
	bob.says(id, "of today")
	settle(t, alice)
	s.Stop()
	s.Path = yesterday
	s.Start()
	for _, d := range []*device{bob, alice} {
		check(t, d.Sync(context.Background()))
	}
	alice.says(id, "hello again")
	settle(t, bob)
	bob.says(id, "hello alice")
	settle(t, alice, carol)
	for _, d := range []*device{alice, bob} {
		if all := strings.Join(d.texts(id), ", "); !strings.HasSuffix(all, "alice: hello again, bob: hello alice") {
			t.Errorf("%s shows %s; notices %q", d.user(), all, d.codes(id))
		}
	}
	if all := strings.Join(carol.texts(id), ", "); strings.Contains(all, "hello") {
		t.Errorf("carol, who was removed, shows %s", all)
	}
	if v := must(alice.Conversation(id)); len(v.Members) != 2 || v.Standing != client.Active {
		t.Errorf("alice sees %+v", v)
	}
}

func TestOfflineForManyCommits(t *testing.T) {
	s := newServer(t, nil)
	id, alice, bob, carol := three(t, s)
	for range 40 {
		check(t, alice.UpdateKeys(context.Background(), id))
		alice.says(id, "more")
	}
	settle(t, carol)
	if n := len(carol.texts(id)); n != 40 {
		t.Errorf("carol shows %d of 40 messages; notices %q", n, carol.codes(id))
	}
	talk(t, id, bob, alice, carol)
}

func TestRevokedDeviceIsRemoved(t *testing.T) {
	s := newServer(t, nil)
	id, alice, bob, carol := three(t, s)
	ctx := context.Background()
	phone := s.device(t)
	_, err := phone.Login(ctx, "bob", with(secret), "phone")
	check(t, err)
	talk(t, id, phone, alice, bob, carol)
	check(t, bob.RevokeDevice(ctx, must(phone.Whoami(ctx)).Device, with(secret)))
	settle(t, bob, alice, carol)
	alice.says(id, "without the phone")
	talk(t, id, alice, bob, carol)
	if err := phone.Sync(ctx); err == nil {
		t.Error("a revoked device still reads")
	}
	if slices.Contains(phone.texts(id), "alice: without the phone") {
		t.Error("the revoked device shows what came after")
	}
}

// TestWhoWasAwayWhenGarbageCameLosesNothing: bob hands in garbage, and the others go on before carol is there again.
func TestWhoWasAwayWhenGarbageCameLosesNothing(t *testing.T) {
	s := newServer(t, nil)
	id, alice, bob, carol := three(t, s)
	ch := must(carol.profile.Channel(id))
	alice.says(id, "before")
	_, err := wire.Call(t.Context(), s.steal(t, bob), garbage(id, ch.Slot+1, ch.Epoch, ch.AccessSlot))
	check(t, err)
	alice.says(id, "after")
	check(t, carol.Sync(context.Background()))
	shows(t, id, []string{"alice: before", "alice: after"}, carol)
	if codes := carol.codes(id); slices.Contains(codes, "unreadable") || slices.Contains(codes, "healed") || !slices.Contains(codes, "void") {
		t.Errorf("carol was told %q", codes)
	}
	carol.says(id, "I am here")
	check(t, alice.Sync(context.Background()))
	shows(t, id, []string{"alice: before", "alice: after", "carol: I am here"}, alice, carol)
}

// TestWhoWasAwayIsToldInTheConversation: bob made a group and went before he read a row of it. What alice said, and that carol left, the server dropped meanwhile;
// nobody says anything more. He is told of it in the group, once, and finds out who is a member still.
func TestWhoWasAwayIsToldInTheConversation(t *testing.T) {
	s := newServer(t, nil)
	alice, bob, carol := s.device(t), s.device(t), s.device(t)
	for name, d := range map[string]*device{"alice": alice, "bob": bob, "carol": carol} {
		d.register(name)
	}
	id := must(bob.CreateGroup(t.Context(), "three", alice.user(), carol.user()))
	other := must(bob.CreateGroup(t.Context(), "alone"))
	settle(t, alice, carol)
	alice.says(id, "unheard")
	check(t, carol.Leave(t.Context(), id))
	_, dropped, err := s.Config.Store.SweepInboxes(t.Context(), "", time.Now().Add(time.Hour), 1000)
	check(t, err)
	bob.reopen(s.dial)
	settle(t, bob)
	if n := bob.count("lapsed"); n != 1 || dropped == 0 {
		t.Errorf("%d rows were dropped, and bob was told %d times", dropped, n)
	}
	told := slices.DeleteFunc(bob.codes(id), func(code string) bool { return code != "gap" })
	if len(told) != 1 || slices.Contains(bob.codes(other), "gap") {
		t.Errorf("bob was told %q, and in another conversation %q", bob.codes(id), bob.codes(other))
	}
	if v := must(bob.Conversation(id)); len(v.Members) != 2 {
		t.Errorf("carol left, and these are in the group: %v", v.Members)
	}
	talk(t, id, bob, alice)
	if slices.Contains(bob.texts(id), "alice: unheard") {
		t.Error("nothing was dropped")
	}
}

// TestAnOlderCopyWaitsToJoinStill: bob's device was about to join a group when the copy of its profile was made. It blames nobody for what it cannot judge.
func TestAnOlderCopyWaitsToJoinStill(t *testing.T) {
	s := newServer(t, nil)
	alice, bob := s.device(t), s.device(t)
	alice.register("alice")
	bob.register("bob")
	id := must(alice.CreateGroup(t.Context(), "both", bob.user()))
	alice.says(id, "before")
	check(t, bob.profile.Change(func(tx *profile.Tx) error { return tx.SetChannel(profile.Channel{ID: id, Standing: profile.Joining}) }))
	check(t, bob.profile.Rewind(100))
	bob.reopen(s.dial)
	talk(t, id, alice, bob)
	if codes := bob.codes(id); !slices.Equal(codes, []string{"joined"}) {
		t.Errorf("bob was told %q", codes)
	}
}
