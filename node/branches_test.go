package node

import (
	"slices"
	"testing"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/wire"
)

// remove claims that members are such no longer.
func remove(slot, parent uint64, members ...member) wire.Claim {
	c := wire.Claim{Slot: slot, Parent: parent, Rekeys: true}
	for _, m := range members {
		c.Removed = append(c.Removed, m.user)
		c.Left = append(c.Left, m.device())
	}
	return c
}

// give claims a role for a member.
func give(slot, parent uint64, m member, role wire.Role) wire.Claim {
	return wire.Claim{Slot: slot, Parent: parent, Roles: []wire.MemberRole{{User: m.user, Role: role}}}
}

// members is who is told as a member, with roles.
func (x *room) members(m member) (names []string) {
	x.t.Helper()
	for _, o := range call(m.line, wire.ChannelInfo{Channel: x.id}).Members {
		names = append(names, o.User.Name+" "+o.Role.String())
	}
	return names
}

// TestWhoIsRemovedIsNotBackByABranch: mallory, a plain member, commits on the slot before the one that removed eve.
func TestWhoIsRemovedIsNotBackByABranch(t *testing.T) {
	r := newRig(t, nil)
	alice, mallory, eve := r.join("alice"), r.join("mallory"), r.join("eve")
	x := r.create(alice, nil)
	x.take(alice, x.commit(add(1, 0, mallory, eve)))
	x.take(alice, x.commit(remove(2, 1, eve)))
	x.take(mallory, x.commit(wire.Claim{Slot: 3, Parent: 1}))
	x.say(alice, "without eve", 2)
	if lines := eve.inbox(0); slices.Contains(lines, "message 4 without eve") {
		t.Errorf("eve, who was removed, gets what is sent again: %q", lines)
	}
	refused(eve.line, x.message("I am back", 2), qpq.NotFound, wire.CodeChannelUnknown)
	refused(eve.line, x.commit(wire.Claim{Slot: 4, Parent: 1}), qpq.NotFound, wire.CodeChannelUnknown)
	wantLines(t, "members", x.members(alice), "alice owner", "mallory member")
}

// TestADeviceThatIsRemovedIsNotBackByABranch: so it is with a device that its own account removed.
func TestADeviceThatIsRemovedIsNotBackByABranch(t *testing.T) {
	r := newRig(t, nil)
	alice, mallory := r.join("alice"), r.join("mallory")
	phone := r.secondDevice(alice)
	x := r.create(alice, nil)
	c := add(1, 0, mallory)
	c.Joined = append(c.Joined, phone.device())
	x.take(alice, x.commit(c))
	x.take(alice, x.commit(wire.Claim{Slot: 2, Parent: 1, Left: []wire.MemberDevice{phone.device()}, Rekeys: true}))
	x.take(mallory, x.commit(wire.Claim{Slot: 3, Parent: 1}))
	refused(phone.line, x.message("still here", 2), qpq.NotFound, wire.CodeChannelUnknown)
	x.take(phone, x.rejoin(phone, 4, 2)) // it may come back by itself, as any device of alice
	x.say(phone, "here again", 3)
}

// TestWhoIsRemovedInVainIsAddedAgain: a removal stands at the hub though the others go on from the slot before it, until somebody settles it.
func TestWhoIsRemovedInVainIsAddedAgain(t *testing.T) {
	r := newRig(t, nil)
	alice, bob := r.join("alice"), r.join("bob")
	x := r.create(alice, nil)
	x.take(alice, x.commit(add(1, 0, bob)))
	x.take(alice, x.commit(remove(2, 1, bob)))
	x.take(alice, x.commit(remove(3, 1, bob))) // of the same member, on the other branch
	wantLines(t, "members", x.members(alice), "alice owner")
	x.take(alice, x.commit(add(4, 3, bob)))
	x.say(bob, "back", 3)
	wantLines(t, "members", x.members(bob), "alice owner", "bob member")
}

// TestAPolicyStays: alice sets a timer. Mallory, a plain member, commits on the slot before it.
func TestAPolicyStays(t *testing.T) {
	r := newRig(t, nil)
	alice, mallory := r.join("alice"), r.join("mallory")
	x := r.create(alice, nil)
	x.take(alice, x.commit(add(1, 0, mallory)))
	x.take(alice, x.commit(wire.Claim{Slot: 2, Parent: 1, Policy: &wire.ChannelPolicy{TimerSeconds: 60}}))
	x.take(mallory, x.commit(wire.Claim{Slot: 3, Parent: 1}))
	if got := call(alice.line, wire.ChannelInfo{Channel: x.id}).Policy.TimerSeconds; got != 60 {
		t.Errorf("a member without a role set the timer of the conversation back, to %d", got)
	}
}

// TestWhoLostARoleUsesItNoMore: alice makes bob a member again, who was an admin. He commits on the slot before.
func TestWhoLostARoleUsesItNoMore(t *testing.T) {
	r := newRig(t, nil)
	alice, bob, carol := r.join("alice"), r.join("bob"), r.join("carol")
	x := r.create(alice, nil)
	x.take(alice, x.commit(add(1, 0, bob, carol)))
	x.take(alice, x.commit(give(2, 1, bob, wire.RoleAdmin)))
	x.take(alice, x.commit(give(3, 2, bob, wire.RoleMember)))
	refused(bob.line, x.commit(remove(4, 2, carol)), qpq.Denied, wire.CodeRoleNeeded)
	refused(bob.line, x.commit(give(4, 2, bob, wire.RoleAdmin)), qpq.Denied, wire.CodeRoleNeeded)
	x.take(bob, x.commit(wire.Claim{Slot: 4, Parent: 2}))
	x.take(carol, x.commit(wire.Claim{Slot: 5, Parent: 3}))
	wantLines(t, "members", x.members(carol), "alice owner", "bob member", "carol member")
}

// TestABranchTakesNoRole: bob became an admin. Mallory's commit on the slot before that, when he was none, does not make him a member again.
func TestABranchTakesNoRole(t *testing.T) {
	r := newRig(t, nil)
	alice, bob, mallory := r.join("alice"), r.join("bob"), r.join("mallory")
	x := r.create(alice, nil)
	x.take(alice, x.commit(add(1, 0, bob, mallory)))
	x.take(alice, x.commit(give(2, 1, bob, wire.RoleAdmin)))
	x.take(mallory, x.commit(wire.Claim{Slot: 3, Parent: 1}))
	wantLines(t, "members", x.members(alice), "alice owner", "bob admin", "mallory member")
	x.take(bob, x.commit(remove(4, 2, mallory)))
}

// TestARemovalTakesANewAccessKey: who is removed must not read the group state any more.
func TestARemovalTakesANewAccessKey(t *testing.T) {
	r := newRig(t, nil)
	alice, bob, carol := r.join("alice"), r.join("bob"), r.join("carol")
	phone := r.secondDevice(alice)
	x := r.create(alice, nil)
	c := add(1, 0, bob, carol)
	c.Joined = append(c.Joined, phone.device())
	x.take(alice, x.commit(c))
	keep := func(c wire.Claim) wire.Claim { c.Rekeys = false; return c }
	refused(alice.line, x.commit(keep(remove(2, 1, bob))), qpq.Invalid, wire.CodeBadClaim)
	refused(alice.line, x.commit(wire.Claim{Slot: 2, Parent: 1, Removed: []qpq.UserID{bob.user}}), qpq.Invalid, wire.CodeBadClaim)
	refused(alice.line, x.commit(wire.Claim{Slot: 2, Parent: 1, Left: []wire.MemberDevice{phone.device()}}), qpq.Invalid, wire.CodeBadClaim)
	x.take(alice, x.commit(remove(2, 1, bob)))
	// Whoever was no member after the parent is none who knew the key.
	x.take(alice, x.commit(keep(wire.Claim{Slot: 3, Parent: 1, Removed: []qpq.UserID{bob.user}})))
}

// TestBranchesTogetherAreBounded: two branches add accounts, which are 1,000 together and no more. Who adds nobody goes on.
func TestBranchesTogetherAreBounded(t *testing.T) {
	r := newRig(t, nil)
	alice, mallory := r.join("alice"), r.join("mallory")
	others := r.crowd(999)
	x := r.create(alice, nil)
	x.take(alice, x.commit(add(1, 0, mallory)))
	x.take(mallory, x.commit(wire.Claim{Slot: 2, Parent: 1, Roles: others[:990]}))
	refused(alice.line, x.commit(wire.Claim{Slot: 3, Parent: 1, Roles: others[990:]}), qpq.TooLarge, wire.CodeChannelFull)
	x.take(alice, x.commit(wire.Claim{Slot: 3, Parent: 1, Roles: others[990:998]}))
	if n := len(x.members(alice)); n != 1000 {
		t.Errorf("%d members", n)
	}
	x.take(alice, x.commit(wire.Claim{Slot: 4, Parent: 3, Roles: []wire.MemberRole{{User: mallory.user, Role: wire.RoleAdmin}}}))
}

// TestNobodyTakesAllSlots: mallory, a plain member, takes slot after slot with what nobody can read, also with a device that joins by itself.
// The others go on from the last valid slot, though it is one of hers.
func TestNobodyTakesAllSlots(t *testing.T) {
	r := newRig(t, nil)
	alice, mallory := r.join("alice"), r.join("mallory")
	phone := r.secondDevice(mallory)
	x := r.create(alice, nil)
	for slot := range uint64(300) { // who is alone does as they like
		x.take(alice, x.commit(wire.Claim{Slot: slot + 1, Parent: slot}))
	}
	x.take(alice, x.commit(add(301, 300, mallory)))
	x.take(mallory, x.commit(wire.Claim{Slot: 302, Parent: 301}))
	for slot := uint64(303); slot < 557; slot++ {
		x.take(mallory, x.commit(wire.Claim{Slot: slot, Parent: slot - slot%2 - 1}))
	}
	x.take(phone, x.rejoin(phone, 557, 302))
	refused(mallory.line, x.commit(wire.Claim{Slot: 558, Parent: 557}), qpq.RateLimited, wire.CodeTooManyCommits)
	refused(phone.line, x.rejoin(phone, 558, 302), qpq.RateLimited, wire.CodeTooManyCommits)
	refused(alice.line, wire.ChannelGroup{Channel: x.id, Slot: 302}, qpq.NotFound, wire.CodeGroupGone)
	x.take(alice, x.commit(wire.Claim{Slot: 558, Parent: 302}))
	x.say(alice, "is anybody there?", x.epoch[558])
	x.take(mallory, x.commit(wire.Claim{Slot: 559, Parent: 558}))
	refused(alice.line, x.commit(wire.Claim{Slot: 560, Parent: 302}), qpq.StaleEpoch, wire.CodeStaleSlot)
}

// TestARemovalReachesTheWholeRun: who is removed is taken off the rosters of a run too that is longer than the window.
func TestARemovalReachesTheWholeRun(t *testing.T) {
	r := newRig(t, nil)
	alice, eve := r.join("alice"), r.join("eve")
	x := r.create(alice, nil)
	x.take(alice, x.commit(add(1, 0, eve)))
	for slot := uint64(2); slot < 30; slot++ {
		x.take(alice, x.commit(wire.Claim{Slot: slot, Parent: slot - 1}))
	}
	x.take(alice, x.commit(remove(30, 29, eve)))
	x.take(alice, x.commit(wire.Claim{Slot: 31, Parent: 1}))
	x.say(alice, "without eve", 2)
	wantLines(t, "members", x.members(alice), "alice owner")
}

// TestAnOfferHasEachSlotOnce: what a hub is to take back comes in order, one commit for a slot.
func TestAnOfferHasEachSlotOnce(t *testing.T) {
	r := newRig(t, nil)
	alice := r.join("alice")
	x := r.create(alice, nil)
	q := x.commit(wire.Claim{Slot: 1})
	offered := wire.OfferedCommit{Commit: q.Commit, Receipt: x.take(alice, q).Receipt, From: alice.device()}
	o := wire.ChannelOffer{Channel: x.id, Commits: []wire.OfferedCommit{offered}, Group: q.Group}
	if slot := call(alice.line, o).Slot; slot != 1 {
		t.Errorf("slot %d", slot)
	}
	o.Commits = append(o.Commits, offered)
	refused(alice.line, o, qpq.Invalid, "bad-offer")
}
