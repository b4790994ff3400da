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
	return c.commitOne(ctx, s, id, build, nil)
}

// commitOne is commit for what makes a change that somebody asked for, unless w is nil: that one that waits waits no longer becomes durable with the commit
// itself. Where the answer is lost, w tells of which slot.
func (c *Client) commitOne(ctx context.Context, s *session, id qpq.ChannelID, build func(*conversation.Group) (conversation.Change, error), w *wish) error {
	for range tries {
		st := &step{}
		ch, err := c.ready(st, id)
		if errors.Is(err, errJoining) { // what is stored of the group turned out to be lost
			if err := c.heal(ctx, s, st, id); err != nil {
				return err
			}
			ch, err = c.ready(st, id)
		}
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
		st.unsettle(ch) // where this is cut off, it is offered again
		slot := nextSlot(ch)
		st.tries(slot, w)
		if err := c.save(st); err != nil {
			return err
		}
		head := ch.Head
		again, err := c.submit(ctx, s, ch, p, request)
		if w != nil && lost(err) {
			w.unanswered = slot
		}
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

// heal has this device join a conversation anew whose group could not be opened.
func (c *Client) heal(ctx context.Context, s *session, st *step, id qpq.ChannelID) error {
	if err := c.save(st); err != nil {
		return err
	}
	_, err := c.careFor(ctx, s, id)
	return err
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
	if old := ch.group.Pending(); old != nil { // of a call that was cut off: whether it took a slot, receive would have told
		c.discard(ch, old)
	}
	err = c.learning(ctx, s, func() error {
		change, err := build(ch.group)
		if err == nil {
			p, request, err = ch.group.Commit(nextSlot(ch), change)
		}
		return err
	})
	var unknown *conversation.UnknownDevices
	if errors.As(err, &unknown) && unknown.Breach != nil {
		err = unknown.Breach
	}
	return p, request, err
}

// nextSlot is the one after the newest.
func nextSlot(ch *chat) uint64 {
	head, _ := ch.head()
	return head.Slot + 1
}

// discard drops a pending commit that took no slot.
func (c *Client) discard(ch *chat, p *mls.PendingCommit) {
	st := &step{}
	st.records(ch.ID, p.Discard())
	st.do(func(tx *profile.Tx) error { return tx.UntryAmendments(ch.ID) })
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

func (c *Client) takeCommit(ctx context.Context, s *session, st *step, ch *chat, r wire.InboxRow) error {
	if ch == nil || ch.Standing == Joining || ch.Standing == Ended || r.Receipt == nil {
		return nil
	}
	st.touch(ch)
	if !c.follow(st, ch, r) || !c.ordered(st, ch, r) || ch.Standing == profile.Barred {
		return nil
	}
	healing := ch.Standing == Healing
	if builds, err := c.builds(st, ch, r); err != nil || !builds {
		return err
	}
	var done *conversation.Accepted
	err := c.learning(ctx, s, func() (err error) {
		done, err = ch.group.Accept(r.Receipt.Slot, r.Payload)
		return err
	})
	switch {
	case err == nil && healing: // what could not be read nobody else could either: they went on from where this device is
		ch.Standing = Active
		c.tellVoid(st, ch, r.Time, "a change of the conversation that could not be read does not count: the others went on without it")
	case errors.Is(err, conversation.ErrVoid):
		c.tellVoid(st, ch, r.Time, "a change of the conversation by %s breaks its rules, and does not count", from(r))
		return nil
	case errors.Is(err, conversation.ErrUnreadable):
		ch.Standing = Healing
		st.touch(ch)
		return nil
	case err != nil:
		return err
	}
	return c.accepted(st, ch, done, r)
}

// builds reports whether a commit is to be applied to the group that this device has. Where one could not be read, the next ones tell whether
// it counts: it does not for whoever builds on the one before it.
func (c *Client) builds(st *step, ch *chat, r wire.InboxRow) (bool, error) {
	if ch.Standing == Healing {
		usable, err := c.restore(ch)
		return usable && r.Receipt.Slot > ch.Slot && r.Receipt.Parent == ch.Slot, err
	}
	if err := c.open(st, ch); err != nil || ch.group == nil || r.Receipt.Slot <= ch.Slot {
		return false, err
	}
	if r.Receipt.Parent != ch.Slot {
		return false, c.otherBranch(st, ch, r)
	}
	return true, nil
}

func from(r wire.InboxRow) string {
	if r.From == nil {
		return "somebody"
	}
	return r.From.User.String()
}

// tellVoid tells that a commit does not count; of many that follow each other, of the first ones alone.
func (c *Client) tellVoid(st *step, ch *chat, at time.Time, format string, args ...any) {
	if ch.stormy(c.cfg.Clock()) < patience {
		st.notice(ch, at, "void", format, args...)
	}
}

// patience is how many commits that do not count this device answers before it gives in.
const patience = 3

// otherBranch takes a commit that does not build on the last one accepted here: it goes back behind that, and does not count, or it builds
// on one that this device took for void. Then somebody judged otherwise: the device joins there, if the group agrees with what was claimed.
// So it does where a commit goes back behind the very one by which it joined: that one may be void for all who were there before; and
// where it has answered such commits often, and was not followed: somebody has to give in, as far as the members are who they should be.
func (c *Client) otherBranch(st *step, ch *chat, r wire.InboxRow) error {
	if r.Receipt.Parent > ch.Slot || ch.Slot == ch.Joined || ch.answers >= patience {
		ch.Standing = Healing
		st.touch(ch)
		return nil
	}
	c.tellVoid(st, ch, r.Time, "a change of the conversation by %s goes back behind others, and does not count", from(r))
	return nil
}

// accepted notes what a commit did.
func (c *Client) accepted(st *step, ch *chat, done *conversation.Accepted, r wire.InboxRow) error {
	if done.Removed {
		own, err := c.cfg.Profile.Account()
		if err != nil {
			return err
		}
		if done.Committer.Device != own.Device.ID() { // else it joined anew, and its state of that is lost
			st.notice(ch, r.Time, "removed", "%s removed this device from the conversation", done.Committer.User)
		}
		if slices.Contains(done.Claim.Removed, own.User) {
			st.out(ch.ID, own.User)
			c.end(st, ch)
			return nil
		}
		ch.group.Wipe()
		ch.group, ch.Standing = nil, Joining // the account is still a member
		st.touch(ch)
		return nil
	}
	if own, err := c.cfg.Profile.Account(); err != nil {
		return err
	} else if done.Committer.Device != own.Device.ID() { // an answer of this device may be answered in turn
		ch.answers = 0
		st.do(func(tx *profile.Tx) error { return tx.UntryAmendments(ch.ID) }) // a commit of this device that waited is of an epoch that is over
	} else if r.Receipt != nil {
		st.do(func(tx *profile.Tx) error { return tx.MadeAmendment(ch.ID, r.Receipt.Slot) })
	}
	if err := st.group(ch, done.Records); err != nil {
		return err
	}
	if r.Receipt != nil {
		if r.Receipt.Slot > r.Receipt.Parent+1 {
			ch.answered(c.cfg.Clock())
		}
		kept := profile.Commit{Slot: r.Receipt.Slot, Commit: r.Payload, Receipt: encodeReceipt(*r.Receipt), User: done.Committer.User, Device: done.Committer.Device}
		id := ch.ID
		st.do(func(tx *profile.Tx) error { return tx.AddCommit(id, kept) })
	}
	c.tellChange(st, ch, done, r)
	return nil
}

// tellChange tells what a commit changed that people care about, and keeps who was removed.
func (c *Client) tellChange(st *step, ch *chat, done *conversation.Accepted, r wire.InboxRow) {
	id := ch.ID
	var added []qpq.UserID
	for _, m := range done.Claim.Roles {
		if slices.ContainsFunc(done.Before.Members, func(o wire.MemberRole) bool { return o.User == m.User }) {
			st.notice(ch, r.Time, "role", "%s made %s %s", done.Committer.User, m.User, conversation.WithArticle(m.Role))
			continue
		}
		added = append(added, m.User)
		c.depart(st, ch, m.User, false)
		st.do(func(tx *profile.Tx) error { return tx.SetRemoved(id, m.User, false) })
	}
	if len(added) > 0 {
		st.notice(ch, r.Time, "added", "%s added %s", done.Committer.User, names(added))
	}
	for _, u := range done.Claim.Removed {
		c.depart(st, ch, u, false)
		st.out(id, u)
	}
	if len(done.Claim.Removed) > 0 {
		if done.Left {
			st.notice(ch, r.Time, "left", "%s left", names(done.Claim.Removed))
		} else {
			st.notice(ch, r.Time, "removed-member", "%s removed %s", done.Committer.User, names(done.Claim.Removed))
		}
	}
	if done.Before.Title != done.After.Title {
		st.notice(ch, r.Time, "title", "%s called the conversation %q", done.Committer.User, done.After.Title)
	}
	if before, after := timerOf(done.Before.Policy), timerOf(done.After.Policy); before != after {
		st.noticeTimer(ch, r.Time, done.Committer.User, after)
	}
}
