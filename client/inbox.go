package client

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/conversation"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/mls"
	"github.com/quicproquo/qpq/wire"
)

// receive takes all that the inbox holds. What came of it is durable before it is acknowledged. The caller holds chatting.
func (c *Client) receive(ctx context.Context, s *session) error {
	if err := c.load(); err != nil {
		return err
	}
	if err := c.finishJoins(ctx, s); err != nil {
		return err
	}
	at, err := c.cfg.Profile.Inbox()
	if err != nil {
		return err
	}
	recounted := false
	for {
		reply, err := wire.Call(ctx, s, wire.InboxFetch{After: at.Processed, Acknowledged: at.Acknowledged})
		if err != nil {
			return err
		}
		if !recounted && (reply.Acknowledged < at.Acknowledged || reply.Head < at.Processed) {
			if at, err = c.recount(min(reply.Acknowledged, reply.Head)); err != nil {
				return err
			}
			recounted = true // once: a server could go back for ever
			continue         // this reply begins after rows that are not those of before
		}
		if at != (profile.Inbox{}) && reply.Acknowledged > at.Processed {
			if at, err = c.outdated(ctx, s, reply.Acknowledged); err != nil {
				return err
			}
			continue
		}
		if reply.Lapsed && !s.lapsed {
			s.lapsed = true
			c.notice("lapsed", "this device was away for so long that messages were dropped before it could read them")
		}
		before := at.Processed
		err = c.takeRows(ctx, s, reply.Rows, &at)
		if errors.Is(err, errOutdated) {
			if at, err = c.outdated(ctx, s, reply.Acknowledged); err == nil {
				continue
			}
		}
		if err != nil {
			return err
		}
		if reply.Lapsed && len(reply.Rows) == 0 {
			at.Processed = max(at.Processed, reply.Head) // there is nothing more to wait for
			if err := c.cfg.Profile.Change(func(tx *profile.Tx) error { return tx.SetInbox(at) }); err != nil {
				return err
			}
		}
		if at.Processed > at.Acknowledged {
			if _, err := wire.Call(ctx, s, wire.InboxAck{Sequence: at.Processed}); err != nil {
				return err
			}
			at.Acknowledged = at.Processed
			if err := c.cfg.Profile.Change(func(tx *profile.Tx) error { return tx.SetInbox(at) }); err != nil {
				return err
			}
		}
		if at.Processed == before || at.Processed >= reply.Head { // a server may repeat rows for ever; what came since is told by push
			return nil
		}
	}
}

// outdated notes that this profile is an older copy of itself: a newer one read on. Copies that were made and restored between two sessions
// the session counter tells; this tells of those within one.
func (c *Client) outdated(ctx context.Context, s *session, acknowledged uint64) (profile.Inbox, error) {
	c.notice("old-copy", textOldCopy)
	at := profile.Inbox{Processed: acknowledged, Acknowledged: acknowledged}
	if err := c.cfg.Profile.Rewind(s.reply.Counter); err != nil {
		return at, err
	}
	if err := c.cfg.Profile.Change(func(tx *profile.Tx) error { return tx.SetInbox(at) }); err != nil {
		return at, err
	}
	c.unload()
	if err := c.load(); err != nil {
		return at, err
	}
	return at, c.replenish(ctx, s, true)
}

// recount goes back to where a restored server is. What it counts from there on is new.
func (c *Client) recount(acknowledged uint64) (profile.Inbox, error) {
	c.notice("server-restored", "the server was restored from a copy that is older than what this device has seen: messages of the time between may be lost, and it is told what is known here")
	at := profile.Inbox{Processed: acknowledged, Acknowledged: acknowledged}
	st := &step{}
	for _, ch := range c.chats {
		ch.Sequence = 0
		st.touch(ch)
	}
	st.do(func(tx *profile.Tx) error { return tx.SetInbox(at) })
	return at, c.save(st)
}

// takeRows takes rows of the inbox. They become durable together, or, where one needs the network, in parts.
func (c *Client) takeRows(ctx context.Context, s *session, rows []wire.InboxRow, at *profile.Inbox) error {
	st := &step{}
	for _, r := range rows {
		if r.Sequence <= at.Processed {
			continue
		}
		if err := c.takeRow(ctx, s, st, r); err != nil {
			c.unload() // what is in memory is not stored
			return err
		}
		at.Processed = r.Sequence
	}
	if len(rows) == 0 {
		return nil
	}
	for _, ch := range c.chats {
		c.tellLost(st, ch)
	}
	now := *at
	st.do(func(tx *profile.Tx) error { return tx.SetInbox(now) })
	return c.save(st)
}

func (c *Client) takeRow(ctx context.Context, s *session, st *step, r wire.InboxRow) error {
	ch := c.chats[r.Channel]
	switch r.Kind {
	case wire.InboxKindWelcome:
		return c.takeWelcome(ctx, s, st, ch, r)
	case wire.InboxKindMessage:
		return c.takeMessage(st, ch, r)
	case wire.InboxKindCommit:
		return c.takeCommit(ctx, s, st, ch, r)
	case wire.InboxKindGap:
		if ch != nil {
			ch.Sequence, ch.gap, ch.settled = max(ch.Sequence, r.ChannelSequence), true, false
			st.touch(ch)
			st.notice(ch, r.Time, "gap", "messages were dropped by the server because too many waited for this account")
		}
	case wire.InboxKindLeft:
		return c.takeFarewell(st, ch, r)
	case wire.InboxKindRemoved:
		if ch != nil && ch.Standing != Ended {
			c.end(st, ch)
			st.notice(ch, r.Time, "removed", "the server says that this account is no longer a member")
		}
	}
	return nil
}

// follow notes a row's number in the channel, and tells of numbers that are missing. It reports false for a row from before this device
// was there, or one that it took before.
func (c *Client) follow(st *step, ch *chat, r wire.InboxRow) bool {
	if r.ChannelSequence <= ch.Sequence {
		return false
	}
	if ch.Sequence > 0 && r.ChannelSequence > ch.Sequence+1 && ch.Standing == Active {
		st.notice(ch, r.Time, "gap", "%d messages did not reach this account: the server dropped them", r.ChannelSequence-ch.Sequence-1)
	}
	ch.Sequence = r.ChannelSequence
	st.touch(ch)
	return true
}

func (c *Client) takeMessage(st *step, ch *chat, r wire.InboxRow) error {
	if ch == nil || ch.Standing == Joining || ch.Standing == Ended {
		return nil // from before this device was there, or after
	}
	if !c.follow(st, ch, r) {
		return nil
	}
	if err := c.open(st, ch); err != nil {
		return err
	}
	if len(r.Payload) == 0 || ch.group == nil {
		return c.cannotRead(ch, r)
	}
	text, records, err := ch.group.Receive(r.Payload)
	switch {
	case errors.Is(err, conversation.ErrKnown):
		_, err := c.wrote(ch, r)
		return err
	case errors.Is(err, conversation.ErrUnreadable):
		return c.cannotRead(ch, r)
	case err != nil:
		return err
	}
	st.records(ch.ID, records)
	if text == nil {
		return nil // a proposal
	}
	c.keepProbe(ch.ID, r.Payload)
	return c.show(st, ch, r, text)
}

// takeFarewell notes that an account left. Members commit it: with its own proposal, or by their role.
func (c *Client) takeFarewell(st *step, ch *chat, r wire.InboxRow) error {
	if ch == nil || ch.Standing == Joining || ch.Standing == Ended || r.From == nil {
		return nil
	}
	if err := c.open(st, ch); err != nil {
		return err
	}
	c.depart(st, ch, r.From.User, true)
	if ch.founding.Direct {
		st.notice(ch, r.Time, "left", "%s deleted the account: nobody reads what is sent here any more", r.From.User)
	}
	if ch.group == nil || len(r.Payload) == 0 {
		return nil
	}
	records, err := ch.group.Farewell(r.From.User, r.Payload)
	if errors.Is(err, conversation.ErrKnown) || errors.Is(err, conversation.ErrUnreadable) {
		return nil
	}
	st.records(ch.ID, records)
	return err
}

// depart notes that an account ended its membership, or that its group knows.
func (c *Client) depart(st *step, ch *chat, u qpq.UserID, departed bool) {
	i := slices.Index(ch.departed, u)
	switch {
	case departed == (i >= 0):
		return
	case departed:
		ch.departed, ch.asked, ch.settled = append(ch.departed, u), nil, false
	default:
		ch.departed = slices.Delete(ch.departed, i, i+1)
	}
	id := ch.ID
	st.do(func(tx *profile.Tx) error { return tx.SetDeparted(id, u, departed) })
}

// cannotRead counts a message that cannot be read, unless this device wrote it.
func (c *Client) cannotRead(ch *chat, r wire.InboxRow) error {
	own, err := c.wrote(ch, r)
	if err == nil && !own {
		ch.lost++
	}
	return err
}

// errOutdated says that this device sent something of which this profile knows nothing.
var errOutdated = errors.New("this profile is an older copy of itself")

// wrote reports whether a message is of this device. It fails with errOutdated where its program knows nothing of that: what its newer
// state used must not be used again.
func (c *Client) wrote(ch *chat, r wire.InboxRow) (bool, error) {
	own, err := c.cfg.Profile.Account()
	if err != nil || r.From == nil || r.From.Device != own.Device.ID() {
		return false, err
	}
	e, err := c.cfg.Profile.Message(ch.ID, own.User, r.ID)
	if err == nil && e == nil && ch.group != nil {
		err = errOutdated
	}
	return e != nil, err
}

// show adds a message to the history.
func (c *Client) show(st *step, ch *chat, r wire.InboxRow, text *conversation.Text) error {
	m, err := wire.Unmarshal[wire.Message](text.Content)
	if err != nil {
		st.notice(ch, r.Time, "malformed", "%s sent something that cannot be read: its program is faulty", text.From.User)
		return nil
	}
	if state, err := c.known(text.From.User); err != nil {
		return err
	} else if state != nil && state.Revoked(text.From.Device) {
		st.notice(ch, r.Time, "revoked-device", "a message of a device that %s revoked was left out", text.From.User)
		return nil
	}
	st.entry(profile.Entry{Channel: ch.ID, Time: r.Time, State: Received, Sender: text.From.User, Device: text.From.Device, ID: m.ID, Content: text.Content})
	return nil
}

// tellLost tells of messages that could not be read, in one line.
func (c *Client) tellLost(st *step, ch *chat) {
	if ch.lost == 0 {
		return
	}
	what := "1 message"
	if ch.lost > 1 {
		what = fmt.Sprintf("%d messages", ch.lost)
	}
	st.notice(ch, c.cfg.Clock(), "unreadable", "%s cannot be read on this device: it was away for too long, or lost its keys", what)
	ch.lost = 0
}

func (c *Client) takeWelcome(ctx context.Context, s *session, st *step, ch *chat, r wire.InboxRow) error {
	own, err := c.cfg.Profile.Account()
	if err != nil || r.Device != own.Device.ID() || r.Receipt == nil {
		return err
	}
	if ch != nil && ch.Standing == Active && ch.Slot >= r.Receipt.Slot {
		return nil // joined by itself meanwhile
	}
	if ch != nil && r.Receipt.Slot <= ch.Welcomed { // used before, perhaps with a key package of last resort: its keys must not be used again
		return c.joinLater(st, ch, r.Channel)
	}
	kept, err := c.cfg.Profile.KeyPackages()
	if err != nil {
		return err
	}
	var bundles []*mls.KeyPackageBundle
	for _, k := range kept {
		b, err := mls.UnmarshalKeyPackageBundle(c.conversations().MLS(), k.Bundle)
		clear(k.Bundle)
		if err != nil {
			return qpq.Wrap(qpq.Damaged, "profile-damaged", "a key package of this profile is damaged", err)
		}
		defer b.Wipe()
		bundles = append(bundles, b)
	}
	var g *conversation.Group
	var used *mls.KeyPackageBundle
	err = c.learning(ctx, s, func() (err error) {
		g, used, err = conversation.Join(c.conversations(), r.Receipt.Slot, r.Payload, bundles)
		return err
	})
	if err == nil && g.Founding().Channel != r.Channel {
		err = errors.New("it is for another conversation")
	}
	if err == nil && !wire.VerifySlot(g.Founding().HubKey, r.Channel, *r.Receipt) {
		err = errors.New("its receipt is not of the hub")
	}
	if err != nil {
		if lost(err) || errors.Is(err, qpq.Unavailable) {
			return err
		}
		return c.joinLater(st, ch, r.Channel) // the key package is gone, or the welcome is bad: the device can join by itself
	}
	ch = c.chatFor(ch, r.Channel)
	if err := c.suspect(st, ch, g); err != nil {
		return err
	}
	ch.group, ch.Sequence, ch.Head, ch.Updated, ch.Welcomed = g, r.ChannelSequence, encodeReceipt(*r.Receipt), c.cfg.Clock(), r.Receipt.Slot
	ch.Joined = r.Receipt.Slot
	st.do(func(tx *profile.Tx) error { return tx.ClearGroup(r.Channel) })
	if err := st.group(ch, g.Records()); err != nil {
		return err
	}
	st.do(func(tx *profile.Tx) error { return tx.UseKeyPackage(used.Ref()) })
	by := "you"
	if r.From != nil && r.From.User != own.User {
		by = r.From.User.String()
	}
	st.notice(ch, r.Time, "joined", "%s added this device to the conversation", by)
	return c.save(st) // at once: the key package is used up
}

// chatFor returns a chat for a channel, a new one where there is none.
func (c *Client) chatFor(ch *chat, id qpq.ChannelID) *chat {
	if ch == nil {
		ch = &chat{Channel: profile.Channel{ID: id, Standing: Joining, Updated: c.cfg.Clock()}}
		c.chats[id] = ch
	}
	return ch
}

// joinLater notes that this device has to join a conversation by itself, unless it is in it.
func (c *Client) joinLater(st *step, ch *chat, id qpq.ChannelID) error {
	if ch == nil || ch.Standing == Ended {
		ch = c.chatFor(ch, id)
		ch.Standing = Joining
		st.touch(ch)
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

// suspect notes whether a group has members that are known as removed. Where a group is joined, nothing tells who added them.
func (c *Client) suspect(st *step, ch *chat, g *conversation.Group) error {
	ch.Standing = Active
	removed, err := c.cfg.Profile.Removals(ch.ID)
	if err != nil {
		return err
	}
	own, err := c.cfg.Profile.Account()
	if err != nil {
		return err
	}
	st.confirm(ch.ID, own.User)
	removed = slices.DeleteFunc(removed, func(u qpq.UserID) bool {
		_, member := g.Role(u)
		return !member || u == own.User
	})
	if len(removed) > 0 && !g.Founding().Direct {
		ch.Standing = Suspect
		st.touch(ch)
		st.notice(ch, c.cfg.Clock(), "suspect", "%s had been removed from this conversation and is a member again: nothing is sent before you confirm the members", names(removed))
	}
	return nil
}

func encodeReceipt(r wire.SlotReceipt) []byte {
	b, err := wire.Marshal(r)
	if err != nil {
		panic("client: encode a receipt: " + err.Error()) // it has no bounds to break
	}
	return b
}

// head returns the newest receipt seen; ok is false where there is none.
func (ch *chat) head() (r wire.SlotReceipt, ok bool) {
	if len(ch.Head) == 0 {
		return r, false
	}
	r, err := wire.Unmarshal[wire.SlotReceipt](ch.Head)
	return r, err == nil
}

func (c *Client) takeCommit(ctx context.Context, s *session, st *step, ch *chat, r wire.InboxRow) error {
	if ch == nil || ch.Standing == Joining || ch.Standing == Ended || r.Receipt == nil {
		return nil
	}
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
		st.notice(ch, r.Time, "void", "a change of the conversation that could not be read does not count: the others went on without it")
	case errors.Is(err, conversation.ErrVoid):
		st.notice(ch, r.Time, "void", "a change of the conversation by %s breaks its rules, and does not count", from(r))
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

// ordered reports whether a commit is the next one by the hub's receipts, and notes it. Two receipts for one slot prove that the hub shows
// different orders to different members.
func (c *Client) ordered(st *step, ch *chat, r wire.InboxRow) bool {
	if r.Receipt.Commit != sha256.Sum256(r.Payload) || !wire.VerifySlot(ch.founding.HubKey, ch.ID, *r.Receipt) {
		st.notice(ch, r.Time, "bad-receipt", "the server handed on a change of the conversation without a valid receipt: it was left out")
		return false
	}
	head, known := ch.head()
	if known && r.Receipt.Slot <= head.Slot {
		if r.Receipt.Slot == head.Slot && r.Receipt.Commit != head.Commit {
			st.notice(ch, r.Time, "fork", "the server signed two different changes as number %d of this conversation: it was restored from a copy, or shows members different things; compare the members with the others by another way", head.Slot)
			c.elsewhere(st, ch)
		}
		return false
	}
	if known && r.Receipt.Slot == head.Slot+1 && r.Receipt.Previous != wire.SlotHash(ch.ID, head) {
		st.notice(ch, r.Time, "fork", "the server signed a change of this conversation that does not follow what it showed before: it was restored from a copy, or shows members different things")
		c.elsewhere(st, ch)
	}
	if known && r.Receipt.Slot > head.Slot+1 && r.Receipt.Parent > ch.Slot && ch.Standing == Active {
		ch.Standing = Healing // what lies between was missed
	}
	ch.Head, ch.settled = encodeReceipt(*r.Receipt), false
	st.touch(ch)
	return true
}

// patience is how many commits that do not count this device answers before it gives in.
const patience = 3

// elsewhere notes that the hub went another way than this device knows: it joins anew, as far as it may.
func (c *Client) elsewhere(st *step, ch *chat) {
	if ch.Standing == Active {
		ch.Standing = Healing
		st.touch(ch)
	}
}

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
	st.notice(ch, r.Time, "void", "a change of the conversation by %s goes back behind others, and does not count", from(r))
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
	}
	if err := st.group(ch, done.Records); err != nil {
		return err
	}
	if r.Receipt != nil {
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
		m := m
		if slices.ContainsFunc(done.Before.Members, func(o wire.MemberRole) bool { return o.User == m.User }) {
			st.notice(ch, r.Time, "role", "%s made %s %s", done.Committer.User, m.User, article(m.Role))
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
}

func article(r wire.Role) string {
	if strings.ContainsRune("aeiou", rune(r.String()[0])) {
		return "an " + r.String()
	}
	return "a " + r.String()
}
