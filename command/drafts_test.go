package command_test

import (
	"context"
	"testing"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/command"
)

// entriesOf returns the entries that a command shows to a device.
func entriesOf(d *device, name string, args ...any) (list []command.EntryJSON) {
	d.t.Helper()
	d.results = nil
	d.run(name, args...)
	for _, o := range d.results {
		list = append(list, o.Value.(command.EntryJSON))
	}
	return list
}

func TestDrafts(t *testing.T) {
	s := newServer(t)
	alice, bob := s.registered("alice"), s.registered("bob")
	alice.run("dm", "user", "bob")
	const text = "Dear Bob,\nwhat I wanted to say"
	alice.run("draft", "conversation", "bob", "text", text)
	if v := alice.run("draft", "conversation", "bob"); v["text"] != text {
		t.Errorf("kept is %v", v)
	}
	if v := alice.run("group info", "conversation", "bob"); v["draft"] != text {
		t.Errorf("the conversation has %v", v)
	}
	if got := bob.texts("recv"); len(got) > 0 {
		t.Errorf("bob sees %q", got)
	}
	alice.run("draft", "conversation", "bob", "clear", true)
	if v := alice.run("draft", "conversation", "bob"); v["text"] != "" {
		t.Errorf("after it was dropped there is %v", v)
	}
	if _, err := alice.try(t.Context(), "draft", "conversation", "bob", "text", string(make([]byte, 1<<20+1))); qpq.KindOf(err) != qpq.TooLarge {
		t.Errorf("a draft without bounds: %v", err)
	}
}

// TestHistoryFromAPosition: pages join without a gap, down to the first entry.
func TestHistoryFromAPosition(t *testing.T) {
	s := newServer(t)
	alice := s.registered("alice")
	s.registered("bob")
	alice.run("dm", "user", "bob")
	for _, text := range []string{"one", "two", "three", "four", "five"} {
		alice.run("send", "conversation", "bob", "text", text)
	}
	var all []string
	args := []any{"conversation", "bob", "limit", 2, "offline", true}
	for {
		page := entriesOf(alice, "history", args...)
		if len(page) == 0 {
			break
		}
		for i := len(page) - 1; i >= 0; i-- {
			all = append(all, page[i].Text)
		}
		args = []any{"conversation", "bob", "limit", 2, "offline", true, "position", page[0].Position}
	}
	page := entriesOf(alice, "history", "conversation", "bob", "offline", true, "after", 0, "limit", 1)
	if page = entriesOf(alice, "history", "conversation", "bob", "offline", true, "after", page[0].Position); page[len(page)-1].Text != "five" {
		t.Errorf("what follows the first entry ends with %q", page[len(page)-1].Text)
	}
	if len(all) < 5 || all[0] != "five" || all[4] != "one" {
		t.Errorf("read backwards: %q", all)
	}
}

// TestWatchTellsOfChanges: that a message which waited was sent is told, and no entry comes twice.
func TestWatchTellsOfChanges(t *testing.T) {
	s := newServer(t)
	alice := s.registered("alice")
	s.registered("bob")
	alice.run("dm", "user", "bob")
	call, _ := alice.shared()
	ctx, cancel := context.WithCancel(t.Context())
	w := newSpectator()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = call(ctx, w, "watch", `{"after": 0, "changes": true}`)
	}()
	alice.run("send", "conversation", "bob", "text", "hello", "no-wait", true)
	told, came := false, 0
	for !told || came == 0 { // what was told before it came may find it sent
		switch e := <-w.seen; {
		case e.Text == "hello":
			came++
		case e.Type == "changed":
			page := entriesOf(alice, "history", "conversation", "bob", "offline", true)
			told = len(page) > 0 && page[len(page)-1].State == "sent"
		}
	}
	cancel()
	<-done
	if came != 1 {
		t.Errorf("the message came %d times", came)
	}
}
