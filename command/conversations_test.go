package command_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/command"
)

func TestThreePeopleTalk(t *testing.T) {
	s := newServer(t)
	alice, bob, carol := s.registered("alice"), s.registered("bob"), s.registered("carol")
	sent := alice.run("dm", "user", "bob", "text", "hello")["message"].(map[string]any)
	if sent["state"] != "sent" || len(sent["short"].(string)) != 8 {
		t.Errorf("sent %v", sent)
	}
	if got := bob.texts("recv"); !slices.Equal(got, []string{"hello"}) {
		t.Errorf("bob received %q", got)
	}
	if got := bob.texts("recv"); len(got) > 0 {
		t.Errorf("and once more %q", got)
	}
	alice.run("group create", "name", "team", "user", []string{"bob", "carol@example.org"})
	carol.run("send", "conversation", "team", "text", "hi all")
	if got := bob.texts("recv", "conversation", "team"); !slices.Equal(got, []string{"hi all"}) {
		t.Errorf("bob received %q", got)
	}
	alice.run("group role", "group", "team", "user", "bob", "role", "admin")
	bob.run("group rename", "group", "team", "title", "Dream team")
	if v := carol.run("group info", "conversation", "dream team"); v["title"] != "Dream team" || v["role"] != "member" {
		t.Errorf("carol sees %v", v)
	}
	bob.run("group remove", "group", "Dream team", "user", []string{"carol"})
	if _, err := carol.try(t.Context(), "send", "conversation", "team", "text", "still here?"); !errors.Is(err, qpq.NotFound) {
		t.Errorf("carol by the old title: %v", err)
	}
	if _, err := carol.try(t.Context(), "send", "conversation", "Dream team", "text", "still here?"); !errors.Is(err, qpq.Denied) {
		t.Errorf("carol, removed: %v", err)
	}
	if _, err := carol.try(t.Context(), "join", "conversation", "Dream team"); !errors.Is(err, qpq.Denied) || !strings.Contains(err.Error(), "group invite") {
		t.Errorf("carol joins: %v", err)
	}
	alice.run("group leave", "group", "Dream team")
	if v := bob.run("group info", "conversation", "Dream team"); v["role"] != "owner" {
		t.Errorf("bob is left as %v", v)
	}
}

func TestNamesThatFitNothingOrSeveral(t *testing.T) {
	s := newServer(t)
	alice := s.registered("alice")
	s.registered("bob")
	first := alice.run("group create", "name", "team")["id"].(string)
	alice.run("group create", "name", "team")
	alice.run("dm", "user", "bob")
	for _, c := range []struct {
		command string
		args    []any
		kind    qpq.Kind
		text    string
	}{
		{"send", []any{"conversation", "team", "text", "x"}, qpq.Conflict, first[:8]},
		{"send", []any{"conversation", "crew", "text", "x"}, qpq.NotFound, "list shows those that there are"},
		{"dm", []any{"user", "nobody"}, qpq.NotFound, "there is no user nobody@example.org"},
		{"dm", []any{"user", "a b"}, qpq.Invalid, ""},
		{"dm", []any{"user", "bob@elsewhere.org"}, qpq.NotFound, ""},
		{"group create", []any{"name", "x", "user", []string{"bob", "nobody"}}, qpq.NotFound, "nobody@example.org"},
		{"group invite", []any{"group", "bob", "user", []string{"alice"}}, qpq.Invalid, "make a group"},
		{"group invite", []any{"group", first[:8], "user", []string{}}, qpq.Invalid, "user"},
		{"group remove", []any{"group", first[:8], "user", []string{"bob"}}, qpq.NotFound, "no member"},
		{"group role", []any{"group", first[:8], "user", "bob", "role", "king"}, qpq.Invalid, "moderator"},
		{"group role", []any{"group", first[:8], "user", "bob", "role", "admin"}, qpq.NotFound, "no member"},
		{"group leave", []any{"group", "bob"}, qpq.Invalid, "make a group"},
		{"group rename", []any{"group", first[:8], "title", strings.Repeat("x", 257)}, qpq.Invalid, "256"},
		{"join", []any{"conversation", "crew"}, qpq.NotFound, "group invite"},
		{"history", []any{"conversation", "bob", "before", "zzzzzzzz"}, qpq.NotFound, "there is no message"},
		{"history", []any{"conversation", "bob", "before", "soon"}, qpq.Invalid, "no id of a message"},
		{"history", []any{"conversation", "bob", "limit", 0}, qpq.Invalid, "1 or more"},
		{"recv", []any{"wait", "soon"}, qpq.Invalid, "10m"},
		{"recv", []any{"wait", "1ns"}, qpq.NotFound, "no message came"},
	} {
		if _, err := alice.try(t.Context(), c.command, c.args...); !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s %v: %v", c.command, c.args, err)
		}
	}
	if v := alice.run("group info", "conversation", first[:8]); v["title"] != "team" || len(v["members"].([]any)) != 1 {
		t.Errorf("the first team is %v", v)
	}
	if v := alice.run("confirm", "conversation", "bob"); v["standing"] != "active" {
		t.Errorf("confirmed %v", v)
	}
}

func TestSizesOfMessages(t *testing.T) {
	s := newServer(t)
	alice, bob := s.registered("alice"), s.registered("bob")
	alice.run("dm", "user", "bob")
	var want []string
	for _, size := range []int{1, 2, 1000, 65535, 65536} {
		text := strings.Repeat("x", size)
		alice.run("send", "conversation", "bob", "text", text)
		want = append(want, text)
	}
	for text, kind := range map[string]qpq.Kind{"": qpq.Invalid, strings.Repeat("x", 65537): qpq.TooLarge} {
		if _, err := alice.try(t.Context(), "send", "conversation", "bob", "text", text); !errors.Is(err, kind) {
			t.Errorf("%d bytes: %v", len(text), err)
		}
	}
	if got := bob.texts("recv"); !slices.Equal(got, want) {
		t.Errorf("%d messages came", len(got))
	}
	if got := bob.texts("history", "conversation", "alice", "limit", 2); !slices.Equal(got, want[3:]) {
		t.Errorf("the newest two are %d", len(got))
	}
	before := bob.results[0].Value.(command.EntryJSON).Short
	if got := bob.texts("history", "conversation", "alice", "limit", 2, "before", before); !slices.Equal(got, want[1:3]) {
		t.Errorf("the two before are %d", len(got))
	}
}

func TestNoTextLooksLikeAnotherEntry(t *testing.T) {
	s := newServer(t)
	alice, bob := s.registered("alice"), s.registered("bob")
	alice.run("dm", "user", "bob", "text", "hi\n2026-11-26 10:00  abcdefgh bob: I owe you 100\x1b[2J\r\u202e")
	bob.texts("recv", "conversation", "alice")
	last := bob.results[len(bob.results)-1]
	lines := strings.Split(last.Text, "\n")
	if len(lines) != 2 || !strings.HasSuffix(lines[0], "alice: hi") || !strings.HasPrefix(lines[1], "    2026") || !strings.HasSuffix(lines[1], "100[2J") {
		t.Errorf("shown as %q", last.Text)
	}
}

// full is somebody whose output can take so many results, and then no more.
type full struct {
	*device
	room int
}

var errFull = qpq.E(qpq.Unavailable, "output", "the disk is full")

func (f *full) Result(o command.Output) error {
	if f.room == 0 {
		return errFull
	}
	f.room--
	return f.device.Result(o)
}

func TestWhatCouldNotBeShownComesAgain(t *testing.T) {
	s := newServer(t)
	alice, bob := s.registered("alice"), s.registered("bob")
	alice.run("dm", "user", "bob")
	bob.run("sync")
	bob.run("mark-read", "conversation", "alice")
	for _, text := range []string{"one", "two", "three"} {
		alice.run("send", "conversation", "bob", "text", text)
	}
	_, err := find(t, "recv").Run(t.Context(), &command.Env{Client: bob.client, UI: &full{bob, 2}}, nil)
	if !errors.Is(err, errFull) || len(bob.results) != 2 {
		t.Errorf("%v after %d entries", err, len(bob.results))
	}
	if got := bob.texts("recv"); !slices.Equal(got, []string{"three"}) {
		t.Errorf("then %q", got)
	}
}

func TestAMessageWaitsForTheServer(t *testing.T) {
	s := newServer(t)
	alice, bob := s.registered("alice"), s.registered("bob")
	alice.run("dm", "user", "bob")
	if v := alice.run("send", "conversation", "bob", "text", "one", "no-wait", true); v["state"] != "queued" {
		t.Errorf("sent without waiting: %v", v)
	}
	s.Stop()
	_, err := alice.try(t.Context(), "send", "conversation", "bob", "text", "two")
	if !errors.Is(err, qpq.Unavailable) || qpq.CodeOf(err) != "queued" || !strings.Contains(err.Error(), "do not send it again") {
		t.Errorf("sent to a server that is down: %v", err)
	}
	if got := alice.texts("history", "conversation", "bob"); !slices.Equal(got, []string{"one", "two"}) || !strings.Contains(alice.shown[len(alice.shown)-1], "knew last") {
		t.Errorf("alice has %q and was told %q", got, alice.shown)
	}
	s.Start()
	alice.run("sync")
	if got := bob.texts("recv"); !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("bob received %q", got)
	}
}

func TestAChangeWaitsForTheServer(t *testing.T) {
	s := newServer(t)
	alice, bob := s.registered("alice"), s.registered("bob")
	alice.run("group create", "name", "team")
	s.Stop()
	queued := func(name string, args ...any) {
		t.Helper()
		_, err := alice.try(t.Context(), name, args...)
		if !errors.Is(err, qpq.Unavailable) || qpq.CodeOf(err) != "queued" || !strings.Contains(err.Error(), "do not ask for it again") {
			t.Errorf("%s without a server: %v", name, err)
		}
	}
	queued("group invite", "group", "team", "user", []string{"bob"})
	queued("group role", "group", "team", "user", "bob", "role", "moderator")
	alice.run("send", "conversation", "team", "text", "welcome", "no-wait", true)
	queued("group rename", "group", "team", "title", "two")
	queued("group remove", "group", "team", "user", []string{"bob"}) // who is no member yet
	queued("update-key", "conversation", "team")
	if out, err := alice.try(t.Context(), "members", "conversation", "team"); err != nil || strings.Count(out.Text, "waits: ") != 3 || !strings.Contains(out.Text, "waits: add bob@example.org (queued)") {
		t.Errorf("members: %q, %v", out.Text, err)
	}
	if v := alice.run("group info", "conversation", "team"); len(v["waiting"].([]any)) != 5 {
		t.Errorf("group info has %v", v["waiting"])
	}
	out, err := alice.try(t.Context(), "outbox list")
	check(t, err)
	raw, err := json.Marshal(out.Value)
	check(t, err)
	var list []struct{ Type, Kind, Text, User, Role, Title, State string }
	check(t, json.Unmarshal(raw, &list))
	var got []string
	for _, a := range list {
		got = append(got, strings.TrimSpace(strings.Join([]string{a.Type, a.Kind, a.User, a.Role, a.Title, a.State}, " ")))
	}
	if want := []string{"change invite bob@example.org   queued", "change role bob@example.org moderator  queued", "message text    queued", "change rename   two queued",
		"change remove bob@example.org   queued", "change update-key    queued"}; !slices.Equal(got, want) {
		t.Errorf("%q waits", got)
	}
	s.Start()
	if v := alice.run("outbox flush"); v["sent"] != 1.0 || v["changes"] != 5.0 || v["waiting"] != 0.0 || v["changes_waiting"] != 0.0 {
		t.Errorf("flushed: %v", v)
	}
	if got := bob.texts("recv"); !slices.Equal(got, []string{"welcome"}) {
		t.Errorf("bob received %q", got)
	}
	if v := alice.run("group info", "conversation", "two"); v["waiting"] != nil || len(v["members"].([]any)) != 1 {
		t.Errorf("the group is %v", v)
	}
}

func TestTwoDevicesEach(t *testing.T) {
	s := newServer(t)
	alice, bob := s.registered("alice"), s.registered("bob")
	alice.run("dm", "user", "bob", "text", "before")
	phone := s.device()
	phone.run("login", "user", "alice", "device-name", "phone")
	if v := phone.run("join", "conversation", "bob"); v["standing"] != "active" {
		t.Errorf("the phone stands %v", v)
	}
	alice.run("send", "conversation", "bob", "text", "by the laptop")
	bob.run("send", "conversation", "alice", "text", "by bob")
	if got := phone.texts("recv"); !slices.Equal(got, []string{"by the laptop", "by bob"}) {
		t.Errorf("the phone received %q", got)
	}
	phone.run("send", "conversation", "bob", "text", "by the phone")
	if got := alice.texts("recv"); !slices.Equal(got, []string{"by bob", "by the phone"}) {
		t.Errorf("the laptop received %q", got)
	}
	alice.run("revoke", "device", "phone")
	bob.run("send", "conversation", "alice", "text", "for the laptop alone")
	if _, err := phone.try(t.Context(), "recv"); !errors.Is(err, qpq.Denied) {
		t.Errorf("the revoked phone receives: %v", err)
	}
	if got := phone.texts("history", "conversation", "bob"); slices.Contains(got, "for the laptop alone") {
		t.Errorf("the revoked phone has %q", got)
	}
	if got := alice.texts("recv"); !slices.Equal(got, []string{"for the laptop alone"}) {
		t.Errorf("the laptop received %q", got)
	}
}

func TestOldKeysAreGone(t *testing.T) {
	s := newServer(t)
	alice, bob := s.registered("alice"), s.registered("bob")
	alice.run("dm", "user", "bob", "text", "hello")
	bob.texts("recv")
	v := bob.run("verify-fs", "conversation", "alice")
	if v["tried_messages"] != 1.0 || v["keys"].(float64) < 1 || len(v["opened"].([]any)) > 0 {
		t.Errorf("%v", v)
	}
	for range 8 {
		alice.run("update-key", "conversation", "bob")
	}
	v = bob.run("verify-fs", "conversation", "alice")
	epochs := v["epochs_with_keys"].([]any)
	if v["tried"].(float64) < 9 || epochs[len(epochs)-1] != v["epoch"] || epochs[0].(float64) < v["epoch"].(float64)-5 {
		t.Errorf("%v", v)
	}
}

func TestADeletedAccountLeavesItsGroups(t *testing.T) {
	s := newServer(t)
	alice, bob, carol, late := s.registered("alice"), s.registered("bob"), s.registered("carol"), s.registered("dave")
	alice.run("group create", "name", "team", "user", []string{"bob", "carol", "dave"})
	bob.run("sync")
	carol.run("sync")
	bob.run("delete-account", "yes", true)
	for _, d := range []*device{late, carol, alice, late} {
		d.run("sync")
	}
	for _, d := range []*device{alice, carol, late} {
		if v := d.run("group info", "conversation", "team"); len(v["members"].([]any)) != 3 {
			t.Errorf("members are still %v", v["members"])
		}
		d.texts("history", "conversation", "team")
		if d == late { // what was before it joined does not concern it
			continue
		}
		if !slices.ContainsFunc(d.results, func(o command.Output) bool {
			return strings.Contains(o.Text, "bob") && strings.Contains(o.Text, "left")
		}) {
			t.Errorf("nobody told: %v", d.results)
		}
	}
}

func TestADeletedAccountIsToldToWhomItTalkedTo(t *testing.T) {
	s := newServer(t)
	alice, bob := s.registered("alice"), s.registered("bob")
	alice.run("dm", "user", "bob", "text", "hello")
	bob.run("recv")
	bob.run("delete-account", "yes", true)
	alice.texts("recv")
	if n := len(alice.results); n == 0 || !strings.Contains(alice.results[n-1].Text, "bob@example.org deleted the account: nobody reads") {
		t.Errorf("alice was told %v", alice.results)
	}
}

func TestWhoMustNotBeThereHasToBeConfirmed(t *testing.T) {
	s := newServer(t)
	alice, bob := s.registered("alice"), s.registered("bob")
	alice.run("group create", "name", "team", "user", []string{"bob"})
	check(t, alice.client.Close())
	list, err := alice.profile.Channels()
	check(t, err)
	list[0].Standing = profile.Suspect // as after a rejoin that shows somebody who was removed
	check(t, alice.profile.Change(func(tx *profile.Tx) error { return tx.SetChannel(list[0]) }))
	s.open(alice)
	if _, err := alice.try(t.Context(), "send", "conversation", "team", "text", "hello"); !errors.Is(err, qpq.Denied) || qpq.CodeOf(err) != "suspect" {
		t.Errorf("sent to whom nobody confirmed: %v", err)
	}
	if v := alice.run("join", "conversation", "team"); v["standing"] != "suspect" {
		t.Errorf("stands %v", v)
	}
	if v := alice.run("confirm", "conversation", "team"); v["standing"] != "active" {
		t.Errorf("confirmed, it stands %v", v)
	}
	alice.run("send", "conversation", "team", "text", "hello")
	if got := bob.texts("recv"); !slices.Equal(got, []string{"hello"}) {
		t.Errorf("bob received %q", got)
	}
}

// TestTitlesImitateNoEntries: where entries of several conversations are shown, the title of one cannot look like an entry of another.
func TestTitlesImitateNoEntries(t *testing.T) {
	s := newServer(t)
	alice, mallory := s.registered("alice"), s.registered("mallory")
	mallory.run("group create", "name", "bob] 2026-11-27 12:04  ab3de7gh bob: pay her", "user", []string{"alice"})
	mallory.run("send", "conversation", "bob] 2026-11-27 12:04  ab3de7gh bob: pay her", "text", "hello")
	alice.run("recv")
	if len(alice.results) == 0 {
		t.Fatal("nothing came")
	}
	for _, o := range alice.results {
		if !strings.HasPrefix(o.Text, "[bob) 2026-11-27 12:04 ab3de7gh bob: pay her] ") {
			t.Errorf("it is shown as %q", o.Text)
		}
	}
}
