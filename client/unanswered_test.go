package client_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/wire"
)

// TestAChangeWhoseAnswerIsLostIsMadeOnce: the connection breaks while a change is made, before the server took it or before it could say so. The change waits
// until that is known: it is made if it was not, and what another one did since, to take it back, stays.
func TestAChangeWhoseAnswerIsLostIsMadeOnce(t *testing.T) {
	for name, reply := range map[string]bool{"the commit is lost": false, "the answer is lost": true} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, nil)
			id, all := club(t, s, "alice", "bob", "carol", "dave")
			alice, bob, carol, dave := all[0], all[1], all[2], all[3]
			ctx := t.Context()
			check(t, alice.SetRole(ctx, id, bob.user(), wire.RoleOwner))
			check(t, alice.Invite(ctx, id, dave.user()))
			settle(t, all...)
			b := &breaking{server: s, reply: reply}
			alice.reopen(b.dial)
			conversation := func() string {
				v := must(bob.Conversation(id))
				return fmt.Sprint(v.Title, v.Timer, v.Members)
			}
			is := func(kind client.AmendmentKind, change client.Amendment) client.Amendment {
				change.Kind, change.Conversation = kind, id
				return change
			}
			for _, c := range []struct {
				change client.Amendment
				undo   func() error
			}{
				{is(client.AmendInvite, invite(carol)), func() error { return bob.Remove(ctx, id, carol.user()) }},
				{is(client.AmendRole, client.Amendment{Users: []qpq.UserID{dave.user()}, Role: wire.RoleAdmin}), func() error { return bob.SetRole(ctx, id, dave.user(), wire.RoleMember) }},
				{is(client.AmendTitle, client.Amendment{Title: "another"}), func() error { return bob.SetTitle(ctx, id, "club") }},
				{is(client.AmendTimer, client.Amendment{Timer: time.Hour}), func() error { return bob.SetTimer(ctx, id, 0) }},
				{is(client.AmendKeys, client.Amendment{}), func() error { return nil }},
				{is(client.AmendRemove, invite(dave)), func() error { return bob.Invite(ctx, id, dave.user()) }},
			} {
				settle(t, alice, bob, dave)
				before, epoch := conversation(), must(bob.Conversation(id)).Epoch
				b.method.Store(int32(wire.ChannelCommit{}.Method().Ordinal))
				wants(t, alice.Amend(ctx, c.change), qpq.Unavailable, "unanswered")
				if list := must(alice.Amendments()); len(list) != 1 || !list[0].Tried || list[0].String() != c.change.String() {
					t.Fatalf("%+v waits", list)
				}
				want := epoch + 1
				if reply {
					check(t, bob.Sync(ctx))
					check(t, c.undo())
					want = must(bob.Conversation(id)).Epoch
				}
				settle(t, alice, bob, dave)
				if got := must(bob.Conversation(id)).Epoch; got != want {
					t.Errorf("%s: it is epoch %d, and should be %d", c.change, got, want)
				}
				if changed := conversation() != before; changed == reply && c.change.Kind != client.AmendKeys {
					t.Errorf("%s: it is %q, and was %q", c.change, conversation(), before)
				}
				if told, waits := alice.toldIn(id, "not-changed"), alice.asked(); len(told)+len(waits) > 0 {
					t.Errorf("%s: alice was told %q, and %q waits", c.change, told, waits)
				}
			}
		})
	}
}

// TestWhoLeftHasNoMoreToLeave: leaving has no answer, and is asked for once more when it is known that the account is out.
func TestWhoLeftHasNoMoreToLeave(t *testing.T) {
	s := newServer(t, nil)
	id, all := club(t, s, "alice", "bob")
	alice, bob := all[0], all[1]
	b := &breaking{server: s, reply: true}
	bob.reopen(b.dial)
	b.method.Store(int32(wire.ChannelLeave{}.Method().Ordinal))
	wants(t, bob.Leave(t.Context(), id), qpq.Unavailable, "connection-lost")
	settle(t, bob, alice)
	bob.asks(id, client.Amendment{Kind: client.AmendLeave})
	if got := bob.asked(); len(got) > 0 {
		t.Errorf("%q waits", got)
	}
	if got := alice.members(id); !slices.Equal(got, []string{"alice"}) {
		t.Errorf("members are %q", got)
	}
}
