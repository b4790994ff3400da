package world

import (
	"context"
	"fmt"
	"testing"

	"github.com/quicproquo/qpq"
)

// TestSoakSteady has one server and two devices, which nobody restarts, pass texts to and fro: after many they hold on to what they did after some.
func TestSoakSteady(t *testing.T) {
	some, many := 50, 250
	if testing.Short() {
		some, many = 30, 90
	}
	s, err := Parse("0s alice/1 register\n0s bob/1 register\n0s alice/1 group g1 bob")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, s, Plant{}, liveFolders)
	defer w.driver.network.Close()
	if w.server, err = newServer(w); err != nil {
		t.Fatal(err)
	}
	w.server.up()
	defer w.server.down()
	for i, name := range s.devices() {
		d := w.addDevice(name, uint64(i+1))
		d.on(t.Context())
		defer d.off()
		if err := register(t.Context(), d, nil); err != nil {
			t.Fatal(err)
		}
		r, err := d.program()
		if err != nil {
			t.Fatal(err)
		}
		r.nudge <- struct{}{}
	}
	if err := group(t.Context(), w.order[0], []string{"g1", "bob"}); err != nil {
		t.Fatal(err)
	}
	id, _ := w.oracle.chat("g1").known()
	passOn(t, w, id, 0, some)
	warm := held(t)
	passOn(t, w, id, some, many)
	last := heldSince(t, warm, heapSlack/2)
	t.Logf("after %d texts %+v, after %d %+v", some, warm, many, last)
	if last.exceeds(warm, heapSlack/2) {
		t.Errorf("after %d texts %+v was held, and after %d %+v", some, warm, many, last)
	}
}

// passOn has each device in turn send a text, which the other one is shown.
func passOn(t *testing.T, w *World, id qpq.ChannelID, from, to int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), endless)
	defer cancel()
	for n := from; n < to; n++ {
		by, other := w.order[n%2], w.order[1-n%2]
		r, err := by.program()
		if err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprint("text", n)
		for { // the other one may not have joined yet
			if _, err = r.Conversation(id); err == nil {
				break
			}
			if err := r.Sync(ctx); err != nil {
				t.Fatal(err)
			}
		}
		message, err := r.SendText(ctx, id, text)
		if err == nil {
			err = r.Wait(ctx, id, message)
		}
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := other.program()
		if err != nil {
			t.Fatal(err)
		}
		for shown := false; !shown; {
			if err := theirs.Sync(ctx); err != nil {
				t.Fatal(err)
			}
			list, err := theirs.History(id, 0, 10)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range list {
				shown = shown || e.Message != nil && textOf(e) == text
			}
		}
	}
	w.mu.Lock()
	w.lines = nil // what the test remembers is not what they hold
	w.mu.Unlock()
	for _, d := range w.order {
		d.eyes.mu.Lock()
		d.eyes.seen = nil
		d.eyes.mu.Unlock()
	}
}
