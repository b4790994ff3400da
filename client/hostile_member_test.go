package client_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/client/conversation"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/mls"
	"github.com/quicproquo/qpq/mls/message"
	"github.com/quicproquo/qpq/wire"
)

// tries has a device say something once, and reports what came of it without ending the test.
func tries(d *device, id qpq.ChannelID, text string) error {
	m, err := d.SendText(context.Background(), id, text)
	if err != nil {
		return err
	}
	if err := d.Sync(context.Background()); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // now or never
	return d.Wait(ctx, id, m)
}

// TestWhoSaysGoodbyeAndStaysBlocksNobody: bob's device proposes to leave, and the call that ends his membership at the hub does not
// come: the connection is lost in between, or bob is hostile.
func TestWhoSaysGoodbyeAndStaysBlocksNobody(t *testing.T) {
	s := newServer(t, nil)
	id, alice, bob, carol := three(t, s)
	other := must(carol.Direct(context.Background(), alice.user()))
	settle(t, alice)
	bob.reopen(s.lying(lies{wire.ChannelLeave{}.Method().Ordinal: answer(qpq.E(qpq.Unavailable, "gone", "the connection is lost"))}))
	if err := bob.Leave(context.Background(), id); err == nil {
		t.Fatal("the lie was not told")
	}
	if err := tries(carol, id, "to the group"); err != nil {
		t.Errorf("carol cannot write to the group any more: %v", err)
	}
	if err := tries(carol, other, "to alice alone"); err != nil {
		t.Errorf("nor to anybody else: %v", err)
	}
}

// TestWhoseAccountIsGoneSplitsNobodyOff: dave is invited and deletes his account while carol is away.
func TestWhoseAccountIsGoneSplitsNobodyOff(t *testing.T) {
	s := newServer(t, nil)
	id, alice, bob, carol := three(t, s)
	dave := s.device(t)
	dave.register("dave")
	check(t, alice.Invite(context.Background(), id, dave.user()))
	settle(t, bob, dave)
	check(t, dave.Delete(context.Background(), with(secret)))
	settle(t, carol, alice, bob)
	check(t, tries(alice, id, "one"))
	if err := tries(carol, id, "two"); err != nil {
		t.Errorf("carol cannot write: %v", err)
	}
	settle(t, carol, alice, bob)
	for _, d := range []*device{alice, bob, carol} {
		if all := d.texts(id); !slices.Contains(all, "alice: one") || !slices.Contains(all, "carol: two") {
			t.Errorf("%s shows %q; notices %q", d.user(), all, d.codes(id))
		}
	}
}

// vec is a variable-size vector of MLS.
func vec(b []byte) []byte {
	if len(b) < 1<<6 {
		return append([]byte{byte(len(b))}, b...)
	}
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))|1<<14), b...)
}

// TestABadWelcomeEndsNothing: bob hands in a commit that counts for nobody, with a welcome for carol's device, which is a member
// already, that is none.
func TestABadWelcomeEndsNothing(t *testing.T) {
	s := newServer(t, nil)
	id, alice, bob, carol := three(t, s)
	check(t, alice.UpdateKeys(context.Background(), id))
	settle(t, carol)
	bob.close()
	bob.open(s.dial)
	x := s.steal(t, bob)
	info, err := wire.Call(t.Context(), x, wire.ChannelInfo{Channel: id})
	check(t, err)
	parent := info.Head.Slot - 1
	claim := wire.Claim{Slot: info.Head.Slot + 1, Parent: parent, Joined: []wire.MemberDevice{{User: carol.user(), Device: must(carol.profile.Account()).Device.ID()}}}
	b := append([]byte{0, 1, 0, 2}, vec(conversation.GroupID(id, 0))...)
	b = append(binary.BigEndian.AppendUint64(b, must(alice.profile.Channel(id)).Epoch-1), 3)
	b = append(append(append(b, vec(must(wire.Marshal(claim)))...), vec([]byte("sender"))...), vec([]byte("garbage"))...)
	welcome := append(append([]byte{0, 1, 0, 3, 0xf0, 1}, vec([]byte("secrets"))...), vec([]byte("info"))...)
	chunk := []byte("chunk")
	h := sha256.Sum256(chunk)
	_, err = wire.Call(t.Context(), x, wire.ChannelCommit{Channel: id, Commit: b, Welcome: welcome,
		Group: wire.GroupState{GroupInfo: []byte("info"), Manifest: [][]byte{h[:]}, Chunks: [][]byte{chunk}, AccessSlot: must(carol.profile.Channel(id)).AccessSlot}})
	check(t, err)
	_ = carol.Sync(context.Background())
	if v := must(carol.Client.Conversation(id)); v.Standing != client.Active {
		t.Errorf("carol, whose group was well, stands as %v", v.Standing)
	}
	check(t, alice.Sync(context.Background()))
	check(t, tries(alice, id, "do you read me?"))
	_ = carol.Sync(context.Background())
	if !slices.Contains(carol.texts(id), "alice: do you read me?") {
		t.Errorf("carol does not show what alice says; notices %q", carol.codes(id))
	}
}

// garbage is a commit that nobody can read, with a group state that nobody can open.
func garbage(id qpq.ChannelID, slot, epoch, access uint64) wire.ChannelCommit {
	b := append([]byte{0, 1, 0, 2}, vec(conversation.GroupID(id, 0))...)
	b = append(binary.BigEndian.AppendUint64(b, epoch), 3)
	b = append(b, vec(must(wire.Marshal(wire.Claim{Slot: slot, Parent: slot - 1})))...)
	b = append(append(b, vec([]byte("sender"))...), vec([]byte("garbage"))...)
	h := sha256.Sum256([]byte("chunk"))
	return wire.ChannelCommit{Channel: id, Commit: b, Group: wire.GroupState{GroupInfo: []byte("info"), Manifest: [][]byte{h[:]}, Chunks: [][]byte{[]byte("chunk")}, AccessSlot: access}}
}

// TestGarbageAndARestart: bob hands in garbage, and carol's connection is lost after she received it and before she could look what the
// hub keeps.
func TestGarbageAndARestart(t *testing.T) {
	s := newServer(t, nil)
	id, alice, bob, carol := three(t, s)
	ch := must(carol.profile.Channel(id))
	_, err := wire.Call(t.Context(), s.steal(t, bob), garbage(id, ch.Slot+1, ch.Epoch, ch.AccessSlot))
	check(t, err)
	carol.reopen(s.lying(lies{wire.ChannelInfo{}.Method().Ordinal: answer(qpq.E(qpq.Unavailable, "gone", "the connection is lost"))}))
	_ = carol.Sync(context.Background())
	carol.reopen(s.dial)
	for range 3 {
		_ = carol.Sync(context.Background())
	}
	if v := must(carol.Client.Conversation(id)); v.Standing != client.Active {
		t.Errorf("carol, who has the state of the last valid slot, stands as %v for good; notices %v", v.Standing, carol.notices)
	}
	settle(t, alice)
	if err := tries(carol, id, "still here"); err != nil {
		t.Errorf("carol cannot write: %v", err)
	}
}

// TestWhoLeavesAtTheWrongMomentIsGone: somebody commits before bob's proposal to leave reaches them, which is then of an epoch that is over.
func TestWhoLeavesAtTheWrongMomentIsGone(t *testing.T) {
	s := newServer(t, nil)
	ctx := context.Background()
	id, alice, bob, carol := three(t, s)
	check(t, bob.Leave(ctx, id))
	alice.reopen(s.lying(lies{wire.InboxFetch{}.Method().Ordinal: reply(wire.InboxFetchReply{Acknowledged: 1 << 20})}))
	check(t, alice.UpdateKeys(ctx, id))
	alice.reopen(s.dial)
	settle(t, alice, carol)
	if v := must(alice.Client.Conversation(id)); len(v.Members) != 2 {
		t.Errorf("bob left, and alice sees %v", v.Members)
	}
	check(t, carol.Invite(ctx, id, bob.user()))
	settle(t, bob, alice)
	if v := must(bob.Client.Conversation(id)); v.Standing != client.Active {
		t.Errorf("bob was invited again, and stands as %v", v.Standing)
	}
}

// TestAConfirmedConversationGoesOn: carol was removed and is invited again while bob cannot follow. He is warned, looks, and confirms.
func TestAConfirmedConversationGoesOn(t *testing.T) {
	s := newServer(t, nil)
	ctx := context.Background()
	id, alice, bob, carol := three(t, s)
	check(t, alice.Remove(ctx, id, carol.user()))
	settle(t, bob, carol)
	check(t, bob.profile.Change(func(tx *profile.Tx) error { return tx.ClearGroup(id) }))
	bob.close()
	check(t, alice.Invite(ctx, id, carol.user()))
	settle(t, carol)
	bob.open(s.dial)
	check(t, bob.Sync(ctx))
	v := must(bob.Client.Conversation(id))
	if v.Standing != client.Suspect {
		t.Errorf("bob stands as %v", v.Standing)
	}
	if !slices.ContainsFunc(v.Members, func(m client.Member) bool { return m.User == carol.user() }) {
		t.Errorf("what bob is asked to confirm does not show whom he was warned of: %v", v.Members)
	}
	check(t, bob.Confirm(ctx, id))
	settle(t, bob, alice, carol)
	if err := tries(bob, id, "welcome back"); err != nil {
		t.Errorf("bob confirmed the members, and cannot write: %v; he stands as %v, notices %q", err, must(bob.Client.Conversation(id)).Standing, bob.codes(id))
	}
}

// TestGarbageThatAddsSomebodyStopsNobody: bob hands in garbage that claims to add dave. For the hub the others are behind; they cannot
// go on to an epoch that nobody reached.
func TestGarbageThatAddsSomebodyStopsNobody(t *testing.T) {
	s := newServer(t, nil)
	id, alice, bob, carol := three(t, s)
	dave := s.device(t)
	dave.register("dave")
	ch := must(carol.profile.Channel(id))
	q := garbage(id, ch.Slot+1, ch.Epoch, ch.AccessSlot)
	claim := wire.Claim{Slot: ch.Slot + 1, Parent: ch.Slot, Roles: []wire.MemberRole{{User: dave.user()}}, Joined: []wire.MemberDevice{{User: dave.user(), Device: must(dave.profile.Account()).Device.ID()}}}
	b := append([]byte{0, 1, 0, 2}, vec(conversation.GroupID(id, 0))...)
	b = append(binary.BigEndian.AppendUint64(b, ch.Epoch), 3)
	q.Commit = append(append(append(b, vec(must(wire.Marshal(claim)))...), vec([]byte("sender"))...), vec([]byte("garbage"))...)
	q.Welcome = append(append([]byte{0, 1, 0, 3, 0xf0, 1}, vec([]byte("secrets"))...), vec([]byte("info"))...)
	_, err := wire.Call(t.Context(), s.steal(t, bob), q)
	check(t, err)
	settle(t, alice, carol)
	if err := tries(carol, id, "still here"); err != nil {
		t.Errorf("carol cannot write: %v; she stands as %v, notices %q", err, must(carol.Client.Conversation(id)).Standing, carol.codes(id))
	}
}

// TestAWelcomeToWhatIsVoid: bob adds carol's new device, and makes himself owner by the same commit, of which his claim says nothing. It is
// void for all but the device, which was not there before.
func TestAWelcomeToWhatIsVoid(t *testing.T) {
	s := newServer(t, nil)
	id, alice, bob, _ := three(t, s)
	phone := s.device(t)
	must(phone.Login(context.Background(), "carol", with(secret), "phone"))
	config := conversation.Config{Account: func(u qpq.UserID) (*identity.AccountState, error) {
		for _, d := range []*device{alice, bob, phone} {
			if d.user() == u {
				return must(d.profile.Account()).State, nil
			}
		}
		return nil, nil
	}}
	evil := must(mls.Restore(config.MLS(), must(bob.profile.Group(id))))
	ch := must(bob.profile.Channel(id))
	x := s.steal(t, bob)
	packages, err := wire.Call(t.Context(), x, wire.KeyPackagesClaim{User: phone.user(), Suites: []uint16{uint16(conversation.Suite)},
		Devices: []qpq.DeviceID{must(phone.profile.Account()).Device.ID()}})
	check(t, err)
	agreed := must(wire.Unmarshal[wire.Conversation](ch.Conversation))
	agreed.Members = slices.Clone(agreed.Members)
	for i, m := range agreed.Members {
		if m.User == bob.user() {
			agreed.Members[i].Role = wire.RoleOwner
		}
	}
	claim := wire.Claim{Slot: ch.Slot + 1, Parent: ch.Slot,
		Joined: []wire.MemberDevice{{User: phone.user(), Device: must(phone.profile.Account()).Device.ID()}}}
	grant := must(wire.Marshal(wire.AccessGrant{Slot: ch.AccessSlot, Key: [32]byte(ch.Access)}))
	p := must(evil.Commit(mls.CommitOptions{AuthenticatedData: must(wire.Marshal(claim)),
		GroupInfo: mls.GroupInfoOptions{ExternalPub: true, Extensions: mls.Extensions{{Type: conversation.ExtensionAccess, Data: grant}}},
		Proposals: []mls.Proposal{&message.Add{KeyPackage: must(mls.ParseKeyPackage(config.MLS(), packages.Packages[0].Data))},
			&message.GroupContextExtensions{Extensions: mls.Extensions{{Type: conversation.ExtensionConversation, Data: must(wire.Marshal(agreed))}}}}}))
	q := garbage(id, ch.Slot+1, ch.Epoch, ch.AccessSlot)
	q.Commit, q.Welcome = p.Message, p.Welcome
	_, err = wire.Call(t.Context(), x, q)
	check(t, err)
	settle(t, phone)
	if v := must(phone.Client.Conversation(id)); v.Standing != client.Active {
		t.Fatalf("the phone did not join: %v", v.Standing)
	}
	settle(t, alice, phone, alice)
	check(t, tries(alice, id, "hello, both of you"))
	settle(t, phone)
	if v := must(phone.Client.Conversation(id)); !slices.Contains(phone.texts(id), "alice: hello, both of you") || v.Members[1].Role == wire.RoleOwner {
		t.Errorf("the phone shows %q, notices %q, members %v", phone.texts(id), phone.codes(id), v.Members)
	}
}
