package conversation

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/mls"
	"github.com/quicproquo/qpq/mls/message"
	"github.com/quicproquo/qpq/wire"
)

// Join joins by a welcome, whose commit took a slot. bundles are the key packages that it may be for. It returns the group, to
// be stored, and the key package that was used. It fails with *UnknownDevices where an account has to be looked up first.
func Join(c Config, slot uint64, welcome []byte, bundles []*mls.KeyPackageBundle) (*Group, *mls.KeyPackageBundle, error) {
	var missing unknown
	joined, err := mls.Join(c.collecting(&missing), welcome, mls.JoinOptions{KeyPackages: bundles})
	if err == nil {
		err = missing.err()
	}
	if err != nil {
		return nil, nil, err
	}
	var access Access
	if data, ok := joined.Info.Find(ExtensionAccess); ok {
		grant, err := wire.Unmarshal[wire.AccessGrant](data)
		if err != nil {
			return nil, nil, err
		}
		access = Access{grant.Slot, grant.Key[:]}
	}
	g, err := view(c, joined.Group, slot, access)
	if err != nil {
		return nil, nil, err
	}
	if access.Key == nil { // made in the very epoch
		if g.access, err = exportAccess(joined.Group, g.founding.Channel, slot); err != nil {
			return nil, nil, err
		}
	}
	return g, joined.KeyPackage, g.checkDevices(&effect{after: g.conversation})
}

// Known is what is known of a conversation that a device joins by itself, beside the group state that the hub shows.
type Known struct {
	Founding []byte                 // wire.Founding, as the hub tells it
	Hub      wire.ChannelGroupReply // its members and policy, which the hub has from claims
	// Members are those whom the device last knew; nil where it was never in the group.
	Members []wire.MemberRole
}

// ErrUnvouched says that nothing tells whether a group is what it should be: it is signed by somebody whom the device does not know as a
// member, so that the hub alone could have made it; or somebody who left has a role there of which the device does not know. The person has to decide.
var ErrUnvouched = errors.New("nobody vouches for it whom this device knows as a member")

// Rejoin prepares an external commit by which this device joins, in place of its old leaf where it has one, after the slot of
// state; the commit takes slot. The group cannot be used before Apply.
//
// The group state has to agree with what the hub knows from claims, or a member could make of the conversation what no rule allows, by
// a commit that nobody can read; and it has to be signed by somebody who was known as a member, or the hub alone could. It fails with
// *UnknownDevices where an account has to be looked up first, and with ErrUnvouched, which comes with the group as it is shown.
func Rejoin(c Config, self Self, id qpq.ChannelID, state *State, slot uint64, known Known) (*Group, *mls.PendingCommit, *wire.ChannelCommit, error) {
	g, p, claim, err := rejoin(c, self, state, slot)
	if err == nil {
		err = g.agrees(self, id, known)
	}
	if errors.Is(err, ErrUnvouched) {
		return g, nil, nil, fmt.Errorf("rejoin: %w", err)
	}
	if err != nil {
		return nil, nil, nil, fmt.Errorf("rejoin: %w", err)
	}
	request, err := g.request(p, claim, &effect{committer: self.member(), external: true, joined: claim.Joined, after: g.conversation}, state.RatchetTree)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("rejoin: %w", err)
	}
	return g, p, request, nil
}

func rejoin(c Config, self Self, state *State, slot uint64) (*Group, *mls.PendingCommit, wire.Claim, error) {
	claim := wire.Claim{Slot: slot, Parent: state.Slot, Joined: []wire.MemberDevice{self.member()}}
	data, err := wire.Marshal(claim)
	if err != nil {
		return nil, nil, claim, err
	}
	who, err := self.Identity(c)
	if err != nil {
		return nil, nil, claim, err
	}
	signer, err := signerOf(state)
	if err != nil {
		return nil, nil, claim, err
	}
	var missing unknown
	m, p, err := mls.JoinExternal(c.collecting(&missing), state.GroupInfo, who, mls.ExternalOptions{RatchetTree: state.RatchetTree, Rejoin: true, Leaf: self.Leaf(), AuthenticatedData: data})
	if err == nil {
		err = missing.err()
	}
	if err != nil {
		return nil, nil, claim, err
	}
	g, err := view(c, m, state.Slot, state.Access)
	if err != nil {
		return nil, nil, claim, err
	}
	d, err := g.deviceAt(signer)
	g.signer = d.User
	return g, p, claim, err
}

// signerOf returns whose leaf signed a group info. Whether it did, joining verifies.
func signerOf(state *State) (mls.LeafIndex, error) {
	m, err := message.Unmarshal(state.GroupInfo)
	if err != nil || m.GroupInfo == nil {
		return 0, qpq.E(qpq.Invalid, "bad-group-state", "the server shows something that is no group")
	}
	return m.GroupInfo.Signer, nil
}

// agrees fails unless the group that a hub shows agrees with what is known of the conversation.
func (g *Group) agrees(self Self, id qpq.ChannelID, known Known) error {
	if g.founding.Channel != id || !bytes.Equal(g.conversation.Founding, known.Founding) {
		return qpq.E(qpq.Invalid, "wrong-group", "the server shows the group of another conversation")
	}
	if _, ok := g.Role(self.Account.User); !ok {
		return breach("the own account is no member of the group that the server shows")
	}
	if err := g.checkDevices(&effect{after: g.conversation}); err != nil {
		return err
	}
	if err := g.agreesWithClaims(known); err != nil {
		return err
	}
	if len(known.Members) == 0 || slices.ContainsFunc(known.Members, func(m wire.MemberRole) bool { return m.User == g.signer }) {
		return nil
	}
	return ErrUnvouched
}

// agreesWithClaims fails unless a group is what commits claimed to make of it. Those who left since, and devices that were revoked, the hub
// does not tell of: they are in the group still.
func (g *Group) agreesWithClaims(known Known) error {
	devices, err := g.Devices()
	if err != nil {
		return err
	}
	hub := known.Hub
	if hub.Policy != g.conversation.Policy {
		return breach("the group has another policy than its commits claimed")
	}
	for _, m := range hub.Members {
		role, ok := g.Role(m.User)
		if !ok || role != m.Role {
			return breach("%s has another role in the group than its commits claimed", m.User)
		}
		for _, d := range m.Devices {
			if !slices.Contains(devices[m.User], d) {
				return breach("a device of %s is not in the group, as its commits claimed", m.User)
			}
		}
	}
	for _, m := range g.conversation.Members {
		left := !slices.ContainsFunc(hub.Members, func(o wire.Member) bool { return o.User == m.User })
		if left && m.Role != wire.RoleMember && !slices.Contains(known.Members, m) {
			return fmt.Errorf("%w: %s, who left, is %s there", ErrUnvouched, m.User, WithArticle(m.Role))
		}
	}
	return nil
}

// WithArticle returns a role as people say it: "an owner".
func WithArticle(r wire.Role) string {
	if strings.ContainsRune("aeiou", rune(r.String()[0])) {
		return "an " + r.String()
	}
	return "a " + r.String()
}
