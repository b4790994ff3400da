package client_test

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/opaque"
	"github.com/quicproquo/qpq/wire"
)

// last returns the newest line that a device shows.
func (d *device) last(id qpq.ChannelID) *client.Entry {
	d.t.Helper()
	list := must(d.History(id, 0, 1))
	if len(list) == 0 {
		d.t.Fatal("nothing is shown")
	}
	return &list[0]
}

// line returns a message as a device shows it.
func (d *device) line(id qpq.ChannelID, m client.MessageID) *client.Entry {
	d.t.Helper()
	return must(d.Message(id, m.String()))
}

// pair are two who talk, and their conversation.
func pair(t *testing.T) (alice, bob *device, id qpq.ChannelID) {
	s := newServer(t, nil)
	alice, bob = s.device(t), s.device(t)
	alice.register("alice")
	bob.register("bob")
	return alice, bob, must(alice.Direct(t.Context(), bob.user()))
}

func TestAReplyIsInTheThreadOfWhatItAnswers(t *testing.T) {
	alice, bob, id := pair(t)
	ctx := t.Context()
	first := alice.says(id, "shall we meet?")
	settle(t, bob)
	second := must(bob.Reply(ctx, id, bob.line(id, first).Ref(), "when, @alice?"))
	settle(t, bob, alice)
	must(alice.Reply(ctx, id, alice.line(id, second).Ref(), "at noon"))
	settle(t, alice, bob)
	for _, d := range []*device{alice, bob} {
		e := d.last(id)
		if e.Message.Kind != client.KindReply || e.Message.Text != "at noon" || e.Message.Target == nil || e.Message.Target.ID != second || e.Message.Root == nil || e.Message.Root.ID != first {
			t.Errorf("%s shows %+v", d.user(), e.Message)
		}
		if m := d.line(id, first).Message; m.Replies != 2 {
			t.Errorf("%s shows %d replies", d.user(), m.Replies)
		}
		if m := d.line(id, second).Message; !slices.Equal(m.Mentions, []qpq.UserID{alice.user()}) {
			t.Errorf("%s mentions %v", d.user(), m.Mentions)
		}
	}
	threads := must(bob.Threads(id, 10))
	if len(threads) != 1 || threads[0].Root.Message.ID != first || threads[0].Replies != 2 || threads[0].Unread != 1 {
		t.Fatalf("bob's threads are %+v", threads)
	}
	replies := must(bob.Replies(threads[0].Root.Ref(), 0, 10))
	check(t, bob.MarkThreadRead(id, threads[0].Root.Ref(), replies[1].Position))
	if v := must(bob.Conversation(id)); v.Unread != 1 || must(bob.Threads(id, 10))[0].Unread != 0 { // the first message was not read
		t.Errorf("after the thread was read, %d are not", v.Unread)
	}
}

func TestReactionsAreCountedAndTakenOff(t *testing.T) {
	alice, bob, id := pair(t)
	ctx := t.Context()
	m := alice.says(id, "we won")
	settle(t, bob)
	must(bob.React(ctx, id, bob.line(id, m).Ref(), "👍", false))
	must(bob.React(ctx, id, bob.line(id, m).Ref(), "👍", false))
	must(bob.React(ctx, id, bob.line(id, m).Ref(), "🎉", false))
	must(alice.React(ctx, id, alice.line(id, m).Ref(), "👍", false))
	settle(t, bob, alice, bob)
	for _, d := range []*device{alice, bob} {
		r := d.line(id, m).Message.Reactions
		if len(r) != 2 || len(r[0].Users)+len(r[1].Users) != 3 {
			t.Errorf("%s shows reactions %v", d.user(), r)
		}
		if d.last(id).Message.ID != m {
			t.Errorf("%s shows a reaction as a line", d.user())
		}
	}
	must(bob.React(ctx, id, bob.line(id, m).Ref(), "👍", true))
	settle(t, bob, alice)
	for _, r := range alice.line(id, m).Message.Reactions {
		if r.Emoji == "👍" && slices.Contains(r.Users, bob.user()) {
			t.Error("a reaction that was taken off is shown")
		}
	}
	for _, emoji := range []string{"\x1b[2J", " ", "a\nb", "two words", "\u200d", "\u202e"} {
		if _, err := bob.React(ctx, id, bob.line(id, m).Ref(), emoji, false); qpq.CodeOf(err) != "bad-emoji" {
			t.Errorf("%q as reaction: %v", emoji, err)
		}
	}
	const family = "👩\u200d👩\u200d👧"
	must(bob.React(ctx, id, bob.line(id, m).Ref(), family, false))
	settle(t, bob, alice)
	if r := alice.line(id, m).Message.Reactions; r[len(r)-1].Emoji != family {
		t.Errorf("after a family was put on it, it has %v", r)
	}
}

func TestAnEditKeepsWhatWasSaidBefore(t *testing.T) {
	alice, bob, id := pair(t)
	ctx := t.Context()
	m := alice.says(id, "at noon")
	must(alice.EditMessage(ctx, id, alice.line(id, m).Ref(), "at one"))
	must(alice.EditMessage(ctx, id, alice.line(id, m).Ref(), "at two"))
	settle(t, alice, bob)
	for _, d := range []*device{alice, bob} {
		e := d.line(id, m)
		if !e.Message.Edited || e.Message.Text != "at two" {
			t.Errorf("%s shows %+v", d.user(), e.Message)
		}
		var said []string
		for _, e := range must(d.Edits(e.Ref())) {
			said = append(said, e.Message.Text)
		}
		if !slices.Equal(said, []string{"at noon", "at one", "at two"}) {
			t.Errorf("%s knows that it said %q", d.user(), said)
		}
	}
	if _, err := bob.EditMessage(ctx, id, bob.line(id, m).Ref(), "never"); qpq.CodeOf(err) != "not-own" {
		t.Errorf("bob edits what alice said: %v", err)
	}
}

func TestWhatWasDeletedIsGone(t *testing.T) {
	alice, bob, id := pair(t)
	ctx := t.Context()
	m := alice.says(id, "a secret")
	must(alice.EditMessage(ctx, id, alice.line(id, m).Ref(), "another secret"))
	settle(t, alice, bob)
	must(bob.React(ctx, id, bob.line(id, m).Ref(), "👀", false))
	settle(t, bob, alice)
	must(alice.DeleteMessage(ctx, id, alice.line(id, m).Ref()))
	settle(t, alice, bob)
	for _, d := range []*device{alice, bob} {
		e := d.line(id, m)
		if e.Message.Gone != client.Deleted || e.Message.Text != "" || len(e.Message.Reactions) > 0 || e.Message.Edited {
			t.Errorf("%s shows %+v", d.user(), e.Message)
		}
		for _, e := range must(d.Edits(e.Ref())) {
			if e.Message.Text != "" {
				t.Errorf("%s keeps %q", d.user(), e.Message.Text)
			}
		}
	}
	if _, err := bob.React(ctx, id, bob.line(id, m).Ref(), "👍", false); qpq.CodeOf(err) != "message-gone" {
		t.Errorf("a reaction to what is gone: %v", err)
	}
}

func TestWhatIsDeletedBeforeItWasSentNeverIs(t *testing.T) {
	alice, bob, id := pair(t)
	ctx := t.Context()
	m := must(alice.SendText(ctx, id, "a mistake"))
	must(alice.DeleteMessage(ctx, id, alice.line(id, m).Ref()))
	wants(t, alice.Wait(ctx, id, m), qpq.NotFound, "message-gone")
	settle(t, alice, bob)
	if got := bob.texts(id); len(got) > 0 {
		t.Errorf("bob is shown %q", got)
	}
}

// TestOthersChangeNothing: a program that does not keep the rules does not get through with it.
func TestOthersChangeNothing(t *testing.T) {
	alice, bob, id := pair(t)
	ctx := t.Context()
	m := alice.says(id, "mine")
	settle(t, bob)
	ref := wire.MessageRef{Sender: alice.user(), ID: m}
	for _, body := range []wire.MessageBody{wire.EditBody{Target: ref, Text: "forged"}, wire.DeleteBody{Target: ref}} {
		if _, err := bob.Send(ctx, id, body); qpq.CodeOf(err) != "message-gone" {
			t.Errorf("the engine sends it: %v", err)
		}
		e := profile.Entry{Channel: id, State: client.Queued, Sender: bob.user()}
		rand.Read(e.ID[:])
		e.Content = must(wire.Marshal(wire.Message{ID: e.ID, Sent: time.Now(), Body: body}))
		check(t, bob.profile.Change(func(tx *profile.Tx) error { // around what the engine checks
			position, err := tx.AddEntry(e)
			return errors.Join(err, tx.Enqueue(position))
		}))
	}
	settle(t, bob, alice)
	if e := alice.line(id, m).Message; e.Text != "mine" || e.Edited || e.Gone != client.There {
		t.Errorf("alice shows %+v", e)
	}
	if got := alice.codes(id); !slices.Equal(got, []string{"not-own", "not-own"}) {
		t.Errorf("alice is told %q", got)
	}
}

// TestTrespassesAreToldOfWithABound: somebody who tries it again and again does not fill the history of others.
func TestTrespassesAreToldOfWithABound(t *testing.T) {
	alice, bob, id := pair(t)
	m := alice.says(id, "mine")
	settle(t, bob)
	for range 40 {
		e := profile.Entry{Channel: id, State: client.Queued, Sender: bob.user()}
		rand.Read(e.ID[:])
		e.Content = must(wire.Marshal(wire.Message{ID: e.ID, Sent: time.Now(), Body: wire.DeleteBody{Target: wire.MessageRef{Sender: alice.user(), ID: m}}}))
		check(t, bob.profile.Change(func(tx *profile.Tx) error { // around what the engine checks
			position, err := tx.AddEntry(e)
			return errors.Join(err, tx.Enqueue(position))
		}))
	}
	settle(t, bob, alice)
	if got := alice.codes(id); len(got) != 8 {
		t.Errorf("alice is told %q", got)
	}
	if e := alice.line(id, m).Message; e.Gone != client.There {
		t.Errorf("alice shows %+v", e)
	}
}

func TestReceiptsSayWhoHadAMessageAndWhoReadIt(t *testing.T) {
	alice, bob, id := pair(t)
	m := alice.says(id, "are you there?")
	receipts := func() (delivered, read bool) {
		return alice.line(id, m).Message.Delivered([]qpq.UserID{bob.user()})
	}
	if d, _ := receipts(); d {
		t.Error("it is delivered to nobody")
	}
	settle(t, bob, alice)
	if d, r := receipts(); !d || r {
		t.Errorf("delivered %v, read %v", d, r)
	}
	check(t, bob.MarkRead(id, bob.last(id).Position))
	settle(t, bob, alice)
	if _, r := receipts(); !r {
		t.Error("it is not known that it was read")
	}
	before := must(bob.Newest())
	settle(t, alice, bob, alice, bob)
	if after := must(bob.Newest()); after != before {
		t.Errorf("a receipt caused something: %d, %d", before, after)
	}
}

func TestReceiptsCanBeTurnedOff(t *testing.T) {
	alice, bob, id := pair(t)
	settle(t, bob)
	alice.says(id, "first")
	check(t, bob.Sync(t.Context()))
	check(t, bob.SetReceipts(id, false))
	m := alice.says(id, "are you there?")
	settle(t, bob)
	check(t, bob.MarkRead(id, bob.last(id).Position))
	settle(t, bob, alice)
	if r := alice.line(id, m).Message.Receipts; len(r) > 0 {
		t.Errorf("alice has receipts %v", r)
	}
}

func TestWhatOneDeviceReadIsReadOnAllOthers(t *testing.T) {
	s := newServer(t, nil)
	alice, bob, phone := s.device(t), s.device(t), s.device(t)
	alice.register("alice")
	bob.register("bob")
	must(phone.Login(t.Context(), "bob", with(secret), "phone"))
	id := must(alice.Direct(t.Context(), bob.user()))
	settle(t, alice, bob, phone, alice)
	alice.says(id, "hello")
	settle(t, bob, phone)
	if v := must(phone.Conversation(id)); v.Unread != 1 {
		t.Fatalf("the phone has %d unread", v.Unread)
	}
	check(t, bob.MarkRead(id, bob.last(id).Position))
	settle(t, bob, phone)
	if v := must(phone.Conversation(id)); v.Unread != 0 {
		t.Errorf("the phone has %d unread", v.Unread)
	}
}

// TestAThreadThatWasReadElsewhereIsNotTheConversation: bob reads a thread, and what was said beside it on none of his devices.
func TestAThreadThatWasReadElsewhereIsNotTheConversation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		alice, bob, phone := s.device(t), s.device(t), s.device(t)
		alice.register("alice")
		bob.register("bob")
		must(phone.Login(t.Context(), "bob", with(secret), "phone"))
		id := must(alice.Direct(t.Context(), bob.user()))
		settle(t, alice, bob, phone, alice)
		check(t, alice.SetTimer(t.Context(), id, time.Minute))
		settle(t, alice, bob, phone)
		alice.says(id, "who comes?")
		root := alice.last(id).Ref()
		unseen := alice.says(id, "it is at noon")
		_ = must(alice.Reply(t.Context(), id, root, "I do"))
		settle(t, alice, bob, phone)
		reply := bob.last(id)
		check(t, bob.MarkThreadRead(id, bob.ThreadOf(reply), reply.Position))
		settle(t, bob, phone)
		if v := must(phone.Conversation(id)); v.Unread != 2 {
			t.Errorf("the phone has %d unread", v.Unread)
		}
		if at := phone.line(id, unseen).Message.Expires; !at.IsZero() {
			t.Errorf("what nobody read disappears at %s", at)
		}
		if at := phone.last(id).Message.Expires; at.IsZero() {
			t.Error("the reply that was read stays")
		}
	})
}

// TestWhoIsAwayReadsAfterMuchTyping: what is fleeting uses up keys, and whoever is away never learns of them.
func TestWhoIsAwayReadsAfterMuchTyping(t *testing.T) {
	s := newServer(t, nil)
	alice, bob, id := friends(t, s)
	alice.says(id, "hello")
	settle(t, alice, bob, alice)
	bob.close()
	for range 1100 {
		err := alice.SendTyping(t.Context(), id, true)
		if err != nil && qpq.KindOf(err) != qpq.RateLimited {
			t.Fatal(err)
		}
	}
	alice.says(id, "well")
	bob.open(s.dial)
	settle(t, bob)
	shows(t, id, []string{"alice: hello", "alice: well"}, bob)
}

func TestTypingIsShownWhileItLasts(t *testing.T) {
	alice, bob, id := pair(t)
	ctx, cancel := context.WithCancel(t.Context())
	alice.says(id, "hello")
	settle(t, alice, bob) // who is behind would not understand it
	done := make(chan error, 1)
	go func() { done <- bob.Run(ctx) }()
	news := func(want []qpq.UserID) {
		t.Helper()
		for {
			next := bob.News()
			if slices.Equal(bob.Typing(id), want) {
				return
			}
			<-next
		}
	}
	check(t, alice.SendTyping(ctx, id, true))
	news([]qpq.UserID{alice.user()})
	check(t, alice.SendTyping(ctx, id, false))
	news(nil)
	check(t, alice.SendTyping(ctx, id, true))
	news([]qpq.UserID{alice.user()})
	alice.says(id, "done")
	news(nil)
	shows(t, id, []string{"alice: hello", "alice: done"}, bob)
	cancel()
	check(t, <-done)
}

// TestTypingThatIsOverIsNotShown: a server kept it back, which bob sees at his clock.
func TestTypingThatIsOverIsNotShown(t *testing.T) {
	for late, shown := range map[time.Duration]bool{0: true, 9 * time.Second: true, 10 * time.Second: false, time.Hour: false} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, nil)
			alice, bob := s.device(t), s.device(t)
			alice.register("alice")
			bob.register("bob")
			id := must(alice.Direct(t.Context(), bob.user()))
			alice.says(id, "hello")
			settle(t, alice, bob)
			check(t, bob.Client.Close())
			bob.Client = client.New(client.Config{Profile: bob.profile, Dial: s.dial, Server: domain, KSF: opaque.Identity, Clock: func() time.Time { return time.Now().Add(late) }})
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- bob.Run(ctx) }()
			time.Sleep(100 * time.Millisecond)
			check(t, alice.SendTyping(ctx, id, true))
			time.Sleep(100 * time.Millisecond)
			if got := bob.Typing(id); (len(got) == 1) != shown {
				t.Errorf("%s late, bob sees %v", late, got)
			}
			time.Sleep(10*time.Second - late)
			if got := bob.Typing(id); len(got) > 0 {
				t.Errorf("%s late, bob still sees %v", late, got)
			}
			cancel()
			check(t, <-done)
		})
	}
}
