package client_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
)

func TestMessagesDisappear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alice, bob, id := pair(t)
		ctx := t.Context()
		settle(t, alice, bob)
		kept := alice.says(id, "this stays")
		check(t, bob.SetTimer(ctx, id, time.Minute))
		alice.says(id, "this does not") // her device learns of the timer as it sends
		settle(t, bob)
		if got := alice.codes(id); !slices.Contains(got, "timer") || must(alice.Conversation(id)).Timer != time.Minute {
			t.Errorf("alice is told %q", got)
		}
		time.Sleep(59 * time.Second)
		shows(t, id, []string{"alice: this stays", "alice: this does not"}, alice, bob)
		time.Sleep(2 * time.Second)
		shows(t, id, []string{"alice: this stays"}, alice)
		shows(t, id, []string{"alice: this stays", "alice: this does not"}, bob) // who has not read it
		check(t, bob.MarkRead(id, bob.last(id).Position))
		time.Sleep(30 * time.Second)
		bob.reopen(nil)
		shows(t, id, []string{"alice: this stays", "alice: this does not"}, bob)
		time.Sleep(31 * time.Second)
		shows(t, id, []string{"alice: this stays"}, bob)
		if m := bob.line(id, kept).Message; m.Timer != 0 {
			t.Errorf("the first message disappears too: %+v", m)
		}
	})
}

// TestAnEditTakesWhatItEditsWithIt: what was said before a timer was set, and edited then, does not say again what it said before.
func TestAnEditTakesWhatItEditsWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alice, bob, id := pair(t)
		ctx := t.Context()
		settle(t, alice, bob)
		kept, m := alice.says(id, "this stays"), alice.says(id, "at noon")
		must(alice.EditMessage(ctx, id, alice.line(id, kept).Ref(), "this stays too"))
		settle(t, alice, bob) // before there is a timer
		check(t, alice.SetTimer(ctx, id, time.Minute))
		settle(t, alice, bob)
		must(alice.EditMessage(ctx, id, alice.line(id, m).Ref(), "at one"))
		settle(t, alice, bob)
		alice.says(id, "well?")
		settle(t, bob)
		check(t, bob.MarkRead(id, bob.last(id).Position))
		for _, d := range []*device{alice, bob} {
			if e := d.line(id, m).Message; e.Timer != time.Minute || e.Expires.IsZero() {
				t.Errorf("%s shows that it disappears after %s, at %s", d.user(), e.Timer, e.Expires)
			}
		}
		for _, want := range [][]string{{"this stays too", "at one", "well?"}, {"this stays too"}} {
			for _, d := range []*device{alice, bob} {
				var got []string
				for _, e := range must(d.History(id, 0, 10)) {
					if e.Message != nil {
						got = append(got, e.Message.Text)
					}
				}
				if !slices.Equal(got, want) {
					t.Errorf("%s shows %q", d.user(), got)
				}
			}
			time.Sleep(61 * time.Second)
		}
		if m := must(alice.At(alice.line(id, kept).Position)).Message; m.Timer != 0 || !m.Expires.IsZero() {
			t.Errorf("what was edited before disappears too: %+v", m)
		}
	})
}

func TestTheServerDropsWhatDisappeared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alice, bob, id := pair(t)
		check(t, alice.SetTimer(t.Context(), id, time.Minute))
		settle(t, alice, bob)
		alice.says(id, "too late")
		time.Sleep(2 * time.Hour) // expiry at the server is by the hour
		settle(t, bob)
		if got := bob.codes(id); !slices.Contains(got, "late") || len(bob.texts(id)) > 0 {
			t.Errorf("bob shows %q, and is told %q", bob.texts(id), got)
		}
	})
}

func TestATimerHasBounds(t *testing.T) {
	alice, _, id := pair(t)
	for _, d := range []time.Duration{-time.Second, time.Millisecond, 400 * 24 * time.Hour, 1500 * time.Millisecond} {
		if err := alice.SetTimer(t.Context(), id, d); qpq.CodeOf(err) != "bad-timer" {
			t.Errorf("%s: %v", d, err)
		}
	}
	for d, want := range map[time.Duration]string{time.Second: "1 second", 90 * time.Second: "90 seconds", time.Hour: "1 hour", 14 * 24 * time.Hour: "2 weeks", 24 * time.Hour: "1 day"} {
		if got := client.Span(d); got != want {
			t.Errorf("%s is %s", d, got)
		}
	}
}

// TestWhoIsAwayReadsAfterMuchDisappeared: of one sender more disappeared at the server than anybody's patience would count, and what is said then is read.
func TestWhoIsAwayReadsAfterMuchDisappeared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alice, bob, id := pair(t)
		check(t, alice.SetTimer(t.Context(), id, time.Minute))
		settle(t, alice, bob, alice)
		for i := range 1200 {
			must(alice.SendText(t.Context(), id, "for a moment"))
			if i%100 == 99 {
				check(t, alice.Sync(t.Context()))
			}
		}
		time.Sleep(2 * time.Hour)
		alice.says(id, "are you back?")
		check(t, bob.Sync(t.Context()))
		shows(t, id, []string{"alice: are you back?"}, bob)
		if got := bob.codes(id); slices.Contains(got, "unreadable") || !slices.Contains(got, "late") {
			t.Errorf("bob is told %q", got)
		}
	})
}
