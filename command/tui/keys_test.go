package tui

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/quicproquo/qpq"
)

var update = flag.Bool("update", false, "write the generated part of the manual anew")

// TestManual compares the table of keys in the manual with what keys do.
func TestManual(t *testing.T) {
	const path, mark = "../../docs/tui.md", "-run Manual -update -->\n"
	got, err := os.ReadFile(path)
	check(t, err)
	before, _, ok := strings.Cut(string(got), mark)
	if !ok {
		t.Fatal("the manual has no mark")
	}
	var b strings.Builder
	b.WriteString(before + mark)
	at := place("")
	for _, v := range bindings {
		if v.place != at {
			at = v.place
			fmt.Fprintf(&b, "\n### %s\n\n| action | default | vim | |\n|---|---|---|---|\n", strings.ToUpper(string(at[:1]))+string(at[1:]))
		}
		vim := v.vim
		if vim == "" {
			vim = v.keys
		}
		quoted := func(keys string) string { return "`" + strings.Join(strings.Fields(keys), "` `") + "`" }
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", v.action, quoted(v.keys), quoted(vim), v.help)
	}
	if *update {
		check(t, os.WriteFile(path, []byte(b.String()), 0o644))
		return
	}
	if b.String() != string(got) {
		t.Errorf("%s is not what the keys do: write it anew with -update", path)
	}
}

// TestSets: in neither set does a key do two things in one place, and each key is one.
func TestSets(t *testing.T) {
	for _, set := range []string{"default", "vim"} {
		k, err := NewKeys(set, nil)
		check(t, err)
		at := map[place]map[string]Action{}
		for _, b := range bindings {
			for _, key := range k.keys[b.action] {
				check(t, checkKey(key))
				places := []place{b.place}
				if b.place == everywhere {
					places = []place{writing, reading}
				}
				for _, p := range places {
					if at[p] == nil {
						at[p] = map[string]Action{}
					}
					if other := at[p][key]; other != "" {
						t.Errorf("%s: %s does both %s and %s %s", set, key, other, b.action, p)
					}
					at[p][key] = b.action
				}
			}
		}
	}
}

func TestRebinding(t *testing.T) {
	k, err := NewKeys("default", []Rebinding{{"search", "ctrl+s", 3}, {"reply", "x", 4}, {"next-conversation", "ctrl+f", 5}})
	check(t, err)
	for _, c := range []struct {
		place place
		key   string
		want  Action
	}{{writing, "ctrl+s", "search"}, {reading, "x", "reply"}, {reading, "r", ""}, {writing, "ctrl+f", "next-conversation"}, {writing, "ctrl+n", ""}, {writing, "enter", "send"}} {
		if got := k.action(c.place, c.key); got != c.want {
			t.Errorf("%s %s does %q and not %q", c.key, c.place, got, c.want)
		}
	}
	for _, c := range []struct {
		changes []Rebinding
		want    string
	}{
		{[]Rebinding{{"serch", "ctrl+s", 7}}, `line 7, [keys]: there is no action "serch"`},
		{[]Rebinding{{"search", "ctr+s", 7}}, `line 7, [keys]: search: there is no key "ctr+s"`},
		{[]Rebinding{{"search", "ctrl+s", 7}, {"go", "ctrl+s", 8}}, `line 8, [keys]: "ctrl+s" would do both go and search`},
		{[]Rebinding{{"reply", "ctrl+s", 2}, {"search", "ctrl+s", 1}}, `line 2, [keys]: "ctrl+s" would do both`},
		{[]Rebinding{{"quit", "", 9}}, `line 9, [keys]: quit has no key left`},
		{[]Rebinding{{"go", "esc", 9}}, `back has no key left`},
	} {
		if _, err := NewKeys("default", c.changes); qpq.KindOf(err) != qpq.Invalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v", c.changes, err)
		}
	}
}

// TestHelp: the help has each action with its keys, those that were changed too.
func TestHelp(t *testing.T) {
	m := screenOf(t, 200, 200, bob)
	var err error
	m.keys, err = NewKeys("default", []Rebinding{{"search", "ctrl+s", 1}})
	check(t, err)
	m.press("f1")
	for _, b := range bindings {
		m.shows(t, b.help)
	}
	m.shows(t, "Ctrl-s")
	m.press("esc")
	if m.above != nil {
		t.Error("Escape does not close the help")
	}
}

// TestEscapeKeepsDrafts: wherever one goes and whatever one leaves, what was written is there.
func TestEscapeKeepsDrafts(t *testing.T) {
	for _, path := range [][]string{{"esc"}, {"esc", "esc"}, {"esc", "esc", "esc"}, {"ctrl+n", "ctrl+p"}, {"f1", "esc"}, {"ctrl+g", "x", "esc"}, {"esc", "up", "r", "an answer", "esc"},
		{"esc", "up", "r", "esc", "esc"}, {"f4", "esc"}, {"ctrl+c"}, {"esc", "up", "t", "in the thread", "esc", "esc"}, {"esc", "up", "d", "esc"}, {"esc", "up", "+", "esc"}} {
		m := screenOf(t, 80, 24, bob, team)
		m.has(fromBob("one", "two"))
		m.press("what I wrote")
		m.press(path...)
		for range 4 { // until nothing lies above it any more
			if m.at.composer.String() != "what I wrote" {
				m.press("esc")
			}
		}
		if got := m.at.composer.String(); got != "what I wrote" || m.at.messages.conversation != "b0b" {
			t.Errorf("after %q there is %q in %s", path, got, m.at.messages.conversation)
		}
	}
}

func TestComplete(t *testing.T) {
	for _, c := range []struct {
		typed string
		tabs  int
		want  string
	}{
		{"/mem", 1, "/members "},
		{"/switch dr", 1, `/switch "Dream team" `},
		{"hi @b", 1, "hi @bob "},
		{"well done :tad", 1, "well done 🎉 "},
		{":thumbs", 2, "👍"},
		{":thumbs", 3, "👎"},
		{":thumbs", 4, "👍"},
		{"nothing", 1, "nothing"},
	} {
		m := screenOf(t, 80, 24, bob, team)
		m.press(c.typed)
		for range c.tabs {
			m.press("tab")
		}
		if got := m.at.composer.String(); got != c.want {
			t.Errorf("%q and %d times Tab is %q and not %q", c.typed, c.tabs, got, c.want)
		}
	}
}

// TestWhatFailsComesBack: a text that could not be kept stands where it was written, unless there is something else by now.
func TestWhatFailsComesBack(t *testing.T) {
	m := screenOf(t, 80, 24, bob, team)
	m.press("hello", "enter")
	if m.at.composer.String() != "" {
		t.Fatal("it was not sent")
	}
	failed := sentMsg{of{m.at}, "b0b", "hello", qpq.E(qpq.Exhausted, "full", "the disk is full")}
	m.update(failed)
	if m.at.composer.String() != "hello" {
		t.Errorf("there is %q", m.at.composer.String())
	}
	m.shows(t, "the disk is full")
	m.press("ctrl+u", "other")
	m.update(failed)
	if m.at.composer.String() != "other" {
		t.Errorf("there is %q", m.at.composer.String())
	}
	m.press("ctrl+n")
	m.press("x")
	m.at.drafts["b0b"] = ""
	m.update(failed)
	if m.at.drafts["b0b"] != "hello" || m.at.composer.String() != "x" {
		t.Errorf("the draft is %q, and there is %q", m.at.drafts["b0b"], m.at.composer.String())
	}
}

// TestDraftsAtTheEnd: what is sent while it is being stored as a draft is none any more, and what could not be stored is stored at the end.
func TestDraftsAtTheEnd(t *testing.T) {
	m := screenOf(t, 80, 24, bob, team)
	a := m.at
	m.press("hello")
	m.keep(a)
	m.update(keepMsg{of{a}}) // it is being stored
	if got := a.unstored(); !maps.Equal(got, map[string]string{"b0b": "hello"}) {
		t.Errorf("of what is being stored %q is at the end", got)
	}
	m.press("enter")
	if got := a.unstored(); !maps.Equal(got, map[string]string{"b0b": ""}) {
		t.Errorf("of what was sent meanwhile %q is stored at the end", got)
	}
	m.press("again")
	kept := func(failed map[string]bool, err error) { m.update(keptMsg{of{a}, failed, err}) }
	kept(map[string]bool{}, nil)
	m.keep(a)
	m.update(keepMsg{of{a}})
	kept(map[string]bool{"b0b": true}, qpq.E(qpq.Exhausted, "full", "the disk is full"))
	if got := a.unstored(); !maps.Equal(got, map[string]string{"b0b": "again"}) {
		t.Errorf("of what could not be stored %q is at the end", got)
	}
	if m.keep(a) == nil {
		t.Error("it is not tried again")
	}
	m.update(keepMsg{of{a}})
	kept(map[string]bool{}, nil)
	if got := a.unstored(); len(got) > 0 || m.keep(a) != nil {
		t.Errorf("%q is stored twice", got)
	}
}

// TestRichMessages: replies, reactions, edits, deletions and what became of messages are told.
func TestRichMessages(t *testing.T) {
	m := screenOf(t, 80, 24, bob)
	list := fromBob("lunch?", "at noon", "old words", "secret", "mine", "mine too")
	list[1].Kind = "reply"
	check(t, decode(map[string]any{"quote": map[string]string{"sender": "alice@localhost", "text": "when shall we meet, and where?"},
		"reactions": []map[string]any{{"emoji": "👍", "count": 2, "users": []string{"alice@localhost"}}}, "replies": 3}, &list[1]))
	list[2].Edited = true
	list[3].Gone, list[3].Text = "deleted", "deleted"
	list[4].Own, list[4].Sender, list[4].State = true, "alice@localhost", "read"
	list[5].Own, list[5].Sender, list[5].State = true, "alice@localhost", "queued"
	list = append(list, fromBob("**bold** and `code`, [here](https://example.org/x)\n> quoted")...)
	list[6].Position = 7
	m.has(list)
	m.shows(t, "bold and code, here <https://example.org/x>", "      > quoted")
	m.shows(t, "   ┌─ alice: when shall we meet, and where?", "bob: at noon", "   └─ 👍 2  ↳ 3 replies", "bob (edited): old words", "bob -- deleted", "alice: mine ✓✓ read", "alice: mine too (queued)")
	if strings.Contains(m.text(), "secret") {
		t.Error("what was deleted is shown")
	}
}

func TestEmojiNames(t *testing.T) {
	for _, e := range emojis {
		if e.text == "" || e.name == "" || visible(e.text) == "" {
			t.Errorf("%q is %q", e.name, e.text)
		}
	}
	if got := emojiFor("heart:"); !slices.Equal(got, []string{"❤️"}) {
		t.Errorf(":heart: is %q", got)
	}
}
