package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/conversation"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/mls"
	"github.com/quicproquo/qpq/wire"
)

// chat is a conversation in use: where this device stands in it, and its group once that was needed. Whoever holds Client.chatting
// uses it.
type chat struct {
	profile.Channel
	founding wire.Founding // zero where the device never was in the group
	group    *conversation.Group
	departed []qpq.UserID // who ended their membership, and are in the group still
	gap      bool         // what was dropped may have told that somebody left
	settled  bool         // there was nothing to do when it was looked after last
	proved   bool         // the receipt of slot 0 was asked for
	filled   *session     // on which it was tried to bring in who is missing
	asked    *session     // on which it was asked whether those who departed are gone
	failed   int          // how often in a row it could not be looked after
	after    time.Time    // not looked after before
	turn     bool         // it was put off, for its turn to come
	answers  int          // how often in a row a void commit was answered
	lost     int          // messages that could not be read since that was told
}

// news wakes those that wait for entries.
type news struct {
	mu sync.Mutex
	ch chan struct{}
}

// next returns what is closed when something new is there.
func (n *news) next() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ch == nil {
		n.ch = make(chan struct{})
	}
	return n.ch
}

func (n *news) tell() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ch != nil {
		close(n.ch)
		n.ch = nil
	}
}

// step is one change of what this device knows of conversations. It becomes durable as a whole, or not at all.
type step struct {
	changes []func(*profile.Tx) error
	chats   map[*chat]bool
	told    bool // there are entries
}

func (st *step) do(f func(*profile.Tx) error) { st.changes = append(st.changes, f) }

// touch has a chat stored.
func (st *step) touch(ch *chat) {
	if st.chats == nil {
		st.chats = map[*chat]bool{}
	}
	st.chats[ch] = true
}

// group notes what changed in a chat's group.
func (st *step) group(ch *chat, records []mls.Record) error {
	g := ch.group
	agreed, err := wire.Marshal(g.Conversation())
	if err != nil {
		return err
	}
	ch.founding, ch.Founding, ch.Conversation = g.Founding(), g.Conversation().Founding, agreed
	ch.settled = false
	ch.Slot, ch.Epoch, ch.AccessSlot, ch.Access = g.Slot(), g.Epoch(), g.Access().Slot, g.Access().Key
	st.touch(ch)
	st.records(ch.ID, records)
	return nil
}

// creation keeps the receipt of slot 0: a hub that loses the channel makes it anew by it.
func (st *step) creation(ch *chat, r wire.SlotReceipt) {
	id, kept := ch.ID, profile.Commit{Slot: 0, Commit: ch.Founding, Receipt: encodeReceipt(r), User: ch.founding.Creator.User, Device: ch.founding.Creator.Device}
	st.do(func(tx *profile.Tx) error { return tx.AddCommit(id, kept) })
}

func (st *step) records(id qpq.ChannelID, records []mls.Record) {
	list := make([]profile.Record, len(records))
	for i, r := range records {
		list[i] = profile.Record(r)
	}
	st.do(func(tx *profile.Tx) error { return tx.PutGroup(id, list) })
}

// entry adds a line to a history.
func (st *step) entry(e profile.Entry) {
	st.told = true
	st.do(func(tx *profile.Tx) error {
		_, err := tx.AddEntry(e)
		return err
	})
}

// notice tells of something that happened in a conversation.
func (st *step) notice(ch *chat, at time.Time, code, format string, args ...any) {
	st.entry(profile.Entry{Channel: ch.ID, Time: at, State: profile.Noticed, Code: code, Content: []byte(qpq.Printable(fmt.Sprintf(format, args...)))})
}

// confirm notes that a person accepts an account as a member.
func (st *step) confirm(id qpq.ChannelID, u qpq.UserID) {
	st.do(func(tx *profile.Tx) error { return tx.SetRemoved(id, u, false) })
}

// out notes that an account was removed, or left.
func (st *step) out(id qpq.ChannelID, u qpq.UserID) {
	st.do(func(tx *profile.Tx) error { return tx.SetRemoved(id, u, true) })
}

// save makes a step durable. Where that fails, what is in memory is given up: it is ahead of what is stored.
func (c *Client) save(st *step) error {
	if len(st.changes) == 0 && len(st.chats) == 0 {
		return nil
	}
	err := c.cfg.Profile.Change(func(tx *profile.Tx) error {
		for ch := range st.chats {
			if err := tx.SetChannel(ch.Channel); err != nil {
				return err
			}
		}
		for _, f := range st.changes {
			if err := f(tx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		c.unload()
		return err
	}
	if st.told {
		c.news.tell()
	}
	*st = step{}
	return nil
}

// load reads all conversations, once, and again for each connection: at its start all groups may turn out to be old.
func (c *Client) load() error {
	if c.reload.Swap(false) {
		c.unload()
		c.gone.Clear()
	}
	if c.chats != nil {
		return nil
	}
	list, err := c.cfg.Profile.Channels()
	if err != nil {
		return err
	}
	chats := map[qpq.ChannelID]*chat{}
	for _, v := range list {
		ch := &chat{Channel: v}
		if ch.departed, err = c.cfg.Profile.Departures(v.ID); err != nil {
			return err
		}
		if len(v.Founding) > 0 {
			if ch.founding, err = wire.Unmarshal[wire.Founding](v.Founding); err != nil {
				return err
			}
		}
		chats[v.ID] = ch
	}
	c.chats = chats
	return nil
}

// unload forgets what is in memory; what is stored stays.
func (c *Client) unload() {
	for _, ch := range c.chats {
		if ch.group != nil {
			ch.group.Wipe()
		}
	}
	c.chats = nil
}

// open loads the group of a chat that stands well. Where it cannot be used any more, the chat has to heal.
func (c *Client) open(st *step, ch *chat) error {
	if ch.Standing != Active && ch.Standing != Suspect {
		return nil
	}
	usable, err := c.restore(ch)
	if err == nil && !usable {
		ch.Standing = Healing
		st.touch(ch)
		st.notice(ch, c.cfg.Clock(), "damaged", "what this device keeps of the conversation was lost or damaged: it joins anew, and cannot read what came since")
	}
	return err
}

// restore loads the group of a chat from what is stored. It reports false where that is not there, or cannot be used.
func (c *Client) restore(ch *chat) (usable bool, err error) {
	if ch.group != nil {
		return true, nil
	}
	records, err := c.cfg.Profile.Group(ch.ID)
	if err == nil {
		ch.group, err = conversation.Restore(c.conversations(), records, ch.Slot, conversation.Access{Slot: ch.AccessSlot, Key: ch.Access})
	}
	if errors.Is(err, mls.ErrState) || errors.Is(err, qpq.Damaged) || errors.Is(err, qpq.Invalid) {
		return false, nil
	}
	return err == nil, err
}

// known returns the newest account state that this device knows of, nil if there is none.
func (c *Client) known(u qpq.UserID) (*identity.AccountState, error) {
	if state, ok := c.contacts.Load(u); ok {
		return state.(*identity.AccountState), nil
	}
	account, err := c.cfg.Profile.Account()
	if err != nil {
		return nil, err
	}
	if account.User == u {
		return account.State, nil
	}
	state, err := c.cfg.Profile.Contact(u)
	if err == nil && state != nil {
		c.contacts.Store(u, state)
	}
	return state, err
}

// self returns this device as conversations see it.
func (c *Client) self() (conversation.Self, error) {
	account, err := c.cfg.Profile.Account()
	if err != nil {
		return conversation.Self{}, err
	}
	return conversation.Self{Device: account.Device, Account: account.State}, nil
}

// learning runs f, and looks up accounts whose devices it does not know, until it knows all or there is nothing to learn.
func (c *Client) learning(ctx context.Context, s *session, f func() error) error {
	for {
		err := f()
		var unknown *conversation.UnknownDevices
		if !errors.As(err, &unknown) {
			return err
		}
		learnt := false
		asked := map[qpq.UserID]bool{}
		for _, d := range unknown.Devices {
			if asked[d.User] {
				continue
			}
			asked[d.User] = true
			more, lookup := c.learn(ctx, s, d.User)
			if errors.Is(lookup, qpq.NotFound) {
				_, known := c.gone.LoadOrStore(d.User, true)
				more, lookup = !known, nil
			}
			if lookup != nil {
				return lookup
			}
			learnt = learnt || more
		}
		if !learnt {
			return fmt.Errorf("%w: %w", conversation.ErrVoid, err)
		}
	}
}

// learn looks an account up and reports whether there was something newer than what was known.
func (c *Client) learn(ctx context.Context, s *session, u qpq.UserID) (bool, error) {
	before, err := c.known(u)
	if err != nil {
		return false, err
	}
	var after *identity.AccountState
	if own := s.account.Load(); own != nil && own.User == u {
		after, err = c.ownState(ctx, s, u)
	} else {
		after, err = c.Lookup(ctx, u)
	}
	if err != nil {
		return false, err
	}
	return before == nil || after.Version > before.Version, nil
}
