package conversation_test

import (
	"errors"
	"testing"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/conversation"
	"github.com/quicproquo/qpq/mls"
	"github.com/quicproquo/qpq/mls/message"
	"github.com/quicproquo/qpq/wire"
)

// agreed is the extension of a group context by which its maker says what members agree on, whatever that is.
func agreed(r *rig, c wire.Conversation) mls.Extensions {
	r.Helper()
	return mls.Extensions{{Type: conversation.ExtensionConversation, Data: must(wire.Marshal(c))(r)}}
}

// TestADirectConversationOfOthersIsNotJoined: mallory makes a group, and says in its context that it is the direct conversation
// of alice and bob.
func TestADirectConversationOfOthersIsNotJoined(t *testing.T) {
	r := newRig(t)
	alice, bob, mallory := r.device("alice"), r.device("bob"), r.device("mallory")
	founding := must(wire.Marshal(wire.Founding{Channel: qpq.ChannelID{1}, Domain: "example.org", Suite: uint16(conversation.Suite), Direct: true,
		Creator: wire.MemberDevice{User: user("alice"), Device: alice.self.Device.ID()}, Peer: user("bob")}))(r)
	lie := wire.Conversation{Founding: founding, Members: []wire.MemberRole{{User: user("bob")}, {User: user("mallory")}}}
	m, err := mls.NewGroup(mallory.config.MLS(), conversation.Suite, must(mallory.self.Identity(mallory.config))(r),
		mls.GroupOptions{ID: conversation.GroupID(qpq.ChannelID{1}, 0), Leaf: mallory.self.Leaf(), Extensions: agreed(r, lie)})
	if err != nil {
		t.Fatal(err)
	}
	p := must(m.Commit(mls.CommitOptions{Proposals: []mls.Proposal{&message.Add{KeyPackage: r.invite(bob)}}}))(r)
	g, _, err := conversation.Join(bob.config, 1, p.Welcome, []*mls.KeyPackageBundle{bob.bundle})
	if err == nil {
		t.Errorf("bob joined what calls itself his direct conversation with %s, and has the members %v", g.Founding().Creator.User, g.Conversation().Members)
	}
}

// TestAnOwnCommitWithoutItsKeysIsNotVoid: the hub gave a commit its slot after the device had given it up. Everybody else takes it.
func TestAnOwnCommitWithoutItsKeysIsNotVoid(t *testing.T) {
	r := newRig(t)
	a, b := r.device("alice"), r.device("bob")
	r.found(a, wire.Founding{})
	r.commit(a, conversation.Change{Add: []*mls.KeyPackage{r.invite(b)}, Members: []wire.MemberRole{{User: user("bob")}}}, nil, b)
	p, request, err := a.Commit(2, conversation.Change{})
	if err != nil {
		t.Fatal(err)
	}
	p.Discard()
	must(b.Accept(2, request.Commit))(r)
	if _, err := a.Accept(2, request.Commit); errors.Is(err, conversation.ErrVoid) || !errors.Is(err, conversation.ErrUnreadable) {
		t.Errorf("the own commit that all others took: %v", err)
	}
}

// TestRemovingAnAccountWithoutDevicesRekeys: it has the access key all the same, sealed to its vault.
func TestRemovingAnAccountWithoutDevicesRekeys(t *testing.T) {
	r := newRig(t)
	a := r.device("alice")
	r.device("bob")
	r.found(a, wire.Founding{})
	r.commit(a, conversation.Change{Members: []wire.MemberRole{{User: user("bob")}}}, nil)
	before := a.Access()
	r.commit(a, conversation.Change{Remove: []qpq.UserID{user("bob")}}, nil)
	if after := a.Access(); string(after.Key) == string(before.Key) {
		t.Error("who was removed keeps the access key")
	}
}

// TestNobodyBecomesOwnerByAnUnreadableCommit: mallory, a member, commits a proposal that only she has, which makes her the owner.
// Nobody else can read the commit, so all join anew after it. The claim, and with it the hub, know of no new role.
func TestNobodyBecomesOwnerByAnUnreadableCommit(t *testing.T) {
	r := newRig(t)
	a, b, m := r.device("alice"), r.device("bob"), r.device("mallory")
	r.found(a, wire.Founding{})
	r.commit(a, conversation.Change{Add: []*mls.KeyPackage{r.invite(b), r.invite(m)}, Members: []wire.MemberRole{{User: user("bob")}, {User: user("mallory")}}}, nil, b, m)

	records := map[string][]byte{}
	for _, x := range m.Records() {
		records[x.Key] = x.Value
	}
	evil := must(mls.Restore(m.config.MLS(), records))(r)
	next := m.Conversation()
	next.Members = []wire.MemberRole{{User: user("alice")}, {User: user("bob")}, {User: user("mallory"), Role: wire.RoleOwner}}
	must(evil.Propose(&message.GroupContextExtensions{Extensions: agreed(r, next)}, nil))(r)
	claim := must(wire.Marshal(wire.Claim{Slot: 2, Parent: 1}))(r) // as the hub sees it: fresh keys, nothing else
	p := must(evil.Commit(mls.CommitOptions{AuthenticatedData: claim}))(r)
	if _, err := b.Accept(2, p.Message); !errors.Is(err, conversation.ErrUnreadable) {
		t.Fatalf("bob reads it: %v", err)
	}
	state := &conversation.State{Slot: 2, GroupInfo: must(p.GroupInfo(mls.GroupInfoOptions{WithoutTree: true, ExternalPub: true}))(r),
		RatchetTree: must(p.RatchetTree())(r), Access: m.Access()}
	g, _, _, err := conversation.Rejoin(b.config, b.self, qpq.ChannelID{1}, state, 3, r.known(b))
	if err != nil {
		return
	}
	if role, _ := g.Role(user("mallory")); role == wire.RoleOwner {
		t.Error("bob joined a group in which mallory made herself the owner, which no rule allows and no claim says")
	}
}

// TestAForbiddenProposalDropsNoOther: mallory proposes something that nobody may, after bob proposed to leave.
func TestAForbiddenProposalDropsNoOther(t *testing.T) {
	r := newRig(t)
	a, b, m := r.device("alice"), r.device("bob"), r.device("mallory")
	r.found(a, wire.Founding{})
	r.commit(a, conversation.Change{Add: []*mls.KeyPackage{r.invite(b), r.invite(m)}, Members: []wire.MemberRole{{User: user("bob")}, {User: user("mallory")}}}, nil, b, m)
	out := must(b.Leave())(r)
	if _, err := a.Farewell(user("bob"), out.Message); err != nil || !a.Waiting() {
		t.Fatal("bob's leaving did not arrive: ", err)
	}
	records := map[string][]byte{}
	for _, x := range m.Records() {
		records[x.Key] = x.Value
	}
	evil := must(mls.Restore(m.config.MLS(), records))(r)
	if _, _, err := a.Receive(must(evil.ProposeUpdate(nil))(r).Message); err != nil {
		t.Fatal(err)
	}
	if !a.Waiting() {
		t.Error("mallory's proposal undid that bob leaves")
	}
}
