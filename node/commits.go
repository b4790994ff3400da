package node

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/mls/frame"
	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/wire"
)

// generation counts the re-initialisations of a channel's group: there are none yet.
const generation = 0

// maxSlot bounds slots, so that they can be counted on from.
const maxSlot = 1 << 62

// groupID is the id of a channel's MLS group.
func groupID(channel qpq.ChannelID) []byte {
	return append(channel[:], 0, 0, 0, generation)
}

// commit is what a hub sees of a commit.
type commit struct {
	claim    wire.Claim
	epoch    uint64 // that it ends
	external bool   // whoever makes it joins by it
	hash     [32]byte
}

func badMessage(why string) error {
	return qpq.E(qpq.Invalid, wire.CodeBadMessage, "a message was handed in that cannot be one of this conversation: "+why)
}

func badClaim(format string, args ...any) error {
	return qpq.E(qpq.Invalid, wire.CodeBadClaim, "a change was handed in that cannot be made: "+fmt.Sprintf(format, args...))
}

// readCommit reads the header of a commit and its claim.
func readCommit(channel qpq.ChannelID, message []byte) (commit, error) {
	h, err := frame.Parse(message)
	if err != nil {
		return commit{}, badMessage("it is malformed")
	}
	k := commit{epoch: h.Epoch, hash: sha256.Sum256(message)}
	k.external = h.WireFormat == frame.PublicMessage && h.Sender == frame.NewMemberCommit
	switch {
	case h.ContentType != frame.Commit || h.WireFormat != frame.PrivateMessage && !k.external:
		return commit{}, badMessage("it is no commit")
	case !bytes.Equal(h.GroupID, groupID(channel)):
		return commit{}, badMessage("it is of another group")
	}
	k.claim, err = wire.Unmarshal[wire.Claim](h.AuthenticatedData)
	if err == nil && (k.claim.Slot > maxSlot || k.claim.Parent >= k.claim.Slot) {
		err = badClaim("slot %d cannot build on slot %d", k.claim.Slot, k.claim.Parent)
	}
	return k, err
}

func (s *Server) channelCommit(ctx context.Context, c *conn, q wire.ChannelCommit) (wire.ChannelCommitReply, error) {
	var none wire.ChannelCommitReply
	user, device := c.who()
	k, err := readCommit(q.Channel, q.Commit)
	if err != nil {
		return none, err
	}
	by := wire.MemberDevice{User: user, Device: device}
	if err := s.checkWelcome(k, q.Welcome); err != nil {
		return none, err
	}
	group, err := s.groupState(q.Group)
	if err != nil {
		return none, err
	}
	w := store.Commit{Channel: q.Channel, Slot: int64(k.claim.Slot), Parent: int64(k.claim.Parent), Hash: k.hash[:], Commit: q.Commit, Welcome: q.Welcome,
		Group: group, Account: user.Name, Device: device, Now: now(), Retention: s.limits.Retention, Quota: int64(s.limits.Inbox)}
	done, err := s.cfg.Store.CommitChannel(ctx, w, func(st store.Standing) (store.Ruling, error) {
		return s.judge(q.Channel, st, by, k, w)
	})
	if err != nil {
		return none, contract(err)
	}
	s.rates.charge(c, len(done.Notices), w.Now)
	s.announce(done.Notices, c)
	return wire.ChannelCommitReply{Receipt: receiptOf(done.Slot), Sequence: uint64(done.Sequence)}, nil
}

// checkWelcome fails unless there is a welcome where, and only where, others join.
func (s *Server) checkWelcome(k commit, welcome []byte) error {
	if needed := len(k.claim.Joined) > 0 && !k.external; needed != (len(welcome) > 0) {
		return badClaim("a welcome belongs to the devices that somebody else adds, and to nothing else")
	}
	if len(welcome) == 0 {
		return nil
	}
	if h, err := frame.Parse(welcome); err != nil || h.WireFormat != frame.Welcome {
		return badMessage("its welcome is none")
	}
	return nil
}

// judge decides what a commit does to a channel, from what its claim says. It signs the slot.
func (s *Server) judge(channel qpq.ChannelID, st store.Standing, by wire.MemberDevice, k commit, w store.Commit) (store.Ruling, error) {
	r := store.Ruling{Roster: st.Roster.Clone(), Policy: st.Policy}
	if k.epoch != uint64(st.Epoch) {
		return r, badClaim("it is of epoch %d, and slot %d began epoch %d", k.epoch, k.claim.Parent, st.Epoch)
	}
	if k.claim.Rekeys && w.Group.AccessSlot != w.Slot || !k.claim.Rekeys && w.Group.AccessSlot != st.Access {
		return r, badClaim("its group state is under the access key of slot %d", w.Group.AccessSlot)
	}
	if err := s.checkNames(k.claim); err != nil {
		return r, err
	}
	if err := checkSize(st.Roster, k.claim, w); err != nil {
		return r, err
	}
	if err := decide(st, by, k, &r); err != nil {
		return r, err
	}
	s.effect(k, &r)
	head := receiptOf(st.Head)
	receipt := wire.SlotReceipt{Slot: k.claim.Slot, Parent: k.claim.Parent, Previous: wire.SlotHash(channel, head), Commit: k.hash, Time: w.Now}
	r.Slot = slotOf(wire.SignSlot(s.cfg.SigningKey, channel, receipt))
	return r, nil
}

// handshakeSize is how many bytes a commit may have, its welcome, and the group state that comes along, where so many accounts and devices
// are on the roster and so many become such. Measured with the hybrid suite, a commit has about 1.2 KiB for each device of the group and
// 4.4 KiB for each that it adds; a welcome 3.5 KiB and 4.2 KiB; group info and tree 1.9 KiB.
func handshakeSize(before, new int) int { return 24<<10 + before*4<<10 + new*8<<10 }

// checkSize fails if what a commit brings is larger than any can be that does what this one claims.
func checkSize(r store.Roster, c wire.Claim, w store.Commit) error {
	most := handshakeSize(len(r)+r.Devices(), len(c.Roles)+len(c.Joined)) + 512*(len(c.Removed)+len(c.Left)) // a removal of what the hub does not know is longer than it explains
	for what, size := range map[string]int{"commit": len(w.Commit), "welcome": len(w.Welcome), "group state": w.Group.Size()} {
		if size > most {
			return qpq.E(qpq.TooLarge, wire.CodeHandshakeTooLarge, fmt.Sprintf("the %s of a change has %d bytes, and at most %d belong to what it does", what, size, most))
		}
	}
	return nil
}

// effect adds to a ruling what a claim does beside the roster.
func (s *Server) effect(k commit, r *store.Ruling) {
	if p := k.claim.Policy; p != nil {
		r.Policy = store.Policy{Timer: seconds(p.TimerSeconds), Payload: int64(p.MaxPayload)}
	}
	r.Cuts = len(k.claim.Removed)+len(k.claim.Left)+len(k.claim.Joined) > 0
	if !k.external {
		for _, d := range k.claim.Joined {
			r.Welcome = append(r.Welcome, store.Address{Account: d.User.Name, Device: d.Device})
		}
	}
}

// checkNames fails unless a claim is about accounts of this server, each once in a list.
func (s *Server) checkNames(c wire.Claim) error {
	users, devices := map[qpq.UserID]bool{}, map[wire.MemberDevice]bool{}
	for _, m := range c.Roles {
		if users[m.User] {
			return badClaim("%s is in it twice", m.User)
		}
		users[m.User] = true
	}
	for _, u := range c.Removed {
		if users[u] {
			return badClaim("%s is in it twice", u)
		}
		users[u] = true
	}
	for _, list := range [][]wire.MemberDevice{c.Joined, c.Left} {
		for _, d := range list {
			if devices[d] {
				return badClaim("a device of %s is in it twice", d.User)
			}
			devices[d] = true
			users[d.User] = true
		}
	}
	for u := range users {
		if err := s.home(u); err != nil {
			return err
		}
	}
	return nil
}
