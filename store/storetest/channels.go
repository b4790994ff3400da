package storetest

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/store"
)

// month and fortnight are what a server keeps and waits for.
const (
	month     = 30 * 24 * time.Hour
	fortnight = 14 * 24 * time.Hour
)

// channel is a channel as a test talks about it. Every account is in it with its device 1.
type channel struct {
	t     testing.TB
	s     *store.Store
	id    qpq.ChannelID
	now   time.Time
	quota int64
}

func newChannel(t testing.TB, s *store.Store, id byte, accounts ...string) *channel {
	t.Helper()
	n := newOf(id, accounts...)
	_, _, created, err := s.CreateChannel(t.Context(), n)
	ok(t, err)
	if !created {
		t.Fatal("the channel was there before")
	}
	return &channel{t: t, s: s, id: n.ID, now: Epoch}
}

// newOf is a channel of some accounts, made by the first.
func newOf(id byte, accounts ...string) store.NewChannel {
	n := store.NewChannel{ID: qpq.ChannelID{id}, Founding: []byte{id, 0}, Account: accounts[0], Device: qpq.DeviceID{1}, Slot: signedSlot(0, 0, []byte{id}), Group: groupState(0, 0), Now: Epoch}
	n.Group.Keys = map[string][]byte{}
	for _, name := range accounts {
		n.Roster.Put(name, 0)
		n.Roster.Join(name, qpq.DeviceID{1})
		n.Group.Keys[name] = []byte("key 0 of " + name)
	}
	return n
}

func signedSlot(number, parent int64, hash []byte) store.Slot {
	return store.Slot{Number: number, Parent: parent, Previous: []byte("previous"), Hash: hash, Time: Epoch, Signature: fmt.Append(nil, "signature ", number)}
}

// groupState has a chunk of its own and one that every slot has.
func groupState(slot, access int64) store.GroupState {
	own, all := fmt.Append(nil, "chunk ", slot), []byte("chunk of all")
	a, b := sha256.Sum256(all), sha256.Sum256(own)
	return store.GroupState{Info: fmt.Append(nil, "info ", slot), Manifest: [][32]byte{a, b}, Chunks: map[[32]byte][]byte{a: all, b: own}, AccessSlot: access}
}

func (c *channel) message(id byte, from, text string) store.Message {
	return store.Message{Channel: c.id, ID: [16]byte{id}, Account: from, Device: qpq.DeviceID{1}, Hash: []byte(text), Payload: []byte(text), Now: c.now, Retention: month, Quota: c.quota}
}

func (c *channel) say(id byte, from, text string) store.Sent {
	c.t.Helper()
	sent, err := c.s.Send(c.t.Context(), c.message(id, from, text))
	ok(c.t, err)
	return sent
}

func fetch(t testing.TB, s *store.Store, account string, device byte, after int64) store.Inbox {
	t.Helper()
	return fetchAt(t, s, account, device, after, Epoch)
}

func fetchAt(t testing.TB, s *store.Store, account string, device byte, after int64, now time.Time) store.Inbox {
	t.Helper()
	in, err := s.Inbox(t.Context(), store.Fetch{Account: account, Device: qpq.DeviceID{device}, After: after, Limit: 1000, Size: 1 << 20, Now: now})
	ok(t, err)
	return in
}

func acknowledge(t testing.TB, s *store.Store, account string, device byte, seq int64, now time.Time) {
	t.Helper()
	ok(t, s.Acknowledge(t.Context(), store.Acknowledgement{Account: account, Device: qpq.DeviceID{device}, Seq: seq, Now: now, Lapse: fortnight}))
}

func testInbox(t *testing.T, e store.Engine) {
	s, ctx := Open(t, e), t.Context()
	register(t, s, "alice")
	register(t, s, "bob")
	register(t, s, "carol")
	ch := newChannel(t, s, 1, "alice", "bob")
	first := ch.say(1, "alice", "p1")
	if d := cmp.Diff([]int64{1, 1}, []int64{first.Sequence, int64(len(fetch(t, s, "alice", 1, 0).Rows))}); d != "" {
		t.Errorf("the first message:\n%s", d)
	}
	again := ch.say(1, "alice", "p1")
	if again.Sequence != 1 || !again.Time.Equal(first.Time) || again.Notices != nil {
		t.Errorf("a repetition: %+v, want %+v", again, first)
	}
	_, err := s.Send(ctx, ch.message(1, "alice", "other"))
	wantKind(t, err, qpq.Exists, "message-id-reused")
	_, err = s.Send(ctx, ch.message(1, "bob", "other"))
	wantKind(t, err, qpq.Exists, "message-id-reused")
	_, err = s.Send(ctx, ch.message(2, "carol", "p2"))
	wantKind(t, err, qpq.NotFound, "channel-unknown")
	_, err = s.Send(ctx, ch.message(1, "carol", "p1"))
	wantKind(t, err, qpq.NotFound, "channel-unknown")
	ch.say(2, "bob", "p2")
	row := func(seq int64, from, text string) store.InboxRow {
		return store.InboxRow{Seq: seq, Channel: ch.id, Sequence: seq, Time: Epoch, Account: from, Device: qpq.DeviceID{1}, ID: append([]byte{byte(seq)}, make([]byte, 15)...), Payload: []byte(text)}
	}
	want := []store.InboxRow{row(1, "alice", "p1"), row(2, "bob", "p2")}
	for name, want := range map[string][]store.InboxRow{"alice": want, "bob": want, "carol": nil, "nobody": nil} {
		if d := cmp.Diff(want, fetch(t, s, name, 1, 0).Rows); d != "" {
			t.Errorf("inbox of %s (-want +got):\n%s", name, d)
		}
	}
	if rest := fetch(t, s, "alice", 1, 1).Rows; len(rest) != 1 || rest[0].Seq != 2 {
		t.Errorf("after 1: %v", rest)
	}
	acknowledge(t, s, "bob", 1, 2, Epoch)
	if rest := fetch(t, s, "bob", 1, 0).Rows; len(rest) != 0 {
		t.Errorf("the only device acknowledged all, and these rows stay: %v", rest)
	}
}

// testEcho: the sender's only device gets rows without payload once all others acknowledged; with two devices it gets them whole.
func testEcho(t *testing.T, e store.Engine) {
	s, ctx := Open(t, e), t.Context()
	register(t, s, "alice")
	register(t, s, "bob")
	ch := newChannel(t, s, 1, "alice", "bob")
	send := func(id byte, text string) {
		m := ch.message(id, "alice", text)
		m.Application = true
		_, err := s.Send(ctx, m)
		ok(t, err)
	}
	payloads := func(name string, after int64) (all []string) {
		for _, r := range fetch(t, s, name, 1, after).Rows {
			all = append(all, string(r.Payload))
		}
		return all
	}
	large := strings.Repeat("large ", 2000)
	send(1, "small")
	send(2, large)
	if d := cmp.Diff([]string{"small", large}, payloads("bob", 0)); d != "" {
		t.Errorf("the inbox of who gets messages (-want +got):\n%s", d)
	}
	acknowledge(t, s, "bob", 1, 2, Epoch)
	if d := cmp.Diff([]string{"", ""}, payloads("alice", 0)); d != "" {
		t.Errorf("the rows of the only device, which sent them, once all others acknowledged (-want +got):\n%s", d)
	}
	d := device(2)
	ok(t, s.ChangeAccount(ctx, store.AccountChange{Name: "alice", MaxDevices: 5, Now: Epoch, Enrol: &d}))
	send(3, "for both")
	acknowledge(t, s, "bob", 1, 3, Epoch)
	if d := cmp.Diff([]string{"for both"}, payloads("alice", 2)); d != "" {
		t.Errorf("a message that another device of its sender has not read (-want +got):\n%s", d)
	}
	acknowledge(t, s, "alice", 1, 3, Epoch)
	if got := fetch(t, s, "alice", 2, 2).Rows; len(got) != 1 || string(got[0].Payload) != "for both" {
		t.Errorf("what the other device reads later: %+v", got)
	}
	alone := newChannel(t, s, 2, "bob")
	m := alone.message(9, "bob", "note")
	m.Application = true
	first, err := s.Send(ctx, m)
	ok(t, err)
	again, err := s.Send(ctx, m)
	if err != nil || again.Sequence != first.Sequence || !again.Time.Equal(first.Time) {
		t.Errorf("a repetition: %+v, %v; want %+v", again, err, first)
	}
	m.Hash = []byte("another")
	_, err = s.Send(ctx, m)
	wantKind(t, err, qpq.Exists, "message-id-reused")
	if d := cmp.Diff([]string{""}, payloads("bob", 3)); d != "" {
		t.Errorf("the inbox of somebody who is alone (-want +got):\n%s", d)
	}
	ch.say(4, "bob", "a proposal")
	acknowledge(t, s, "alice", 1, 4, Epoch)
	acknowledge(t, s, "alice", 2, 4, Epoch)
	if d := cmp.Diff([]string{"a proposal"}, payloads("bob", 4)); d != "" {
		t.Errorf("what is no application message (-want +got):\n%s", d)
	}
}
