package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/conversation"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/mls"
	"github.com/quicproquo/qpq/wire"
)

// What makes that no conversation is ever stuck (docs/protocol.md, section 12.4).

// care does what is due: it joins conversations that this device is not in, or has to join anew, commits what waits, removes
// devices that were revoked, and gives itself fresh keys now and then. The caller holds chatting.
func (c *Client) care(ctx context.Context, s *session) error {
	if !s.compared.Load() {
		if err := c.compareHeads(ctx, s); err != nil {
			return err
		}
		s.compared.Store(true)
	}
	if c.accounts.Swap(false) {
		for _, ch := range c.chats {
			ch.settled = false
		}
	}
	for _, id := range c.channelIDs() {
		if ch := c.chats[id]; ch != nil && c.cfg.Clock().Before(ch.after) {
			continue
		}
		err := c.careFor(ctx, s, id)
		if err != nil && c.ends(ctx, err) {
			return err
		}
		c.troubled(id, err)
	}
	return nil
}

// troubled notes whether a conversation could be looked after. What cannot be is tried again later and later, and told once: so one that cannot be
// joined disturbs no other, though the server names many.
func (c *Client) troubled(id qpq.ChannelID, err error) {
	ch := c.chats[id]
	if ch == nil {
		return
	}
	if err == nil {
		ch.failed = 0
		return
	}
	if ch.failed++; ch.failed == 1 {
		c.notice("conversation", fmt.Sprintf("the conversation %s could not be looked after: %v", id, err))
	}
	ch.after = c.cfg.Clock().Add(min(time.Second<<min(ch.failed, 12), time.Hour))
}

// channelIDs returns all channels in one order.
func (c *Client) channelIDs() []qpq.ChannelID {
	var ids []qpq.ChannelID
	for id := range c.chats {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b qpq.ChannelID) int { return slices.Compare(a[:], b[:]) })
	return ids
}

func (c *Client) careFor(ctx context.Context, s *session, id qpq.ChannelID) error {
	if err := c.load(); err != nil {
		return err
	}
	ch := c.chats[id]
	switch {
	case ch == nil || ch.Standing == Active && ch.settled && !c.keysDue(ch):
		return nil
	case ch.Standing == Ended || ch.Standing == Suspect || ch.Standing == profile.Barred:
		return nil
	case ch.Standing == Joining || ch.Standing == Healing:
		return c.rejoin(ctx, s, ch)
	}
	st := &step{}
	if err := c.open(st, ch); err != nil {
		return err
	}
	if err := c.save(st); err != nil {
		return err
	}
	if ch.group == nil {
		return c.rejoin(ctx, s, ch)
	}
	if p := ch.group.Pending(); p != nil { // of a call that was cut off, and took no slot yet
		return c.resend(ctx, s, ch, p)
	}
	if incomplete, err := c.incomplete(ch.group); err != nil {
		return err
	} else if incomplete && ch.filled != s { // the call that founded it was cut off, or there is another device
		ch.filled = s
		if err := c.commit(ctx, s, id, c.fill(ctx, s)); err != nil {
			return err
		}
	}
	if err := c.knowCreation(ctx, s, ch); err != nil {
		return err
	}
	if ch.gap {
		if err := c.missing(ctx, s, ch); err != nil {
			return err
		}
	}
	if c.stagger(ch) {
		return nil
	}
	slot := ch.Slot
	if err := c.tidy(ctx, s, ch); err != nil {
		return err
	}
	ch.settled = ch.Slot == slot // a commit may leave more to do
	return nil
}

// keyUpdate is how often a device gives itself fresh keys.
const keyUpdate = 7 * 24 * time.Hour

// keysDue reports whether this device is to give itself fresh keys.
func (c *Client) keysDue(ch *chat) bool { return c.cfg.Clock().Sub(ch.Updated) >= c.cfg.KeyUpdate }

// few is up to how many members commit what waits all at once.
const few = 8

// stagger puts off what any member may do, so that not all members of a large group do it at the same moment, and answers to void commits
// become rarer where those do not end: somebody hands in garbage, or judges otherwise. It reports whether it did. Who wants to send waits for none of it.
func (c *Client) stagger(ch *chat) bool {
	void := ch.void()
	if !void && !ch.group.Waiting() {
		ch.turn = time.Time{}
		return false
	}
	now := c.cfg.Clock()
	if ch.turn.IsZero() {
		wait := time.Duration(0)
		if n := len(ch.group.Conversation().Members); n > few {
			wait = time.Duration(n) * 25 * time.Millisecond
		}
		if n := ch.stormy(now); void && n > 0 {
			wait += min(time.Second<<min(n, 10), calm/2)
		}
		if wait == 0 {
			return false
		}
		ch.turn = now.Add(rand.N(wait))
	}
	if now.Before(ch.turn) {
		return true
	}
	ch.turn = time.Time{}
	return false
}

// calm is how long after a void commit that was answered another one is one too many.
const calm = 20 * time.Minute

// answered notes that somebody went on without a void commit.
func (ch *chat) answered(now time.Time) {
	ch.storm = ch.stormy(now) + 1
	ch.stormed = now
}

// stormy returns how many void commits were answered, each soon after the one before.
func (ch *chat) stormy(now time.Time) int {
	if now.Sub(ch.stormed) > calm {
		return 0
	}
	return ch.storm
}

// tidy commits what waits, removes who is no longer there, answers commits that do not count, and gives this device fresh keys where that
// is due. Proposals that cannot be committed are set aside: they must not keep anybody from talking.
func (c *Client) tidy(ctx context.Context, s *session, ch *chat) error {
	id := ch.ID
	if ch.asked != s {
		ch.asked = s
		for _, u := range ch.departed { // an account that is no more anybody may remove
			if _, err := c.learn(ctx, s, u); errors.Is(err, qpq.NotFound) {
				c.gone.Store(u, true)
			} else if err != nil {
				return err
			}
		}
	}
	if ch.void() {
		ch.answers++
	}
	err := c.commit(ctx, s, id, c.leftovers)
	if err == nil || c.ends(ctx, err) || errors.Is(err, qpq.Conflict) {
		return err
	}
	if ch = c.chats[id]; ch == nil || ch.group == nil || !ch.group.Waiting() {
		return err
	}
	st := &step{}
	st.records(id, ch.group.SetAside())
	return c.save(st)
}

// incomplete reports whether a member account has no device in a group, or a device of the own one is not in it.
func (c *Client) incomplete(g *conversation.Group) (bool, error) {
	devices, err := g.Devices()
	if err != nil {
		return false, err
	}
	for _, m := range g.Conversation().Members {
		if len(devices[m.User]) == 0 {
			return true, nil
		}
	}
	self, err := c.self()
	if err != nil {
		return false, err
	}
	for _, d := range self.Account.Devices {
		if !slices.Contains(devices[self.Account.User], d.ID()) {
			return true, nil
		}
	}
	return false, nil
}

// resend offers a commit again that was on its way when something ended.
func (c *Client) resend(ctx context.Context, s *session, ch *chat, p *mls.PendingCommit) error {
	request, err := ch.group.Resend(p)
	if err != nil {
		c.discard(ch, p)
		return nil
	}
	_, err = c.submit(ctx, s, ch, p, request)
	return err
}

// leftovers builds the change that removes devices which their accounts revoked, and accounts that left. Nothing is committed unless there
// are any, or something waits, or the newest slot does not count, or fresh keys are due.
func (c *Client) leftovers(g *conversation.Group) (change conversation.Change, err error) {
	devices, err := g.Devices()
	if err != nil {
		return change, err
	}
	for u, list := range devices {
		state, err := c.known(u)
		if err != nil {
			return change, err
		}
		for _, d := range list {
			if state != nil && state.Revoked(d) {
				change.Drop = append(change.Drop, wire.MemberDevice{User: u, Device: d})
			}
		}
	}
	if change.Remove, err = c.departures(g); err != nil {
		return change, err
	}
	ch := c.chats[g.Founding().Channel]
	due := ch != nil && (ch.void() || c.keysDue(ch))
	if len(change.Drop)+len(change.Remove) == 0 && !g.Waiting() && !due {
		return change, errNothing
	}
	return change, nil
}

// departures returns the accounts that left and that this device may remove: those whose goodbye waits are removed by it.
func (c *Client) departures(g *conversation.Group) (list []qpq.UserID, err error) {
	ch := c.chats[g.Founding().Channel]
	own, err := c.cfg.Profile.Account()
	if err != nil || ch == nil || g.Waiting() || g.Founding().Direct {
		return nil, err
	}
	role, _ := g.Role(own.User)
	for _, u := range ch.departed {
		_, gone := c.gone.Load(u)
		if theirs, member := g.Role(u); member && (gone || role >= wire.RoleModerator && role > theirs) {
			list = append(list, u)
		}
	}
	return list, nil
}
