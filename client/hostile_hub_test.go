package client_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"slices"
	"testing"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/client/conversation"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/wire"
)

func reply[T any, P wire.Value[T]](v T) func() (uint16, []byte) {
	return func() (uint16, []byte) { return 0, must(wire.Marshal[T, P](v)) }
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

// TestReceiptsAreOfTheMessage: the hub drops a message and answers with the receipt of another one, or with one in a tree that it did not sign. The message waits, and goes
// out when the hub is honest.
func TestReceiptsAreOfTheMessage(t *testing.T) {
	s := newServer(t, nil)
	ctx := context.Background()
	id, alice, bob, _ := three(t, s)
	other := wire.Send{Channel: id, ID: [16]byte{1}, Payload: []byte("another message")}
	receipts := []*wire.SendReply{{Sequence: 7, Time: time.Now()}, {Sequence: 8, Time: time.Now()}}
	leaf := wire.MessageLeaf(&other, sha256.Sum256(other.Payload), receipts[0])
	wire.SignMessages(s.Config.SigningKey, [][32]byte{leaf, leaf}, receipts)
	if !wire.VerifyMessage([32]byte(s.Config.SigningKey.Public().(ed25519.PublicKey)), other, *receipts[0]) {
		t.Fatal("the receipt of the other message does not count for that")
	}
	unsigned := *receipts[0]
	unsigned.LeafIndex, unsigned.TreeSize, unsigned.Path = 0, 1, nil
	m := must(alice.SendText(ctx, id, "where is it?"))
	for _, lie := range []wire.SendReply{*receipts[0], unsigned, {Sequence: 9, Time: time.Now(), TreeSize: 1}, {}} {
		alice.reopen(s.lying(lies{wire.Send{}.Method().Ordinal: reply(lie)}))
		_ = alice.Sync(ctx)
		if waiting := alice.waits(); len(waiting) != 1 {
			t.Fatalf("with the receipt %+v of another message, these wait: %v", lie, waiting)
		}
	}
	alice.reopen(s.dial)
	check(t, alice.Sync(ctx))
	check(t, alice.Wait(ctx, id, m))
	settle(t, bob)
	if texts := bob.texts(id); len(texts) == 0 || texts[len(texts)-1] != "alice: where is it?" {
		t.Errorf("bob reads %q", texts)
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
	receipt := wire.SignSlot(s.Config.SigningKey, id, wire.SlotReceipt{Slot: head.Slot + 1, Parent: head.Slot, Previous: wire.SlotHash(id, head), Time: time.Now().Truncate(time.Millisecond)})

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
		counts := must(s.Config.Store.CountKeyPackages(ctx, "bob", device, time.Now()))
		if counts[0].OneTime == 0 {
			break
		}
		must(s.Config.Store.ClaimKeyPackage(ctx, "bob", device, uint16(conversation.Suite), time.Now()))
	}
	id := must(alice.CreateGroup(ctx, "two", bob.user()))
	var welcome wire.InboxRow
	for _, row := range must(s.Config.Store.Inbox(ctx, store.Fetch{Account: "bob", Device: device, Limit: 100, Size: 1 << 20, Now: time.Now()})).Rows {
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

// TestAnInboxThatIsAlwaysAhead: whatever this device has read, the server says that it acknowledged more. It is taken for an older copy once, not
// again and again.
func TestAnInboxThatIsAlwaysAhead(t *testing.T) {
	s := newServer(t, nil)
	_, _, bob, _ := three(t, s)
	check(t, bob.Sync(context.Background()))
	ahead := must(bob.profile.Inbox()).Processed
	bob.reopen(s.lying(lies{
		wire.InboxFetch{}.Method().Ordinal: func() (uint16, []byte) {
			if ahead++; ahead > 1000 {
				t.Error("it asks without end")
				return answer(qpq.E(qpq.Unavailable, "gone", "enough"))()
			}
			return 0, must(wire.Marshal(wire.InboxFetchReply{Acknowledged: ahead, Head: ahead}))
		},
		wire.InboxAck{}.Method().Ordinal: reply(wire.InboxAckReply{}),
	}))
	_ = bob.Sync(context.Background())
	if told := bob.count("old-copy"); told < 1 || told > 5 {
		t.Errorf("it was taken for an older copy %d times", told)
	}
}

// TestAServerThatSaysThatSomebodyLeft: the server tells alice, who owns the group, that carol left, which she did not. Alice is told on what the removal
// rests, and carol, invited again, is as she was. Who says goodbye leaves without such words.
func TestAServerThatSaysThatSomebodyLeft(t *testing.T) {
	s := newServer(t, nil)
	ctx := context.Background()
	id, alice, bob, carol := three(t, s)
	settle(t, alice)
	at := *must(alice.profile.Inbox())
	sequence := must(alice.profile.Channel(id)).Sequence
	rows := []wire.InboxRow{{Sequence: at.Processed + 1, Kind: wire.InboxKindLeft, Channel: id, ChannelSequence: sequence, Time: time.Now(),
		From: &wire.MemberDevice{User: carol.user(), Device: must(carol.profile.Account()).Device.ID()}}}
	network := &tap{dial: s.dial, lie: func(method uint16, _ []byte) (uint16, []byte, bool) {
		switch {
		case method == wire.InboxFetch{}.Method().Ordinal && rows != nil:
			r := wire.InboxFetchReply{Rows: rows, Acknowledged: at.Acknowledged, Head: at.Processed + 1}
			rows = nil
			return 0, must(wire.Marshal(r)), true
		case method == wire.InboxAck{}.Method().Ordinal:
			return 0, must(wire.Marshal(wire.InboxAckReply{})), true
		}
		return 0, nil, false
	}}
	alice.reopen(network.connect)
	_ = alice.Sync(ctx)
	alice.reopen(s.dial)
	settle(t, alice, bob, carol)
	if codes := alice.codes(id); !slices.Contains(codes, "left-unproved") || !slices.Contains(codes, "removed-member") {
		t.Errorf("alice was told %q", codes)
	}
	check(t, alice.Invite(ctx, id, carol.user()))
	settle(t, bob, carol)
	check(t, tries(carol, id, "I never left"))
	settle(t, alice, bob)
	check(t, bob.Leave(ctx, id))
	settle(t, alice, carol)
	shows(t, id, []string{"carol: I never left"}, alice)
	codes := alice.codes(id)
	unproved := slices.DeleteFunc(slices.Clone(codes), func(code string) bool { return code != "left-unproved" })
	if len(unproved) != 1 || !slices.Contains(codes, "left") {
		t.Errorf("alice was told %q", codes)
	}
}
