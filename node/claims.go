package node

import (
	"slices"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/wire"
)

// maxMembers is how many devices, and how many accounts, a channel has.
const maxMembers = 1000

func roleNeeded(text string) error { return qpq.E(qpq.Denied, wire.CodeRoleNeeded, text) }

// decide checks whether a device may do what a commit claims, by the roster of the slot that it builds on (docs/protocol.md,
// section 12), and puts the roster after it into r.
func decide(st store.Standing, by wire.MemberDevice, k commit, r *store.Ruling) error {
	if k.external {
		if err := ruleExternal(st, by, k.claim); err != nil {
			return err
		}
	} else if err := ruleMember(st, by, k.claim); err != nil {
		return err
	}
	if d, ok := applyClaim(k.claim, &r.Roster); !ok {
		return badClaim("a device of %s joins, who is no member", d.User)
	}
	if len(r.Roster) > maxMembers || r.Roster.Devices() > maxMembers || adds(st.Roster, r.Roster) && crowd(st, r.Roster) > maxMembers {
		return qpq.E(qpq.TooLarge, wire.CodeChannelFull, "the conversation would have more than 1000 devices, which is the most there may be")
	}
	if hasOwner(st.Roster) && !hasOwner(r.Roster) {
		return roleNeeded("the conversation would be left without an owner: make somebody else one first")
	}
	return nil
}

// adds reports whether a roster has an account that another has not.
func adds(before, after store.Roster) bool {
	return slices.ContainsFunc(after, func(m store.Member) bool { return before.Find(m.Account) == nil })
}

// crowd counts the accounts of all branches after a commit that makes a roster of the standing one.
func crowd(st store.Standing, after store.Roster) int {
	n := len(after)
	for _, m := range st.Members {
		if after.Find(m.Account) == nil && st.Roster.Find(m.Account) == nil {
			n++
		}
	}
	return n
}

// ruleExternal: a device of a member joins by itself, and does nothing else.
func ruleExternal(st store.Standing, by wire.MemberDevice, c wire.Claim) error {
	if st.Roster.Find(by.User.Name) == nil {
		return notThere
	}
	other := func(d wire.MemberDevice) bool { return d != by }
	if len(c.Roles) > 0 || len(c.Removed) > 0 || c.Policy != nil || !slices.Contains(c.Joined, by) ||
		slices.ContainsFunc(c.Joined, other) || slices.ContainsFunc(c.Left, other) {
		return badClaim("a device that joins by itself changes nothing else")
	}
	return nil
}

// notThere is the answer to who was no member after the slot that a commit builds on.
var notThere = qpq.E(qpq.StaleEpoch, wire.CodeStaleSlot, "this device was no member after the slot that the change builds on: rejoin and make it anew")

func ruleMember(st store.Standing, by wire.MemberDevice, c wire.Claim) error {
	if !st.Roster.Has(by.User.Name, by.Device) {
		return notThere
	}
	if slices.Contains(c.Removed, by.User) || slices.Contains(c.Left, by) || slices.Contains(c.Joined, by) {
		return badClaim("nobody adds or removes the own device")
	}
	own := wire.Role(st.Roster.Find(by.User.Name).Role)
	if st.Direct {
		if len(c.Roles) > 0 || len(c.Removed) > 0 {
			return qpq.E(qpq.Denied, wire.CodeDirect, "a direct conversation keeps its two people")
		}
	} else if err := ruleRoles(st.Roster, own, c); err != nil {
		return err
	}
	for _, d := range c.Left {
		if d.User != by.User && st.Roster.Has(d.User.Name, d.Device) && !slices.Contains(c.Removed, d.User) {
			return roleNeeded("devices of others are removed with them, or once they were revoked")
		}
	}
	if !c.Rekeys && removes(st.Roster, c) {
		return badClaim("it removes somebody, who must not know the access key of the group state from then on")
	}
	return nil
}

// removes reports whether a claim takes anything off a roster.
func removes(r store.Roster, c wire.Claim) bool {
	return slices.ContainsFunc(c.Removed, func(u qpq.UserID) bool { return r.Find(u.Name) != nil }) ||
		slices.ContainsFunc(c.Left, func(d wire.MemberDevice) bool { return r.Has(d.User.Name, d.Device) })
}

// ruleRoles: any member adds members; the rest goes by roles. What is not on the roster any more, anybody may remove.
func ruleRoles(r store.Roster, own wire.Role, c wire.Claim) error {
	for _, u := range c.Removed {
		if m := r.Find(u.Name); m != nil && (own < wire.RoleModerator || own <= wire.Role(m.Role)) {
			return roleNeeded("removing somebody takes a moderator, of a higher role than theirs")
		}
	}
	for _, m := range c.Roles {
		before := r.Find(m.User.Name)
		if before == nil && m.Role == wire.RoleMember {
			continue
		}
		if own < wire.RoleAdmin || m.Role > own || before != nil && wire.Role(before.Role) > own {
			return roleNeeded("changing roles takes an admin, and none of them may be above the own one")
		}
	}
	if c.Policy != nil && own < wire.RoleAdmin {
		return roleNeeded("changing the policy takes an admin")
	}
	return nil
}

// applyClaim makes a roster that of after the commit. It returns a device that cannot join because its account is no member.
func applyClaim(c wire.Claim, r *store.Roster) (lost wire.MemberDevice, ok bool) {
	for _, u := range c.Removed {
		r.Remove(u.Name)
	}
	for _, m := range c.Roles {
		r.Put(m.User.Name, uint8(m.Role))
	}
	for _, d := range c.Left {
		r.Leave(d.User.Name, d.Device)
	}
	ok = true
	for _, d := range c.Joined {
		if !r.Join(d.User.Name, d.Device) {
			lost, ok = d, false
		}
	}
	return lost, ok
}

func hasOwner(r store.Roster) bool {
	return slices.ContainsFunc(r, func(m store.Member) bool { return m.Role == uint8(wire.RoleOwner) })
}
