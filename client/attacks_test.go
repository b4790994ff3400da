package client_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/client/conversation"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/store/sqlite"
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

func reply[T any, P wire.Value[T]](v T) func() (uint16, []byte) {
	return func() (uint16, []byte) { return 0, must(wire.Marshal[T, P](v)) }
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

// TestReceiptsAreOfTheCommit: the hub answers a commit with the receipt of another one, and does nothing.
func TestReceiptsAreOfTheCommit(t *testing.T) {
	s := newServer(t, nil)
	id, alice, _, carol := three(t, s)
	head := must(wire.Unmarshal[wire.SlotReceipt](must(alice.profile.Channel(id)).Head))
	alice.reopen(s.lying(lies{wire.ChannelCommit{}.Method().Ordinal: reply(wire.ChannelCommitReply{Receipt: head})}))
	if err := alice.Remove(context.Background(), id, carol.user()); err == nil {
		t.Errorf("alice believes that carol was removed, by the receipt of slot %d", head.Slot)
	}
}

// TestADirectConversationIsNotAnotherOne: asked for the direct conversation with bob, the server names a group.
func TestADirectConversationIsNotAnotherOne(t *testing.T) {
	s := newServer(t, nil)
	id, alice, bob, _ := three(t, s)
	alice.reopen(s.lying(lies{wire.ChannelCreate{}.Method().Ordinal: reply(wire.ChannelCreateReply{Channel: id})}))
	if got, err := alice.Direct(context.Background(), bob.user()); err == nil && got == id {
		t.Error("what alice writes to bob alone goes to a group")
	}
}

// TestAServerAloneCannotMakeAGroup: bob's state is lost, or the server says that it is old. The server, who knows no secret of the
// group, shows him one that it made with an account of its own, and the access key with it.
func TestAServerAloneCannotMakeAGroup(t *testing.T) {
	s := newServer(t, nil)
	ctx := context.Background()
	id, alice, bob, carol := three(t, s)
	check(t, alice.Remove(ctx, id, carol.user()))
	settle(t, bob)
	mallory := s.device(t)
	mallory.register("mallory")

	account := must(mallory.profile.Account())
	self := conversation.Self{Device: account.Device, Account: account.State}
	states := map[qpq.UserID]*identity.AccountState{account.User: account.State, bob.user(): must(bob.profile.Account()).State}
	config := conversation.Config{Account: func(u qpq.UserID) (*identity.AccountState, error) { return states[u], nil }}
	hub := must(alice.Client.Conversation(id)) // for the suite alone
	real := must(wire.Unmarshal[wire.Founding](must(alice.profile.Channel(id)).Founding))
	_, made, err := conversation.Found(config, self, wire.Founding{Channel: id, Domain: domain, HubKey: real.HubKey, Suite: hub.Suite,
		Creator: wire.MemberDevice{User: account.User, Device: account.Device.ID()}, Direct: true, Peer: bob.user()}, "")
	check(t, err)
	group := wire.ChannelGroupReply{GroupInfo: made.Group.GroupInfo, Manifest: made.Group.Manifest, AccessSlot: made.Group.AccessSlot}
	for _, k := range made.Group.AccessKeys {
		if k.User == bob.user() {
			group.AccessKey = k.Data
		}
	}
	head := must(wire.Unmarshal[wire.SlotReceipt](must(alice.profile.Channel(id)).Head))
	receipt := wire.SignSlot(s.cfg.SigningKey, id, wire.SlotReceipt{Slot: head.Slot + 1, Parent: head.Slot, Previous: wire.SlotHash(id, head), Time: time.Now().Truncate(time.Millisecond)})

	check(t, bob.profile.Change(func(tx *profile.Tx) error { return tx.ClearGroup(id) }))
	bob.reopen(s.lying(lies{
		wire.ChannelGroup{}.Method().Ordinal:  reply(group),
		wire.ChannelChunks{}.Method().Ordinal: reply(wire.ChannelChunksReply{Chunks: made.Group.Chunks}),
		wire.ChannelCommit{}.Method().Ordinal: reply(wire.ChannelCommitReply{Receipt: receipt, Sequence: 9}),
	}))
	_ = bob.Sync(ctx)
	v := must(bob.Client.Conversation(id))
	if v.Standing == client.Active && slices.ContainsFunc(v.Members, func(m client.Member) bool { return m.User == account.User }) {
		t.Errorf("the server alone made mallory a member of the conversation of alice and bob, and bob writes to: %v", v.Members)
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

// TestAWelcomeIsNotUsedTwice: the server gives out bob's key package of last resort, as it may, says later that he was removed, and
// hands the same welcome on again. His device must not begin the same epoch from its first key anew.
func TestAWelcomeIsNotUsedTwice(t *testing.T) {
	s := newServer(t, nil)
	ctx := context.Background()
	alice, bob := s.device(t), s.device(t)
	alice.register("alice")
	bob.register("bob")
	bob.close()
	bob.open(s.dial)
	device := must(bob.profile.Account()).Device.ID()
	for {
		counts := must(s.cfg.Store.CountKeyPackages(ctx, "bob", device, time.Now()))
		if counts[0].OneTime == 0 {
			break
		}
		must(s.cfg.Store.ClaimKeyPackage(ctx, "bob", device, uint16(conversation.Suite), time.Now()))
	}
	id := must(alice.CreateGroup(ctx, "two", bob.user()))
	var welcome wire.InboxRow
	for _, row := range must(s.cfg.Store.Inbox(ctx, store.Fetch{Account: "bob", Device: device, Limit: 100, Size: 1 << 20, Now: time.Now()})).Rows {
		if row.Kind == store.KindWelcome {
			receipt := wire.SlotReceipt{Slot: uint64(row.Slot.Number), Parent: uint64(row.Slot.Parent), Time: row.Slot.Time,
				Previous: [32]byte(row.Slot.Previous), Commit: [32]byte(row.Slot.Hash), Signature: [64]byte(row.Slot.Signature)}
			welcome = wire.InboxRow{Sequence: 1001, Kind: wire.InboxKindWelcome, Channel: id, ChannelSequence: 1, Time: row.Time, Payload: row.Payload, Receipt: &receipt, Device: device}
		}
	}
	settle(t, bob)
	bob.says(id, "one")
	settle(t, alice)
	rows := []wire.InboxRow{{Sequence: 1000, Kind: wire.InboxKindRemoved, Channel: id, Time: welcome.Time}, welcome}
	bob.reopen(s.lying(lies{
		wire.InboxFetch{}.Method().Ordinal: func() (uint16, []byte) {
			r := wire.InboxFetchReply{Rows: rows, Acknowledged: 1 << 20}
			rows = nil
			return 0, must(wire.Marshal(r))
		},
		wire.InboxAck{}.Method().Ordinal: reply(wire.InboxAckReply{}),
	}))
	if err := tries(bob, id, "two"); err != nil {
		return // he sends nothing: right
	}
	settle(t, alice)
	if !slices.Contains(alice.texts(id), "bob: two") {
		t.Errorf("bob encrypted with a key that he had used before: alice, who knows it as used, shows %q; notices %q", alice.texts(id), alice.codes(id))
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

// TestACommitWhileOneConnects: somebody changes the conversation between the moment at which bob read his inbox and that at which he
// compares how far the server is.
func TestACommitWhileOneConnects(t *testing.T) {
	s := newServer(t, nil)
	id, alice, bob, _ := three(t, s)
	once := false
	bob.reopen(s.lying(lies{wire.ChannelsList{}.Method().Ordinal: func() (uint16, []byte) {
		if !once {
			once = true
			check(t, alice.UpdateKeys(context.Background(), id))
			check(t, tries(alice, id, "meanwhile"))
		}
		ch := must(alice.profile.Channel(id))
		return 0, must(wire.Marshal(wire.ChannelsListReply{Channels: []wire.ChannelHead{{Channel: id, Slot: ch.Slot, Sequence: ch.Sequence}}}))
	}}))
	settle(t, bob)
	if !slices.Contains(bob.texts(id), "alice: meanwhile") || slices.Contains(bob.codes(id), "healed") {
		t.Errorf("bob, who missed nothing, shows %q; notices %q", bob.texts(id), bob.codes(id))
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

// TestARestoreWithAConflictStopsNothingElse: after the server was restored from a copy, carol, who was away, takes the slot of a commit
// that it lost.
func TestARestoreWithAConflictStopsNothingElse(t *testing.T) {
	s := newServer(t, nil)
	ctx := context.Background()
	id, alice, bob, carol := three(t, s)
	dm := must(bob.Direct(ctx, alice.user()))
	settle(t, alice)
	s.stop()
	yesterday := filepath.Join(t.TempDir(), "qpq.db")
	check(t, sqlite.Copy(s.path, yesterday))
	s.start()
	check(t, alice.UpdateKeys(ctx, id))
	check(t, alice.UpdateKeys(ctx, id))
	settle(t, bob)
	s.stop()
	s.path = yesterday
	s.start()
	check(t, carol.UpdateKeys(ctx, id))
	if err := tries(bob, dm, "to alice alone"); err != nil {
		t.Errorf("a conflict in one conversation stops bob in all others: %v", err)
	}
}

// TestAConversationThatTheServerLostIsGivenBack: the copy is older than the conversation.
func TestAConversationThatTheServerLostIsGivenBack(t *testing.T) {
	s := newServer(t, nil)
	ctx := context.Background()
	alice, bob := s.device(t), s.device(t)
	alice.register("alice")
	bob.register("bob")
	first := must(alice.CreateGroup(ctx, "first", bob.user()))
	settle(t, bob)
	s.stop()
	yesterday := filepath.Join(t.TempDir(), "qpq.db")
	check(t, sqlite.Copy(s.path, yesterday))
	s.start()
	id := must(alice.CreateGroup(ctx, "second", bob.user()))
	settle(t, bob)
	bob.says(id, "of today")
	bob.says(first, "of today")
	settle(t, alice)
	s.stop()
	s.path = yesterday
	s.start()
	settle(t, alice, bob)
	if v := must(alice.Client.Conversation(id)); v.Standing != client.Active {
		t.Errorf("alice stands as %v in a conversation that she knows all of; notices %v, %q", v.Standing, alice.notices, alice.codes(id))
	}
	if err := tries(alice, id, "still there?"); err != nil {
		t.Errorf("alice cannot write: %v", err)
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
