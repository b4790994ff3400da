package node

import (
	"context"
	"crypto/sha256"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/wire"
)

// A hub that was restored from a copy is given back, by members, what it signed once.

func (s *Server) channelOffer(ctx context.Context, c *conn, q wire.ChannelOffer) (wire.ChannelOfferReply, error) {
	var none wire.ChannelOfferReply
	user, _ := c.who()
	group, err := s.groupState(q.Group)
	if err != nil {
		return none, err
	}
	o := store.Offer{Channel: q.Channel, Account: user.Name, Now: now()}
	if len(q.Founding) > 0 && q.Creation != nil {
		if o.Creation, err = s.offeredChannel(q); err != nil {
			return none, err
		}
	}
	commits := map[int64]commit{}
	receipts := map[int64]wire.SlotReceipt{}
	for i, offered := range q.Commits {
		k, err := readCommit(q.Channel, offered.Commit)
		if err != nil {
			return none, err
		}
		if _, twice := commits[int64(k.claim.Slot)]; twice || !s.signed(q.Channel, k, offered.Receipt) {
			return none, badOffer
		}
		if err := s.home(offered.From.User); err != nil {
			return none, err
		}
		w := store.Commit{Channel: q.Channel, Slot: int64(k.claim.Slot), Parent: int64(k.claim.Parent), Hash: k.hash[:], Commit: offered.Commit,
			Account: offered.From.User.Name, Device: offered.From.Device, Now: now(), Retention: s.limits.Retention, Quota: int64(s.limits.Inbox)}
		if i == len(q.Commits)-1 {
			w.Group = group
		} else if k.claim.Rekeys {
			w.Group.AccessSlot = w.Slot
		} else {
			w.Group.AccessSlot = -1
		}
		commits[w.Slot], receipts[w.Slot] = k, offered.Receipt
		o.Commits = append(o.Commits, w)
	}
	slot, notices, err := s.cfg.Store.OfferChannel(ctx, o, func(w store.Commit, st store.Standing) (store.Ruling, error) {
		return s.accept(q.Channel, st, commits[w.Slot], receipts[w.Slot])
	})
	if err != nil {
		return none, contract(err)
	}
	s.announce(notices, c)
	return wire.ChannelOfferReply{Slot: uint64(slot)}, nil
}

var badOffer = qpq.E(qpq.Invalid, "bad-offer", "commits were offered that this server did not sign, or not in this order")

// signed reports whether a receipt is this server's own for a commit.
func (s *Server) signed(channel qpq.ChannelID, k commit, r wire.SlotReceipt) bool {
	return r.Slot == k.claim.Slot && r.Parent == k.claim.Parent && r.Commit == k.hash && wire.VerifySlot(s.hubKey(), channel, r)
}

// offeredChannel returns a channel that this server made once, as its receipt proves.
func (s *Server) offeredChannel(q wire.ChannelOffer) (*store.NewChannel, error) {
	f, err := wire.Unmarshal[wire.Founding](q.Founding)
	if err != nil {
		return nil, err
	}
	if err := s.checkFounding(f); err != nil {
		return nil, err
	}
	if f.Channel != q.Channel || q.Creation.Slot != 0 || q.Creation.Commit != sha256.Sum256(q.Founding) || !wire.VerifySlot(s.hubKey(), q.Channel, *q.Creation) {
		return nil, badOffer
	}
	n := s.newChannel(f, q.Founding, *q.Creation)
	if len(q.Commits) == 0 {
		n.Group, err = s.groupState(q.Group)
	}
	return &n, err
}

// accept rules on a commit that was accepted before: it is not judged again.
func (s *Server) accept(channel qpq.ChannelID, st store.Standing, k commit, receipt wire.SlotReceipt) (store.Ruling, error) {
	r := store.Ruling{Roster: st.Roster.Clone(), Policy: st.Policy, Slot: slotOf(receipt)}
	if receipt.Previous != wire.SlotHash(channel, receiptOf(st.Head)) || k.epoch != uint64(st.Epoch) {
		return r, badOffer
	}
	_, _ = applyClaim(k.claim, &r.Roster) // who is not here any more stays out
	s.effect(k, &r)
	r.Welcome = nil
	return r, nil
}
