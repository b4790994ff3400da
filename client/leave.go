package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/conversation"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/wire"
)

// How people leave conversations, and what those who stay do about it.

// Leave ends the membership of the own account. The last owner makes somebody else one first. A direct conversation cannot be left.
func (c *Client) Leave(ctx context.Context, id qpq.ChannelID) error {
	return c.Amend(ctx, Amendment{Conversation: id, Kind: AmendLeave})
}

func (c *Client) leave(ctx context.Context, s *session, id qpq.ChannelID) error {
	for range tries {
		if err := c.commit(ctx, s, id, c.handOver); err != nil {
			return err
		}
		again, err := c.sayGoodbye(ctx, s, id)
		if err != nil || !again {
			return err
		}
		if err := c.receive(ctx, s); err != nil {
			return err
		}
	}
	return errBusy
}

// handOver builds the change that has to come before this account leaves: its other devices go, an owner stays, and it has no role any more.
func (c *Client) handOver(g *conversation.Group) (change conversation.Change, err error) {
	self, err := c.self()
	if err != nil {
		return change, err
	}
	devices, err := g.Devices()
	if err != nil {
		return change, err
	}
	for _, d := range devices[self.Account.User] {
		if d != self.Device.ID() {
			change.Drop = append(change.Drop, wire.MemberDevice{User: self.Account.User, Device: d})
		}
	}
	var heir *wire.MemberRole
	for _, m := range g.Conversation().Members {
		if m.User == self.Account.User {
			continue
		}
		if heir == nil || m.Role > heir.Role {
			heir = &m
		}
	}
	own, _ := g.Role(self.Account.User)
	if own == wire.RoleOwner && heir != nil && heir.Role < wire.RoleOwner {
		change.Members = append(change.Members, wire.MemberRole{User: heir.User, Role: wire.RoleOwner})
	}
	if own >= wire.RoleAdmin && heir != nil { // or nobody might be above this account, to remove it where its goodbye is lost
		change.Members = append(change.Members, wire.MemberRole{User: self.Account.User, Role: wire.RoleMember})
	}
	if len(change.Drop) == 0 && len(change.Members) == 0 && !g.Waiting() {
		return change, errNothing
	}
	return change, nil
}

// sayGoodbye ends the membership at the hub, with the proposal by which others commit it. It reports true where somebody's commit came first.
func (c *Client) sayGoodbye(ctx context.Context, s *session, id qpq.ChannelID) (again bool, err error) {
	st := &step{}
	ch, err := c.ready(st, id)
	if err != nil {
		return false, errors.Join(err, c.save(st))
	}
	out, err := ch.group.Leave()
	if err != nil {
		return false, err
	}
	st.records(id, out.Records)
	if err := c.save(st); err != nil {
		return false, err
	}
	_, err = wire.Call(ctx, s, wire.ChannelLeave{Channel: id, Goodbye: out.Message})
	switch {
	case errors.Is(err, qpq.StaleEpoch):
		return true, nil
	case err != nil && !errors.Is(err, qpq.NotFound): // which says that an earlier try got through
		return false, err
	}
	own, err := c.cfg.Profile.Account()
	if err != nil {
		return false, err
	}
	st.out(id, own.User)
	c.end(st, ch)
	st.notice(ch, c.cfg.Clock(), "left", "you left the conversation")
	return false, c.save(st)
}

// leaveGroups leaves all groups. One that cannot be left is told: its members learn it from the server.
func (c *Client) leaveGroups(ctx context.Context) error {
	list, err := c.Conversations()
	if err != nil {
		return err
	}
	for _, v := range list {
		if v.Direct || v.Standing == Ended {
			continue
		}
		err := c.Leave(ctx, v.ID)
		switch {
		case qpq.CodeOf(err) == "connection-lost", qpq.CodeOf(err) == "cancelled":
			return err
		case err != nil:
			c.notice("not-left", fmt.Sprintf("the conversation %s could not be left: %v", v.Name(), err))
		}
	}
	return nil
}

// peerGone fails where a conversation is a direct one whose other account was deleted.
func (c *Client) peerGone(ch *profile.Channel) error {
	gone, err := c.cfg.Profile.Departures(ch.ID)
	if err != nil || len(gone) == 0 {
		return err
	}
	founding, err := wire.Unmarshal[wire.Founding](ch.Founding)
	if err != nil || !founding.Direct {
		return err
	}
	return qpq.E(qpq.NotFound, "peer-gone", fmt.Sprintf("%s deleted the account: nobody would read it", gone[0]))
}

// before reports whether the row by which a membership ended is from before this device was in the group last, or was handed out again: it has no number of
// its own, but that of the last row before it, up to which the device has read by then, and who becomes a member again does so by a row after that.
func (ch *chat) before(r wire.InboxRow) bool {
	return ch.Standing != Ended && ch.Sequence != uncounted && r.ChannelSequence < ch.Sequence
}

// takeFarewell notes that an account left. Members commit it: with its own proposal, or by their role.
func (c *Client) takeFarewell(st *step, ch *chat, r wire.InboxRow) error {
	if ch == nil || ch.Standing == Joining || ch.Standing == Ended || ch.before(r) || r.From == nil {
		return nil
	}
	if err := c.open(st, ch); err != nil {
		return err
	}
	if ch.group != nil {
		if _, member := ch.group.Role(r.From.User); !member {
			return nil // the hub had forgotten, and was told again
		}
	}
	c.depart(st, ch, r.From.User, true)
	if ch.founding.Direct {
		st.notice(ch, r.Time, "left", "%s deleted the account: nobody reads what is sent here any more", r.From.User)
	}
	if ch.group == nil {
		return nil
	}
	if len(r.Payload) > 0 {
		records, err := ch.group.Farewell(r.From.User, r.Payload)
		st.records(ch.ID, records)
		if err != nil && !errors.Is(err, conversation.ErrKnown) && !errors.Is(err, conversation.ErrUnreadable) {
			return err
		}
	}
	return c.unproved(st, ch, ch.group, r.From.User, r.Time)
}

// unproved tells that this device removes an account on the server's word that it left, having seen no goodbye of it.
func (c *Client) unproved(st *step, ch *chat, g *conversation.Group, u qpq.UserID, at time.Time) error {
	own, err := c.cfg.Profile.Account()
	if err != nil {
		return err
	}
	if mayRemove(g, own.User, u) && !g.Waiting() {
		st.notice(ch, at, "left-unproved", "the server says that %s left, and this device has seen no goodbye: it removes them; if they did not leave, invite them again, and ask who runs the server", u)
	}
	return nil
}

// mayRemove reports whether an account may remove another one by its role.
func mayRemove(g *conversation.Group, by, u qpq.UserID) bool {
	role, _ := g.Role(by)
	theirs, member := g.Role(u)
	return member && !g.Founding().Direct && role >= wire.RoleModerator && role > theirs
}

// depart notes that an account ended its membership, or that its group knows.
func (c *Client) depart(st *step, ch *chat, u qpq.UserID, departed bool) {
	i := slices.Index(ch.departed, u)
	switch {
	case departed == (i >= 0):
		return
	case departed:
		ch.departed, ch.asked = append(ch.departed, u), nil
		st.unsettle(ch)
	default:
		ch.departed = slices.Delete(ch.departed, i, i+1)
	}
	id := ch.ID
	st.do(func(tx *profile.Tx) error { return tx.SetDeparted(id, u, departed) })
}

// missing asks the hub who is a member, after it dropped rows.
func (c *Client) missing(ctx context.Context, s *session, ch *chat) error {
	info, err := wire.Call(ctx, s, wire.ChannelInfo{Channel: ch.ID})
	if err != nil {
		return err
	}
	st := &step{}
	if err := c.compareMembers(st, ch, ch.group, info.Members); err != nil {
		return err
	}
	ch.Gap = false
	st.touch(ch)
	return c.save(st)
}

// compareMembers notes who is in a group and, as the hub says, left.
func (c *Client) compareMembers(st *step, ch *chat, g *conversation.Group, listed []wire.Member) error {
	for _, m := range g.Conversation().Members {
		left := !slices.ContainsFunc(listed, func(o wire.Member) bool { return o.User == m.User })
		if left && !slices.Contains(ch.departed, m.User) {
			if err := c.unproved(st, ch, g, m.User, c.cfg.Clock()); err != nil {
				return err
			}
		}
		c.depart(st, ch, m.User, left)
	}
	for _, u := range slices.Clone(ch.departed) {
		if _, member := g.Role(u); !member {
			c.depart(st, ch, u, false)
		}
	}
	return nil
}

// takeRemoved notes that this account is a member no longer: another device of it left, or somebody removed it. Whatever the hub forgets of that, it stays so.
func (c *Client) takeRemoved(st *step, ch *chat, r wire.InboxRow) error {
	if ch == nil || ch.before(r) {
		return nil
	}
	own, err := c.cfg.Profile.Account()
	if err != nil {
		return err
	}
	st.out(ch.ID, own.User)
	if ch.Standing != Ended {
		c.end(st, ch)
		st.notice(ch, r.Time, "removed", "the server says that this account is no longer a member")
	}
	return nil
}

// end notes that this account is no longer a member.
func (c *Client) end(st *step, ch *chat) {
	if ch.group != nil {
		ch.group.Wipe()
		ch.group = nil
	}
	ch.Standing, ch.Access = Ended, nil
	st.touch(ch)
	id := ch.ID
	st.do(func(tx *profile.Tx) error { return tx.ClearGroup(id) })
}
