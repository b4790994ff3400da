package client_test

import (
	"bytes"
	"context"
	"slices"
	"testing"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/client/transcript"
	"github.com/quicproquo/qpq/wire"
)

// exports returns a transcript.
func (d *device) exports(id qpq.ChannelID, x client.Export) []byte {
	d.t.Helper()
	var b bytes.Buffer
	_, err := d.Export(context.Background(), id, x, &b)
	check(d.t, err)
	return b.Bytes()
}

// lines verifies a transcript and returns what it says, "-" for what is redacted, without notices.
func lines(t *testing.T, b []byte) (list []string, result *transcript.Result) {
	t.Helper()
	result, err := transcript.Verify(bytes.NewReader(b), func(l *transcript.Line) error {
		switch e := l.Entry; {
		case l.Redacted:
			list = append(list, "-")
		case e.Type == "message":
			list = append(list, e.Kind+": "+e.Text)
		}
		return nil
	})
	check(t, err)
	return list, result
}

func TestTranscript(t *testing.T) {
	s := newServer(t, nil)
	alice, bob := s.device(t), s.device(t)
	alice.register("alice")
	bob.register("bob")
	ctx := context.Background()
	id := must(alice.Direct(ctx, bob.user()))
	first := alice.says(id, "hello")
	check(t, bob.Sync(ctx))
	ref := must(bob.Message(id, first.String())).Ref()
	must(bob.Reply(ctx, id, ref, "hi"))
	must(bob.React(ctx, id, ref, "👍", false))
	settle(t, bob, alice)
	own := must(alice.Message(id, first.String())).Ref()
	must(alice.EditMessage(ctx, id, own, "hello there"))
	settle(t, alice, bob)
	must(alice.Send(ctx, id, wire.DeleteBody{Target: wire.MessageRef{Sender: alice.user(), ID: alice.says(id, "a slip")}}))
	settle(t, alice, bob)

	want := []string{"text: hello", "reply: hi", "reaction: 👍", "edit: hello there", "text: ", "delete: "}
	for _, d := range []*device{alice, bob} {
		got, result := lines(t, d.exports(id, client.Export{}))
		if !slices.Equal(got, want) || result.User != d.user() || result.Header.Conversation != id.String() || len(result.Header.Members) != 2 {
			t.Errorf("%s exports %q, %+v", d.user(), got, result.Header)
		}
	}
	counted := 0
	x := client.Export{Redact: []client.Ref{own}, Progress: func(n, all int) {
		if counted++; n != counted || n > all {
			t.Errorf("entry %d of %d comes as number %d", n, all, counted)
		}
	}}
	got, result := lines(t, alice.exports(id, x))
	if !slices.Equal(got, []string{"-", "reply: hi", "reaction: 👍", "-", "text: ", "delete: "}) || result.Redacted != 2 || uint64(counted) != result.Entries {
		t.Errorf("with a redaction alice exports %q", got)
	}
	reply := must(alice.History(id, 0, 10))
	i := slices.IndexFunc(reply, func(e client.Entry) bool { return e.Message != nil && e.Message.Kind == client.KindReply })
	at := client.Bound{Name: "x", Position: reply[i].Position}
	if got, _ := lines(t, alice.exports(id, client.Export{After: at})); !slices.Equal(got, want[2:]) {
		t.Errorf("after the reply there is %q", got)
	}
	if got, result := lines(t, alice.exports(id, client.Export{Before: at})); !slices.Equal(got, want[:1]) || result.Header.Before != "x" {
		t.Errorf("before the reply there is %q", got)
	}
	late := client.Bound{Name: "now", Time: time.Now().AddDate(1, 0, 0)}
	if got, _ := lines(t, alice.exports(id, client.Export{After: late})); len(got) != 0 {
		t.Errorf("next year there is %q", got)
	}
	if got, _ := lines(t, alice.exports(id, client.Export{Before: late})); !slices.Equal(got, want) {
		t.Errorf("until next year there is %q", got)
	}
}

// TestWhoSignedTranscripts: the account that a device knows by a name counts, through changes of its key.
func TestWhoSignedTranscripts(t *testing.T) {
	s := newServer(t, nil)
	alice, second, bob, carol := s.device(t), s.device(t), s.device(t), s.device(t)
	alice.register("alice")
	bob.register("bob")
	carol.register("carol")
	ctx := context.Background()
	id := must(alice.Direct(ctx, bob.user()))
	alice.says(id, "hello")
	check(t, bob.Sync(ctx))
	stolen, err := second.Login(ctx, "alice", with(secret), "second")
	check(t, err)
	_, early := lines(t, alice.exports(id, client.Export{}))
	for _, d := range []*device{alice, second, bob} {
		check(t, d.Vouch(ctx, early))
	}
	wants(t, carol.Vouch(ctx, early), qpq.NotFound, client.CodeSignerUnknown)
	wants(t, s.device(t).Vouch(ctx, early), qpq.NotFound, client.CodeSignerUnknown) // nobody is signed in

	// Another device is revoked, which rotates the key. Both of the same account vouch, before and after they know.
	settle(t, alice, second, alice, bob, second)
	_, theirs := lines(t, second.exports(id, client.Export{}))
	check(t, bob.Vouch(ctx, theirs))
	check(t, alice.RevokeDevice(ctx, stolen.Device, with(secret)))
	_, late := lines(t, alice.exports(id, client.Export{}))
	if len(late.States) != 3 || late.States[0].Version != 1 || late.States[0].Key == late.States[2].Key {
		t.Fatalf("the account has %d states", len(late.States))
	}
	check(t, bob.Vouch(ctx, late))
	settle(t, bob)
	if _, err := bob.Lookup(ctx, alice.user()); err != nil {
		t.Fatal(err)
	}
	check(t, bob.Vouch(ctx, late))
	check(t, bob.Vouch(ctx, early)) // by what the server has between them

	// What the revoked device signed does not count any more, and that of another account by the name never did.
	wants(t, bob.Vouch(ctx, theirs), qpq.Denied, client.CodeSignerRevoked)
	other := newServer(t, nil)
	impostor, friend := other.device(t), other.device(t)
	impostor.register("alice")
	friend.register("bob")
	fid := must(impostor.Direct(ctx, friend.user()))
	impostor.says(fid, "hello")
	_, theirs = lines(t, impostor.exports(fid, client.Export{}))
	wants(t, bob.Vouch(ctx, theirs), qpq.Denied, client.CodeSignerDiffers)
}
