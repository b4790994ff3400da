package conversation_test

import (
	"testing"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/conversation"
	"github.com/quicproquo/qpq/mls"
	"github.com/quicproquo/qpq/wire"
)

// pair returns a conversation of two devices, and the commit by which the second was added.
func pair(t *testing.T) (r *rig, a, b *member, commit []byte) {
	r = newRig(t)
	a, b = r.device("alice"), r.device("bob")
	r.found(a, wire.Founding{})
	r.slot++
	p, request, err := a.Commit(r.slot, conversation.Change{Add: []*mls.KeyPackage{r.invite(b)}, Members: []wire.MemberRole{{User: user("bob")}}})
	if err != nil {
		t.Fatal(err)
	}
	must(a.Apply(p))(r)
	if b.Group, _, err = conversation.Join(b.config, r.slot, request.Welcome, []*mls.KeyPackageBundle{b.bundle}); err != nil {
		t.Fatal(err)
	}
	r.keep(&request.Group)
	return r, a, b, request.Commit
}

// FuzzReceived gives a member what others, or the hub, may hand on as a commit, a message, a goodbye or a welcome. Whatever it is, the two go
// on talking.
func FuzzReceived(f *testing.F) {
	f.Add([]byte("garbage"))
	f.Add([]byte{0, 1, 0, 2, 20, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		r, a, b, commit := pair(t)
		seeds := [][]byte{data, mix(commit, data), mix(must(a.Encrypt([]byte("text")))(r).Message, data), mix(must(a.Leave())(r).Message, data)}
		for _, payload := range seeds {
			_, _ = conversation.ClaimOf(payload)
			_, _ = b.Accept(2, payload)
			_, _, _ = b.Receive(payload)
			_, _ = b.Farewell(user("alice"), payload)
			_, _, _ = conversation.Join(b.config, 1, payload, []*mls.KeyPackageBundle{b.bundle})
		}
		r.says(b, a)
	})
}

// mix changes a few bytes of something well-formed, as data says: pairs of a place and a value.
func mix(b, data []byte) []byte {
	out := append([]byte(nil), b...)
	for i := 0; i+2 < len(data) && i < 24; i += 3 {
		out[(int(data[i])<<8|int(data[i+1]))%len(out)] ^= data[i+2]
	}
	return out
}

// FuzzState gives a device that joins by itself what a member, who knows the access key, may have put at the hub.
func FuzzState(f *testing.F) {
	f.Add([]byte("garbage"), []byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, info, tree []byte) {
		r, a, b, _ := pair(t)
		state := r.state(user("bob"))
		for _, s := range []*conversation.State{
			{Slot: 1, GroupInfo: info, RatchetTree: tree, Access: state.Access},
			{Slot: 1, GroupInfo: mix(state.GroupInfo, info), RatchetTree: state.RatchetTree, Access: state.Access},
			{Slot: 1, GroupInfo: state.GroupInfo, RatchetTree: mix(state.RatchetTree, tree), Access: state.Access},
		} {
			if _, p, _, err := conversation.Rejoin(b.config, b.self, qpq.ChannelID{1}, s, 2, r.known(a)); err == nil {
				p.Discard()
			}
		}
		reply := &wire.ChannelGroupReply{Slot: 1, GroupInfo: info, AccessKey: info}
		_, _ = conversation.OpenState(state.Access, qpq.ChannelID{1}, reply, [][]byte{tree, info})
		_, _ = conversation.OpenAccess(r.vaults[user("bob")], user("bob"), qpq.ChannelID{1}, info)
		r.says(a, b)
	})
}
