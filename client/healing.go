package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
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
		err := c.careFor(ctx, s, id)
		if err != nil && c.ends(ctx, err) {
			return err
		}
		c.troubled(id, err)
	}
	return nil
}

// troubled notes whether a conversation could be looked after. What cannot be is tried again later and later, and told once.
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
	case ch == nil || c.cfg.Clock().Before(ch.after) || ch.Standing == Active && ch.settled && !c.keysDue(ch):
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

// keysDue reports whether this device is to give itself fresh keys.
func (c *Client) keysDue(ch *chat) bool { return c.cfg.Clock().Sub(ch.Updated) >= c.cfg.KeyUpdate }

// few is up to how many members commit what waits all at once.
const few = 8

// stagger puts off what any member may do, so that not all members of a large group do it at the same moment, and answers to void commits
// become rarer where they are answered in turn: by garbage, or by who judges otherwise. It reports whether it did.
func (c *Client) stagger(ch *chat) bool {
	void := ch.void()
	if !void && !ch.group.Waiting() {
		ch.turn = false
		return false
	}
	wait := time.Duration(0)
	if n := len(ch.group.Conversation().Members); n > few {
		wait = time.Duration(n) * 25 * time.Millisecond
	}
	if void && ch.answers > 0 {
		wait += min(time.Second<<min(ch.answers, 10), 10*time.Minute)
	}
	ch.turn = !ch.turn && wait > 0
	if ch.turn {
		ch.after = c.cfg.Clock().Add(rand.N(wait))
	}
	return ch.turn
}

// void reports whether the newest slot is one that does not count.
func (ch *chat) void() bool {
	head, known := ch.head()
	return known && head.Slot > ch.Slot
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

// compareHeads compares how far the hub is with what this device knows, at the start of a connection and now and then.
func (c *Client) compareHeads(ctx context.Context, s *session) error {
	reply, err := wire.Call(ctx, s, wire.ChannelsList{})
	if err != nil {
		return err
	}
	heads := map[qpq.ChannelID]wire.ChannelHead{}
	differs := false
	for _, h := range reply.Channels {
		heads[h.Channel] = h
		differs = differs || c.lags(h)
	}
	var unlisted []qpq.ChannelID
	for _, id := range c.channelIDs() {
		if _, listed := heads[id]; !listed && c.chats[id].Standing != Ended {
			unlisted = append(unlisted, id)
		}
	}
	if differs || len(unlisted) > 0 { // perhaps because of what came since the inbox was read
		if err := c.receive(ctx, s); err != nil {
			return err
		}
	}
	if err := c.unlisted(ctx, s, unlisted); err != nil {
		return err
	}
	st := &step{}
	for _, h := range reply.Channels {
		if err := c.compareHead(ctx, s, st, h); err != nil {
			return err
		}
	}
	return c.save(st)
}

// lags reports whether the hub has more of a channel than this device has seen.
func (c *Client) lags(h wire.ChannelHead) bool {
	ch := c.chats[h.Channel]
	if ch == nil || ch.Standing == Ended {
		return true
	}
	head, known := ch.head()
	return known && (h.Slot > head.Slot || h.Slot == head.Slot && h.Commit != head.Commit) && ch.Standing == Active
}

// compareHead acts on how far the hub is with a channel.
func (c *Client) compareHead(ctx context.Context, s *session, st *step, h wire.ChannelHead) error {
	ch := c.chats[h.Channel]
	if out, err := c.outOf(ch, h); err != nil || out {
		return err
	}
	if ch == nil || ch.Standing == Ended {
		ch = c.chatFor(ch, h.Channel)
		ch.Standing, ch.Sequence = Joining, h.Sequence
		st.touch(ch)
		return nil
	}
	head, known := ch.head()
	switch {
	case known && h.Slot < head.Slot:
		err := c.offer(ctx, s, ch, h.Slot, true)
		if err != nil && !c.ends(ctx, err) { // others went on from where the hub was set back to
			ch.Standing = Healing
			st.touch(ch)
			st.notice(ch, c.cfg.Clock(), "server-restored", "the server lost changes of this conversation that this device knows, and others went on without them: this device joins them")
			return nil
		}
		return err
	case c.lags(h): // the inbox did not have what lies between
		ch.Standing = Healing
		st.touch(ch)
	}
	return nil
}

// outOf reports whether this account was removed from a conversation by a change that a hub, which was restored from a copy, lost: the
// hub takes it for a member again, and the members do not.
func (c *Client) outOf(ch *chat, h wire.ChannelHead) (bool, error) {
	if ch == nil || ch.Standing != Ended {
		return false, nil
	}
	head, known := ch.head()
	if !known || h.Slot > head.Slot {
		return false, nil
	}
	own, err := c.cfg.Profile.Account()
	if err != nil {
		return false, err
	}
	removed, err := c.cfg.Profile.Removals(ch.ID)
	return slices.Contains(removed, own.User), err
}

// astray is asked where a hub refuses what builds on a head, the newest one known here, and receive brought nothing newer: after
// a restore others may have gone another way. This device joins them, or gives the hub back what it lost.
func (c *Client) astray(ctx context.Context, s *session, id qpq.ChannelID, before []byte) error {
	if err := c.load(); err != nil {
		return err
	}
	ch := c.chats[id]
	if ch == nil || ch.Standing != Active || !bytes.Equal(ch.Head, before) {
		return nil
	}
	info, err := wire.Call(ctx, s, wire.ChannelInfo{Channel: id})
	if err != nil {
		return err
	}
	head, known := ch.head()
	switch {
	case known && info.Head.Slot < head.Slot:
		return c.compareHeads(ctx, s)
	case known && info.Head.Slot == head.Slot && info.Head.Commit == head.Commit && ch.Slot == head.Slot:
		return nil
	}
	st := &step{}
	ch.Standing = Healing
	st.touch(ch)
	if err := c.save(st); err != nil {
		return err
	}
	return c.careFor(ctx, s, id)
}

// unlisted ends conversations that the hub does not list for this account. It may have been restored, perhaps before this device was last
// started: it is offered them first.
func (c *Client) unlisted(ctx context.Context, s *session, ids []qpq.ChannelID) error {
	st := &step{}
	for _, id := range ids {
		ch := c.chats[id]
		if ch == nil || ch.Standing == Ended {
			continue
		}
		if ch.Standing == Active {
			if err := c.offer(ctx, s, ch, 0, false); err == nil {
				continue
			} else if c.ends(ctx, err) {
				return err
			}
		}
		c.end(st, ch)
		st.notice(ch, c.cfg.Clock(), "removed", "the server does not know this account as a member any more")
	}
	return c.save(st)
}

// offer gives a hub back the commits that it lost: those after a slot, or, where it lost the conversation, all of them.
func (c *Client) offer(ctx context.Context, s *session, ch *chat, after uint64, there bool) error {
	st := &step{}
	if err := c.open(st, ch); err != nil {
		return err
	}
	if err := c.save(st); err != nil || ch.group == nil {
		return err
	}
	kept, err := c.cfg.Profile.Commits(ch.ID, after)
	if err != nil {
		return err
	}
	q := wire.ChannelOffer{Channel: ch.ID}
	if !there {
		if q.Founding, q.Creation, err = c.creation(ch.ID); err != nil {
			return err
		}
	}
	for _, k := range kept {
		receipt, err := wire.Unmarshal[wire.SlotReceipt](k.Receipt)
		if err != nil {
			return err
		}
		q.Commits = append(q.Commits, wire.OfferedCommit{Commit: k.Commit, Receipt: receipt, From: wire.MemberDevice{User: k.User, Device: k.Device}})
	}
	state, err := ch.group.State()
	if err != nil {
		return err
	}
	q.Group = *state
	reply, err := wire.Call(ctx, s, q)
	if head, known := ch.head(); err == nil && there && known && reply.Slot < head.Slot {
		return errIncomplete
	}
	return err
}

var errIncomplete = qpq.E(qpq.Conflict, "incomplete", "this device does not have all that the server lost of the conversation")

// creation returns what proves to a hub that it made a channel. It fails with qpq.NotFound where this device does not have it.
func (c *Client) creation(id qpq.ChannelID) ([]byte, *wire.SlotReceipt, error) {
	k, err := c.cfg.Profile.Creation(id)
	if err != nil {
		return nil, nil, err
	}
	if k == nil {
		return nil, nil, qpq.E(qpq.NotFound, wire.CodeChannelUnknown, "this device cannot prove to the server that there was the conversation")
	}
	r, err := wire.Unmarshal[wire.SlotReceipt](k.Receipt)
	return k.Commit, &r, err
}

// missing asks the hub who is a member, after it dropped rows.
func (c *Client) missing(ctx context.Context, s *session, ch *chat) error {
	info, err := wire.Call(ctx, s, wire.ChannelInfo{Channel: ch.ID})
	if err != nil {
		return err
	}
	st := &step{}
	c.compareMembers(st, ch, ch.group, info.Members)
	ch.gap = false
	return c.save(st)
}

// compareMembers notes who is in a group and, as the hub says, left.
func (c *Client) compareMembers(st *step, ch *chat, g *conversation.Group, listed []wire.Member) {
	for _, m := range g.Conversation().Members {
		left := !slices.ContainsFunc(listed, func(o wire.Member) bool { return o.User == m.User })
		c.depart(st, ch, m.User, left)
	}
}

// knowCreation asks the hub for its receipt of slot 0, once.
func (c *Client) knowCreation(ctx context.Context, s *session, ch *chat) error {
	if ch.proved {
		return nil
	}
	k, err := c.cfg.Profile.Creation(ch.ID)
	if err != nil {
		return err
	}
	ch.proved = true
	if k != nil {
		return nil
	}
	info, err := wire.Call(ctx, s, wire.ChannelInfo{Channel: ch.ID})
	if err != nil || info.Creation == nil {
		return err
	}
	if info.Creation.Slot != 0 || info.Creation.Commit != sha256.Sum256(ch.Founding) || !wire.VerifySlot(ch.founding.HubKey, ch.ID, *info.Creation) {
		return nil // it proves nothing
	}
	st := &step{}
	st.creation(ch, *info.Creation)
	return c.save(st)
}

// rejoin joins a conversation by this device itself: it is new, or lost its state, or cannot follow.
func (c *Client) rejoin(ctx context.Context, s *session, ch *chat) error {
	for range tries {
		info, err := wire.Call(ctx, s, wire.ChannelInfo{Channel: ch.ID})
		if errors.Is(err, qpq.NotFound) {
			st := &step{}
			c.end(st, ch)
			return c.save(st)
		}
		if err != nil {
			return err
		}
		again, err := c.rejoinAfter(ctx, s, ch, info)
		if err != nil || !again {
			return err
		}
		if err := c.receive(ctx, s); err != nil { // the other commit may have added this device
			return err
		}
		if ch = c.chats[ch.ID]; ch == nil || ch.Standing != Joining && ch.Standing != Healing {
			return nil
		}
	}
	return qpq.E(qpq.Conflict, "busy", "others change this conversation all the time: this device joins it a little later")
}

// rejoinAfter tries it after the newest slot. It reports true where another commit came first.
func (c *Client) rejoinAfter(ctx context.Context, s *session, ch *chat, info wire.ChannelInfoReply) (bool, error) {
	state, hub, err := c.groupState(ctx, s, ch, math.MaxUint64)
	if err != nil {
		return false, c.doubt(ctx, ch, err)
	}
	if err := c.checkHead(ch, info); err != nil {
		return false, err
	}
	self, err := c.self()
	if err != nil {
		return false, err
	}
	known := conversation.Known{Founding: info.Founding, Hub: *hub}
	if len(ch.Conversation) > 0 {
		agreed, err := wire.Unmarshal[wire.Conversation](ch.Conversation)
		if err != nil {
			return false, err
		}
		known.Founding, known.Members = agreed.Founding, agreed.Members
	}
	var g *conversation.Group
	var p *mls.PendingCommit
	var request *wire.ChannelCommit
	err = c.learning(ctx, s, func() (err error) {
		g, p, request, err = conversation.Rejoin(c.conversations(), self, ch.ID, state, info.Head.Slot+1, known)
		return err
	})
	st := &step{}
	switch {
	case errors.Is(err, conversation.ErrUnvouched):
		return false, c.bar(st, ch, g, fmt.Sprintf("the group that the server shows may be another than it should be (%v): nothing is sent before you confirm the members", err))
	case err != nil:
		return false, c.doubt(ctx, ch, err)
	}
	before := ch.Standing
	if err := c.suspect(st, ch, g); err != nil {
		return false, err
	}
	if ch.Standing == Suspect {
		return false, c.bar(st, ch, g, "")
	}
	ch.Standing = before
	return c.submitJoin(ctx, s, ch, &join{g, p, request, info.Head, hub.Members})
}

// bar notes that a person has to decide whether the members of a group are who they should be, before this device joins it.
func (c *Client) bar(st *step, ch *chat, g *conversation.Group, why string) error {
	agreed, err := wire.Marshal(g.Conversation())
	g.Wipe()
	if err != nil {
		return err
	}
	ch.Standing, ch.Conversation = profile.Barred, agreed
	st.touch(ch)
	if why != "" {
		st.notice(ch, c.cfg.Clock(), "suspect", "%s", why)
	}
	return c.save(st)
}

// checkHead fails unless what a hub says of its newest slot is signed, and not older than what it said before. A hub that was restored from a
// copy may be behind: who knows more offered it what it lost.
func (c *Client) checkHead(ch *chat, info wire.ChannelInfoReply) error {
	f, err := wire.Unmarshal[wire.Founding](info.Founding)
	if err != nil {
		return err
	}
	hub := f.HubKey
	if len(ch.Founding) > 0 {
		hub = ch.founding.HubKey
	}
	if !wire.VerifySlot(hub, ch.ID, info.Head) {
		return qpq.E(qpq.Damaged, "bad-receipt", "the server shows a conversation whose newest change it did not sign")
	}
	return nil
}

// join is a commit by which this device joins.
type join struct {
	group   *conversation.Group
	commit  *mls.PendingCommit
	request *wire.ChannelCommit
	head    wire.SlotReceipt // that it follows
	listed  []wire.Member    // as the hub says
}

// submitJoin has the hub give a commit that joins its slot. It reports true where another commit came first. Where the answer is lost, the
// commit is kept.
func (c *Client) submitJoin(ctx context.Context, s *session, ch *chat, j *join) (again bool, err error) {
	reply, err := wire.Call(ctx, s, *j.request)
	if lost(err) {
		c.joins[ch.ID] = j
		return false, err
	}
	delete(c.joins, ch.ID)
	if err == nil {
		return false, c.rejoined(ch, j, reply)
	}
	j.group.Wipe()
	if errors.Is(err, qpq.StaleEpoch) {
		return true, nil
	}
	return false, err
}

// finishJoins finds out what became of commits whose answers were lost, before anything that came after them is received.
func (c *Client) finishJoins(ctx context.Context, s *session) error {
	for _, id := range c.channelIDs() {
		j, ch := c.joins[id], c.chats[id]
		if j == nil {
			continue
		}
		if ch.Standing != Joining && ch.Standing != Healing {
			j.group.Wipe()
			delete(c.joins, id)
			continue
		}
		if _, err := c.submitJoin(ctx, s, ch, j); lost(err) {
			return err
		}
	}
	return nil
}

// rejoined notes that this device is in the group.
func (c *Client) rejoined(ch *chat, j *join, reply wire.ChannelCommitReply) error {
	g, p := j.group, j.commit
	if err := checkReceipt(g.Founding(), p.Message, reply.Receipt); err != nil {
		return err
	}
	if j.head.Slot+1 == reply.Receipt.Slot && reply.Receipt.Previous != wire.SlotHash(ch.ID, j.head) {
		return errBadReceipt
	}
	if _, err := g.Apply(p); err != nil {
		return err
	}
	if ch.group != nil {
		ch.group.Wipe()
	}
	st := &step{}
	c.compareMembers(st, ch, g, j.listed)
	if ch.Standing == Healing {
		st.notice(ch, reply.Receipt.Time, "healed", "this device joined the conversation anew: what was said while it could not follow cannot be read on it")
	} else {
		st.notice(ch, reply.Receipt.Time, "joined", "this device joined the conversation: what was said before cannot be read on it")
	}
	own, err := c.cfg.Profile.Account()
	if err != nil {
		return err
	}
	st.confirm(ch.ID, own.User)
	ch.group, ch.Standing, ch.Sequence, ch.answers = g, Active, reply.Sequence, 0
	ch.Head, ch.Updated, ch.Joined = encodeReceipt(reply.Receipt), c.cfg.Clock(), reply.Receipt.Slot
	id := ch.ID
	st.do(func(tx *profile.Tx) error { return tx.ClearGroup(id) })
	if err := st.group(ch, g.Records()); err != nil {
		return err
	}
	kept := profile.Commit{Slot: reply.Receipt.Slot, Commit: p.Message, Receipt: ch.Head, User: own.User, Device: own.Device.ID()}
	st.do(func(tx *profile.Tx) error { return tx.AddCommit(id, kept) })
	return c.save(st)
}

// doubt decides what it means that a group state cannot be joined: where this device still has the state of an earlier slot, what
// came after counts as void, and it goes on from there.
func (c *Client) doubt(ctx context.Context, ch *chat, why error) error {
	if c.ends(ctx, why) || ch.Standing != Healing {
		return why
	}
	if usable, err := c.restore(ch); err != nil || !usable {
		return errors.Join(why, err)
	}
	st := &step{}
	ch.Standing = Active
	st.touch(ch)
	st.notice(ch, c.cfg.Clock(), "void", "a change of the conversation could not be read, and the server has nothing to join it by: it does not count")
	return c.save(st)
}

// groupState reads what the hub keeps for devices that join by themselves, and opens it.
func (c *Client) groupState(ctx context.Context, s *session, ch *chat, slot uint64) (*conversation.State, *wire.ChannelGroupReply, error) {
	reply, err := wire.Call(ctx, s, wire.ChannelGroup{Channel: ch.ID, Slot: slot})
	if err != nil {
		return nil, nil, err
	}
	access := conversation.Access{Slot: ch.AccessSlot, Key: ch.Access}
	if len(access.Key) == 0 || access.Slot != reply.AccessSlot {
		key, _, err := c.vaultKey(ctx)
		if err != nil {
			return nil, nil, err
		}
		defer key.Wipe()
		own, err := c.cfg.Profile.Account()
		if err != nil {
			return nil, nil, err
		}
		if access, err = conversation.OpenAccess(key, own.User, ch.ID, reply.AccessKey); err != nil {
			return nil, nil, err
		}
	}
	var chunks [][]byte
	for len(chunks) < len(reply.Manifest) {
		more, err := wire.Call(ctx, s, wire.ChannelChunks{Channel: ch.ID, Hashes: reply.Manifest[len(chunks):]})
		if err != nil {
			return nil, nil, err
		}
		if len(more.Chunks) == 0 || len(more.Chunks) > len(reply.Manifest)-len(chunks) {
			return nil, nil, qpq.E(qpq.Damaged, "bad-group-state", "the server does not show all of the group that it keeps")
		}
		chunks = append(chunks, more.Chunks...)
	}
	state, err := conversation.OpenState(access, ch.ID, &reply, chunks)
	return state, &reply, err
}

// keyUpdate is how often a device gives itself fresh keys.
const keyUpdate = 7 * 24 * time.Hour
