package conversation

import (
	"fmt"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/mls"
	"github.com/quicproquo/qpq/wire"
)

// Join joins by a welcome, whose commit took a slot. bundles are the key packages that it may be for. It returns the group, to
// be stored, and the reference of the key package that was used. It fails with *UnknownDevices where an account has to be looked up first.
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

// Rejoin prepares an external commit by which this device joins, in place of its old leaf where it has one, after the slot of
// state; the commit takes slot. The group cannot be used before Apply; its records have to be stored before the commit is sent.
// It fails with *UnknownDevices where an account has to be looked up first.
func Rejoin(c Config, self Self, id qpq.ChannelID, state *State, slot uint64) (*Group, *mls.PendingCommit, *wire.ChannelCommit, error) {
	fail := func(err error) (*Group, *mls.PendingCommit, *wire.ChannelCommit, error) {
		return nil, nil, nil, fmt.Errorf("rejoin: %w", err)
	}
	alone := []wire.MemberDevice{self.member()}
	claim := wire.Claim{Slot: slot, Parent: state.Slot, Joined: alone}
	data, err := wire.Marshal(claim)
	if err != nil {
		return fail(err)
	}
	who, err := self.Identity(c)
	if err != nil {
		return fail(err)
	}
	var missing unknown
	m, p, err := mls.JoinExternal(c.collecting(&missing), state.GroupInfo, who, mls.ExternalOptions{RatchetTree: state.RatchetTree, Rejoin: true, Leaf: self.Leaf(), AuthenticatedData: data})
	if err == nil {
		err = missing.err()
	}
	if err != nil {
		return fail(err)
	}
	g, err := view(c, m, state.Slot, state.Access)
	if err != nil {
		return fail(err)
	}
	if g.founding.Channel != id {
		return fail(qpq.E(qpq.Invalid, "wrong-group", "the server shows the group of another conversation"))
	}
	if _, ok := g.Role(self.Account.User); !ok {
		return fail(breach("the own account is no member of the group that the server shows"))
	}
	request, err := g.request(p, claim, &effect{committer: self.member(), external: true, joined: alone, after: g.conversation}, state.RatchetTree)
	if err != nil {
		return fail(err)
	}
	return g, p, request, nil
}
