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

// Changes of conversations that people ask for: made at once, or, where the hub cannot be reached, later, in the order of what was asked for and said.

// AmendmentKind says what is to change in a conversation.
type AmendmentKind = profile.AmendmentKind

// The values of AmendmentKind.
const (
	AmendInvite = profile.AmendInvite // Users become members
	AmendRemove = profile.AmendRemove // Users are members no longer
	AmendRole   = profile.AmendRole   // Users have Role
	AmendTitle  = profile.AmendTitle  // it is called Title
	AmendTimer  = profile.AmendTimer  // what is said disappears after Timer
	AmendKeys   = profile.AmendKeys   // this device has fresh keys
	AmendLeave  = profile.AmendLeave  // the own account leaves
)

// Amendment is a change of a conversation that somebody asks for.
type Amendment struct {
	Conversation qpq.ChannelID
	Kind         AmendmentKind
	Users        []qpq.UserID
	Role         wire.Role
	Title        string
	Timer        time.Duration
}

// String says what is to be done: "add bob@example.org".
func (a Amendment) String() string {
	switch a.Kind {
	case AmendInvite:
		return "add " + names(a.Users)
	case AmendRemove:
		return "remove " + names(a.Users)
	case AmendRole:
		return "make " + names(a.Users) + " " + conversation.WithArticle(a.Role)
	case AmendTitle:
		return fmt.Sprintf("call the conversation %q", qpq.Printable(a.Title))
	case AmendTimer:
		if a.Timer == 0 {
			return "have messages stay"
		}
		return "have messages disappear " + Span(a.Timer) + " after they were read"
	case AmendKeys:
		return "give this device fresh keys"
	}
	return "leave"
}

// WaitingAmendment is a change that waits on this device.
type WaitingAmendment struct {
	Amendment
	ID      int64     // grows as they are asked for
	Asked   time.Time // when
	After   int64     // what was said up to this position goes out before it, what was said after it later
	Tried   bool      // it was handed in, and whether it was taken is not known yet: it cannot be given up
	Problem string    // why it waits, as far as that is known
}

// Amend makes a change now. Where others waited on this device it comes after them: it fails with qpq.Unavailable and code "behind" where those
// have to wait longer. Where the connection is lost before it is known whether the change was made, it fails with qpq.Unavailable and code "unanswered": the
// change waits then, as after AmendLater, until that is known, and is made if it was not.
func (c *Client) Amend(ctx context.Context, a Amendment) error {
	if err := c.checkAmendment(a); err != nil {
		return err
	}
	return c.connected(ctx, func(s *session) error {
		if err := c.amendedBefore(ctx, s, a.Conversation); err != nil {
			return err
		}
		w := &wish{}
		err := unreachable(s.address, c.amend(ctx, s, a, w))
		if w.unanswered == 0 || ctx.Err() != nil || !errors.Is(err, qpq.Unavailable) { // the person gave up, or another program goes on
			return err
		}
		if err := c.wait(a, w.unanswered); err != nil {
			return err
		}
		return qpq.E(qpq.Unavailable, "unanswered", "the connection to "+s.address+" was lost before the server said whether the change was made: that is found out when it can be reached, and it is made if it was not")
	})
}

// wish is a change while a commit is made for it.
type wish struct {
	waiting    int64  // its number where it waits, 0 where it does not
	unanswered uint64 // slot of the commit that was handed in for it and had no answer, 0 where there is none
}

// AmendLater has a change wait until the hub can be reached: Run and Sync make it, after what was said before, and before what is said after it. It
// is durable when AmendLater returns. One of several users is several changes. What is so already when its turn comes is no change; one that is
// refused for good is told in the history (notice "not-changed") and holds up nothing.
func (c *Client) AmendLater(a Amendment) error {
	if err := c.checkAmendment(a); err != nil {
		return err
	}
	_, _, err := c.maySend(a.Conversation)
	if a.Kind == AmendLeave && qpq.CodeOf(err) == errNotMember.Code { // it is so already
		return nil
	}
	if err == nil {
		err = c.wait(a, 0)
	}
	return err
}

// wait has a change wait, of which the commit for a slot was handed in, 0 for none.
func (c *Client) wait(a Amendment, slot uint64) error {
	w := profile.Amendment{Channel: a.Conversation, Kind: a.Kind, Role: int64(a.Role), Title: a.Title, Timer: a.Timer, Asked: c.cfg.Clock(), Slot: slot}
	err := c.cfg.Profile.Change(func(tx *profile.Tx) error {
		if len(a.Users) == 0 {
			return tx.AddAmendment(w)
		}
		for _, w.User = range a.Users {
			if err := tx.AddAmendment(w); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		c.news.tell()
		c.kick()
	}
	return err
}

// Amendments returns the changes that wait on this device, in the order in which they were asked for.
func (c *Client) Amendments() ([]WaitingAmendment, error) {
	list, err := c.cfg.Profile.Amendments()
	if err != nil {
		return nil, err
	}
	waiting := make([]WaitingAmendment, len(list))
	for i, a := range list {
		waiting[i] = WaitingAmendment{asked(a), a.ID, a.Asked, a.After, a.Slot != 0, a.Problem}
	}
	return waiting, nil
}

// asked is what a person asked for by a change that waits.
func asked(a profile.Amendment) Amendment {
	out := Amendment{Conversation: a.Channel, Kind: a.Kind, Role: wire.Role(a.Role), Title: a.Title, Timer: a.Timer}
	if !a.User.IsZero() {
		out.Users = []qpq.UserID{a.User}
	}
	return out
}

// checkAmendment fails where a change can never be made, whatever the hub knows.
func (c *Client) checkAmendment(a Amendment) error {
	switch a.Kind {
	case AmendRemove:
		own, err := c.cfg.Profile.Account()
		if err != nil {
			return err
		}
		if slices.Contains(a.Users, own.User) {
			return qpq.E(qpq.Invalid, "remove-self", "nobody removes themselves: leave the conversation instead")
		}
	case AmendTitle:
		return checkTitle(a.Title)
	case AmendTimer:
		return checkTimer(a.Timer)
	case AmendLeave:
		v, err := c.Conversation(a.Conversation)
		if err != nil {
			return err
		}
		if v.Direct {
			return qpq.E(qpq.Denied, wire.CodeDirect, "a direct conversation keeps its two people: nobody leaves it")
		}
	}
	return nil
}

// amend makes a change. The caller holds chatting.
func (c *Client) amend(ctx context.Context, s *session, a Amendment, w *wish) error {
	switch id := a.Conversation; a.Kind {
	case AmendInvite:
		return c.invite(ctx, s, a, w)
	case AmendRemove:
		return c.commitOne(ctx, s, id, removal(a.Users), w)
	case AmendRole:
		return c.commitOne(ctx, s, id, promotion(a.Users, a.Role), w)
	case AmendTitle:
		return c.commitOne(ctx, s, id, renaming(a.Title), w)
	case AmendTimer:
		return c.commitOne(ctx, s, id, timing(a.Timer), w)
	case AmendKeys:
		return c.commitOne(ctx, s, id, noChange, w)
	case AmendLeave:
		return c.leave(ctx, s, id)
	}
	return qpq.E(qpq.Unsupported, "amendment-unknown", "this release knows no such change of a conversation: update it")
}

// amendedBefore makes what waits in a conversation, before something else is changed there.
func (c *Client) amendedBefore(ctx context.Context, s *session, id qpq.ChannelID) error {
	waits := func() (bool, error) {
		list, err := c.cfg.Profile.Amendments()
		return slices.ContainsFunc(list, func(a profile.Amendment) bool { return a.Channel == id }), err
	}
	some, err := waits()
	if err != nil || !some {
		return err
	}
	if err := c.flush(ctx, s); err != nil {
		return err
	}
	if some, err = waits(); err == nil && some {
		err = qpq.E(qpq.Unavailable, "behind", "other changes of the conversation that were asked for before have to wait longer: outbox list shows why")
	}
	return err
}

// amendWaiting makes those changes that wait and before which nothing waits that was said. The order learns of the others, and that those which
// have to wait longer hold up their conversations. The caller holds chatting.
func (c *Client) amendWaiting(ctx context.Context, s *session, o *order) error {
	o.upTo = map[qpq.ChannelID]int64{}
	list, err := c.cfg.Profile.Amendments()
	if err != nil {
		return err
	}
	for _, a := range list {
		if _, behind := o.upTo[a.Channel]; behind || o.held[a.Channel] {
			continue
		}
		said, err := c.cfg.Profile.SaidBefore(a)
		if err != nil {
			return err
		}
		if said {
			o.upTo[a.Channel] = a.After
			continue
		}
		made, err := c.amendOne(ctx, s, a)
		if err != nil {
			return err
		}
		o.held[a.Channel] = !made
	}
	return nil
}

// amendOne makes a change that waits. It reports false where it has to wait longer, and fails where all have to.
func (c *Client) amendOne(ctx context.Context, s *session, a profile.Amendment) (made bool, err error) {
	if err := c.load(); err != nil {
		return false, err
	}
	ch := c.chats[a.Channel]
	switch {
	case ch == nil:
		return true, c.settleAmendment(a, nil, nil)
	case ch.Standing != Active && ch.Standing != Ended:
		return false, c.postpone(a, "the conversation cannot be changed before this device is in it, and its members are confirmed")
	case ch.Standing == Active:
		err = c.amend(ctx, s, asked(a), &wish{waiting: a.ID})
	}
	if err != nil && c.ends(ctx, err) && !errors.Is(err, errJoining) && qpq.CodeOf(err) != wire.CodeTooManyCommits {
		return false, err
	}
	ended := ch.Standing == Ended
	if now := c.chats[a.Channel]; now != nil {
		ch, ended = now, now.Standing == Ended
	}
	switch {
	case ended && a.Kind == AmendLeave, err == nil && !ended:
		return true, c.settleAmendment(a, nil, nil)
	case ended:
		return true, c.settleAmendment(a, ch, errNotMember)
	case forGood(err):
		return true, c.settleAmendment(a, ch, err)
	}
	return false, c.postpone(a, err.Error())
}

// forGood reports whether an error says that a change will not be made whenever it is tried again.
func forGood(err error) bool {
	switch qpq.CodeOf(err) {
	case codeLeaving: // what is said meanwhile would wait as long
		return true
	case wire.CodeDeviceGone: // it is looked up again
		return false
	}
	switch qpq.KindOf(err) {
	case qpq.NotFound, qpq.Denied, qpq.Invalid, qpq.TooLarge, qpq.Exists, qpq.Unsupported, qpq.Damaged:
		return true
	}
	return false
}

// tries notes that the commit for a slot makes a change that waits.
func (st *step) tries(slot uint64, w *wish) {
	if w != nil && w.waiting != 0 {
		st.do(func(tx *profile.Tx) error { return tx.TryAmendment(w.waiting, slot) })
	}
}

// settleAmendment notes that a change waits no longer, and tells in the history why it was not made, if so. What was said after one that was to keep
// somebody from it, or from keeping it, is not sent then: a server that refuses the change would have it go to them.
func (c *Client) settleAmendment(a profile.Amendment, ch *chat, why error) error {
	st := &step{told: true}
	st.do(func(tx *profile.Tx) error { return tx.DropAmendment(a.ID) })
	if why != nil {
		kept, err := c.keepBack(st, a)
		if err != nil {
			return err
		}
		rest := ""
		if kept > 0 {
			rest = fmt.Sprintf("; what you wrote after it was not sent (%d)", kept)
		}
		st.notice(ch, c.cfg.Clock(), "not-changed", "you asked to %s, and that was not done: %v%s", asked(a), why, rest)
	}
	return c.save(st)
}

// keepBack gives up what was said after a change that protects it, and returns how many messages that were.
func (c *Client) keepBack(st *step, a profile.Amendment) (kept int, err error) {
	if a.Kind != AmendRemove && a.Kind != AmendTimer {
		return 0, nil
	}
	list, err := c.cfg.Profile.Waiting(maxOutbox)
	for _, e := range list {
		if e.Channel == a.Channel && e.Position > a.After {
			kept++
			st.do(func(tx *profile.Tx) error { return c.giveUp(tx, &e) })
		}
	}
	return kept, err
}

// giveUp has a message wait no longer, as one that failed.
func (c *Client) giveUp(tx *profile.Tx, e *profile.Entry) error {
	return errors.Join(tx.Undo(e.Position), tx.SetEntry(e.Position, Failed, e.Time, c.cfg.Clock()), tx.Dequeue(e.Position))
}

// postpone notes why a change has to wait longer. It is told once.
func (c *Client) postpone(a profile.Amendment, why string) error {
	if why == a.Problem {
		return nil
	}
	c.notice("conversation", fmt.Sprintf("a change of the conversation %s waits (%s): %s", a.Channel, asked(a), why))
	return c.cfg.Profile.Change(func(tx *profile.Tx) error { return tx.SetAmendmentProblem(a.ID, why) })
}
