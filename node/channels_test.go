package node

import (
	"reflect"
	"slices"
	"testing"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/wire"
)

func wantLines(t testing.TB, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

// TestConversation is the way of two people through all of it.
func TestConversation(t *testing.T) {
	r := newRig(t, nil)
	alice, bob := r.join("alice"), r.join("bob")
	x := r.create(alice, nil)
	x.take(alice, x.commit(add(1, 0, bob)))
	x.say(alice, "hello", 1)
	x.say(bob, "hi", 1)
	wantLines(t, "bob's inbox", bob.inbox(0), "commit 1 commit 1", "welcome 1 welcome 1", "message 2 hello", "message 3 hi")
	wantLines(t, "alice's inbox", alice.inbox(0), "commit 1 commit 1", "message 2 hello", "message 3 hi")
	reply := call(bob.line, wire.InboxFetch{})
	if row := reply.Rows[2]; row.From == nil || *row.From != alice.device() || row.Sequence != 3 || reply.Head != 4 {
		t.Errorf("head %d, row %+v", reply.Head, row)
	}
	if row := reply.Rows[1]; row.Device != bob.as.key.ID() || row.Receipt == nil || *row.Receipt != x.slots[1] {
		t.Errorf("the welcome: %+v", row)
	}
	call(bob.line, wire.InboxAck{Sequence: 3})
	wantLines(t, "bob's inbox", bob.inbox(0), "message 3 hi")
	if got := call(bob.line, wire.InboxFetch{After: 3}).Acknowledged; got != 3 {
		t.Errorf("acknowledged %d", got)
	}
	info := call(bob.line, wire.ChannelInfo{Channel: x.id})
	if len(info.Members) != 2 || info.Members[0].Role != wire.RoleOwner || info.Members[1].User != bob.user || info.Head != x.slots[1] || info.Sequence != 3 {
		t.Errorf("info: %+v", info)
	}
	list := call(bob.line, wire.ChannelsList{}).Channels
	if len(list) != 1 || list[0] != (wire.ChannelHead{Channel: x.id, Slot: 1, Sequence: 3, Commit: info.Head.Commit}) {
		t.Errorf("list: %+v", list)
	}
	g := call(bob.line, wire.ChannelGroup{Channel: x.id, Slot: 99})
	if g.Slot != 1 || string(g.GroupInfo) != "info 1" || len(g.Manifest) != 2 {
		t.Errorf("group: %+v", g)
	}
	chunks := call(bob.line, wire.ChannelChunks{Channel: x.id, Hashes: g.Manifest}).Chunks
	if len(chunks) != 2 || string(chunks[0]) != "chunk of all slots" || string(chunks[1]) != "chunk of slot 1" {
		t.Errorf("chunks: %q", chunks)
	}
	p := bob.pushed()
	if len(p) != 2 {
		t.Fatalf("pushed %v", p)
	}
	if last := p[1].(wire.InboxPush); last.Sequence != 3 || !reflect.DeepEqual(last.Row, &reply.Rows[2]) {
		t.Errorf("pushed %+v, and fetched %+v", last.Row, reply.Rows[2])
	}
}

// TestNobodyFoundsWithoutEnd: an account founds so many conversations a day. What is there already counts once.
func TestNobodyFoundsWithoutEnd(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Limits.Channels = 3 })
	alice, bob := r.join("alice"), r.join("bob")
	direct := func(f *wire.Founding) { f.Direct, f.Peer = true, bob.user }
	r.create(alice, direct)
	for range 5 {
		if reply := call(alice.line, r.founding(alice, direct)); reply.Created {
			t.Error("a direct conversation was made twice")
		}
	}
	r.create(alice, nil)
	r.create(alice, nil)
	refused(alice.line, r.founding(alice, nil), qpq.RateLimited, "too-many-conversations")
	r.create(bob, nil)
}
