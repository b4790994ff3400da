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
	if err := c.accountsChanged(); err != nil {
		return err
	}
	var settled []*chat
	for _, id := range c.channelIDs() {
		ch := c.chats[id]
		if ch != nil && c.cfg.Clock().Before(ch.after) {
			continue
		}
		done, err := c.careFor(ctx, s, id)
		if err != nil && c.ends(ctx, err) {
			return errors.Join(err, c.setSettled(settled))
		}
		c.troubled(id, err)
		if done {
			settled = append(settled, ch)
		}
	}
	return c.setSettled(settled)
}

// accountsChanged has conversations looked after again whose members have newer account states than when that was done last.
func (c *Client) accountsChanged() error {
	users, err := c.cfg.Profile.ChangedAccounts()
	if err != nil || len(users) == 0 {
		return err
	}
	st := &step{}
	for _, u := range users {
		c.contacts.Delete(u) // it is read anew
		st.do(func(tx *profile.Tx) error { return tx.ClearChanged(u) })
	}
	for _, ch := range c.chats {
		if ch.Standing != Active {
			continue
		}
		agreed, err := wire.Unmarshal[wire.Conversation](ch.Conversation)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(agreed.Members, func(m wire.MemberRole) bool { return slices.Contains(users, m.User) }) {
			st.unsettle(ch)
		}
	}
	return c.save(st)
}

// setSettled notes that there is nothing to do in conversations, unless something came meanwhile: their groups are not restored before they are needed.
func (c *Client) setSettled(chats []*chat) error {
	st := &step{}
	for _, ch := range chats {
		if c.chats[ch.ID] == ch && ch.Standing == Active && ch.quiet {
			ch.Settled = true
			st.do(func(tx *profile.Tx) error { return tx.SetSettled(ch.ID) })
		}
	}
	return c.save(st)
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

// careFor looks after one conversation. It reports whether there is nothing to do in it any more, on whatever connection.
func (c *Client) careFor(ctx context.Context, s *session, id qpq.ChannelID) (settled bool, err error) {
	if err := c.load(); err != nil {
		return false, err
	}
	ch := c.chats[id]
	switch {
	case ch == nil || ch.Standing == Active && (ch.Settled || ch.quiet) && !c.keysDue(ch):
		return false, nil
	case ch.Standing == Ended || ch.Standing == Suspect || ch.Standing == profile.Barred:
		return false, nil
	case ch.Standing == Joining || ch.Standing == Healing:
		return false, c.rejoin(ctx, s, ch)
	}
	st := &step{}
	if err := c.open(st, ch); err != nil {
		return false, err
	}
	if err := c.save(st); err != nil {
		return false, err
	}
	if ch.group == nil {
		return false, c.rejoin(ctx, s, ch)
	}
	if p := ch.group.Pending(); p != nil { // of a call that was cut off, and took no slot yet
		return false, c.resend(ctx, s, ch, p)
	}
	incomplete, err := c.complete(ctx, s, ch)
	if ch = c.chats[id]; err != nil || ch == nil || ch.group == nil {
		return false, err
	}
	if err := c.knowCreation(ctx, s, ch); err != nil {
		return false, err
	}
	if ch.Gap {
		if err := c.missing(ctx, s, ch); err != nil {
			return false, err
		}
	}
	if c.stagger(ch) {
		return false, nil
	}
	slot := ch.Slot
	if err := c.tidy(ctx, s, ch); err != nil {
		return false, err
	}
	ch.quiet = ch.Slot == slot // a commit may leave more to do
	return ch.quiet && !incomplete && len(ch.departed) == 0 && !ch.void(), nil
}

// complete brings in who is missing in a group, once on each connection: the call that founded it was cut off, or there is another device. It
// reports whether it is incomplete even so.
func (c *Client) complete(ctx context.Context, s *session, ch *chat) (incomplete bool, err error) {
	incomplete, err = c.incomplete(ch.group)
	if err != nil || !incomplete || ch.filled == s {
		return incomplete, err
	}
	ch.filled = s
	return true, c.commit(ctx, s, ch.ID, c.fill(ctx, s))
}

// keyUpdate is how often a device gives itself fresh keys.
const keyUpdate = 7 * 24 * time.Hour

// keysDue reports whether this device is to give itself fresh keys.
func (c *Client) keysDue(ch *chat) bool { return c.cfg.Clock().Sub(ch.Updated) >= c.cfg.KeyUpdate }

// atOnce is up to how many members commit what waits all at once.
const atOnce = 8

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
		if n := len(ch.group.Conversation().Members); n > atOnce {
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
	for _, u := range ch.departed {
		_, gone := c.gone.Load(u)
		if _, member := g.Role(u); member && gone || mayRemove(g, own.User, u) {
			list = append(list, u)
		}
	}
	return list, nil
}
