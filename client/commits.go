package client

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/conversation"
	"github.com/quicproquo/qpq/mls"
	"github.com/quicproquo/qpq/wire"
)

// noChange is a commit that gives this device fresh keys, and commits what others proposed.
func noChange(*conversation.Group) (conversation.Change, error) { return conversation.Change{}, nil }

// errNothing says that a change has nothing to do any more.
var errNothing = errors.New("there is nothing to change")

// commit changes a conversation. build is asked for the change again where somebody else's commit came first; errNothing ends it
// without a commit. The caller holds chatting.
func (c *Client) commit(ctx context.Context, s *session, id qpq.ChannelID, build func(*conversation.Group) (conversation.Change, error)) error {
	for range tries {
		st := &step{}
		ch, err := c.ready(st, id)
		if err != nil {
			return errors.Join(err, c.save(st))
		}
		p, request, err := c.prepare(ctx, s, ch, build)
		if errors.Is(err, errNothing) {
			return nil
		}
		if err != nil {
			return err
		}
		st.records(id, p.Records)
		if err := c.save(st); err != nil {
			return err
		}
		head := ch.Head
		again, err := c.submit(ctx, s, ch, p, request)
		if err != nil || !again {
			return err
		}
		if err := c.receive(ctx, s); err != nil {
			return err
		}
		if err := c.astray(ctx, s, id, head); err != nil {
			return err
		}
	}
	return errBusy
}

var errBusy = qpq.E(qpq.Conflict, "busy", "others change this conversation all the time: try again in a while")

// ready returns a chat whose group can be changed.
func (c *Client) ready(st *step, id qpq.ChannelID) (*chat, error) {
	if err := c.load(); err != nil {
		return nil, err
	}
	ch := c.chats[id]
	if ch == nil {
		return nil, qpq.E(qpq.NotFound, wire.CodeChannelUnknown, fmt.Sprintf("there is no conversation %s here", id))
	}
	if err := standing(ch); err != nil {
		return nil, err
	}
	if err := c.open(st, ch); err != nil {
		return nil, err
	}
	if ch.group == nil {
		return nil, qpq.Wrap(qpq.Unavailable, "joining", "this device is not in the group of the conversation yet: it joins when it is connected; try again", errJoining)
	}
	return ch, nil
}

// prepare makes the commit for the slot after the newest one.
func (c *Client) prepare(ctx context.Context, s *session, ch *chat, build func(*conversation.Group) (conversation.Change, error)) (p *mls.PendingCommit, request *wire.ChannelCommit, err error) {
	head, _ := ch.head()
	if old := ch.group.Pending(); old != nil { // of a call that was cut off: whether it took a slot, receive would have told
		c.discard(ch, old)
	}
	err = c.learning(ctx, s, func() error {
		change, err := build(ch.group)
		if err == nil {
			p, request, err = ch.group.Commit(head.Slot+1, change)
		}
		return err
	})
	var unknown *conversation.UnknownDevices
	if errors.As(err, &unknown) && unknown.Breach != nil {
		err = unknown.Breach
	}
	return p, request, err
}

// discard drops a pending commit that took no slot.
func (c *Client) discard(ch *chat, p *mls.PendingCommit) {
	st := &step{}
	st.records(ch.ID, p.Discard())
	if err := c.save(st); err != nil {
		c.notice("background", err.Error())
	}
}

// submit has the hub give a commit its slot. It reports true where another commit came first.
func (c *Client) submit(ctx context.Context, s *session, ch *chat, p *mls.PendingCommit, request *wire.ChannelCommit) (again bool, err error) {
	reply, err := wire.Call(ctx, s, *request)
	if qpq.CodeOf(err) == wire.CodeChunksMissing {
		if request, err = ch.group.Resend(p); err == nil {
			reply, err = wire.Call(ctx, s, *request)
		}
	}
	switch {
	case lost(err):
		return false, err // it stays pending: receive tells whether it took its slot
	case errors.Is(err, qpq.StaleEpoch):
		c.discard(ch, p)
		return true, nil
	case err == nil:
		err = c.apply(ch, p, reply)
	}
	if err != nil {
		c.discard(ch, p)
	}
	return false, err
}

// apply takes effect of a commit that has its slot.
func (c *Client) apply(ch *chat, p *mls.PendingCommit, reply wire.ChannelCommitReply) error {
	if err := checkReceipt(ch.founding, p.Message, reply.Receipt); err != nil {
		return err
	}
	if head, known := ch.head(); known && reply.Receipt.Slot == head.Slot+1 && reply.Receipt.Previous != wire.SlotHash(ch.ID, head) {
		st := &step{}
		c.elsewhere(st, ch)
		return errors.Join(qpq.E(qpq.Conflict, "elsewhere", "the server went another way than this device knows, being restored perhaps: the change does not count, and this device joins the others"), c.save(st))
	}
	done, err := ch.group.Apply(p)
	if err != nil {
		return err
	}
	own, err := c.cfg.Profile.Account()
	if err != nil {
		return err
	}
	st := &step{}
	ch.Head, ch.Updated = encodeReceipt(reply.Receipt), c.cfg.Clock()
	row := wire.InboxRow{Time: reply.Receipt.Time, Payload: p.Message, Receipt: &reply.Receipt, From: &wire.MemberDevice{User: own.User, Device: own.Device.ID()}}
	if err := c.accepted(st, ch, done, row); err != nil {
		return err
	}
	return c.save(st)
}

var errBadReceipt = qpq.E(qpq.Damaged, "bad-receipt", "the server's receipt for a change of the conversation is not for it, or not signed by it")

// checkReceipt fails unless a receipt is the hub's for a commit of this device.
func checkReceipt(f wire.Founding, commit []byte, r wire.SlotReceipt) error {
	claim, err := conversation.ClaimOf(commit)
	if err != nil {
		return err
	}
	if r.Slot != claim.Slot || r.Parent != claim.Parent || r.Commit != sha256.Sum256(commit) || !wire.VerifySlot(f.HubKey, f.Channel, r) {
		return errBadReceipt
	}
	return nil
}

// amend is commit for a person: it connects, and goes by the newest state.
func (c *Client) amend(ctx context.Context, id qpq.ChannelID, build func(*conversation.Group) (conversation.Change, error)) error {
	return c.connected(ctx, func(s *session) error { return c.commit(ctx, s, id, build) })
}

// connected runs f on a connection, after all that came was received.
func (c *Client) connected(ctx context.Context, f func(*session) error) error {
	s, err := c.member(ctx)
	if err != nil {
		return err
	}
	if err := c.chatting.take(ctx); err != nil {
		return err
	}
	defer c.chatting.give()
	if err := c.receive(ctx, s); err != nil {
		return unreachable(s.address, err)
	}
	if err := c.care(ctx, s); err != nil {
		return unreachable(s.address, err)
	}
	return unreachable(s.address, f(s))
}

// claim takes key packages of a user's devices, but for those that are in a group already, and verifies that each is of a device of the account.
func (c *Client) claim(ctx context.Context, s *session, u qpq.UserID, have []qpq.DeviceID) ([]*mls.KeyPackage, error) {
	if _, err := c.learn(ctx, s, u); err != nil {
		return nil, err
	}
	state, err := c.known(u)
	if err != nil {
		return nil, err
	}
	in := map[qpq.DeviceID]bool{}
	for _, d := range have {
		in[d] = true
	}
	var wanted []qpq.DeviceID
	for _, d := range state.Devices {
		if !in[d.ID()] {
			wanted = append(wanted, d.ID())
		}
	}
	if len(wanted) == 0 {
		return nil, nil
	}
	reply, err := wire.Call(ctx, s, wire.KeyPackagesClaim{User: u, Suites: suites, Devices: wanted})
	if err != nil && !errors.Is(err, qpq.NotFound) {
		return nil, err
	}
	var list []*mls.KeyPackage
	for _, p := range reply.Packages {
		k, err := mls.ParseKeyPackage(c.conversations().MLS(), p.Data)
		if err != nil {
			return nil, qpq.Wrap(qpq.Damaged, "bad-key-package", fmt.Sprintf("the server gave a key package of %s that is not valid: %v", u, err), err)
		}
		d, err := conversation.DeviceOf(k)
		if err != nil {
			return nil, err
		}
		if d.User != u || in[d.Device] || state.Device(d.Device) == nil {
			return nil, qpq.E(qpq.Damaged, "bad-key-package", fmt.Sprintf("the server gave a key package for %s that is of another device", u))
		}
		in[d.Device] = true
		list = append(list, k)
	}
	return list, nil
}
