package client

import (
	"errors"
	"sync"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/conversation"
	"github.com/quicproquo/qpq/client/profile"
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
	quiet    bool         // there was nothing more to do on this connection when it was looked after last
	proved   bool         // the receipt of slot 0 was asked for
	filled   *session     // on which it was tried to bring in who is missing
	asked    *session     // on which it was asked whether those who departed are gone
	failed   int          // how often in a row it could not be looked after
	after    time.Time    // not looked after before
	turn     time.Time    // until when what any member may do was put off; zero if it was not
	answers  int          // how often in a row this device answered a void commit, and nobody went on from there
	storm    int          // void commits that anybody answered, each soon after the one before
	stormed  time.Time    // when the last one of them was
	lost     int          // messages that could not be read since that was told
	late     int          // those of them whose time was over at the server
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

// load reads all conversations, once, and again for each connection, and where the state of all groups was dropped: at the start of a connection, though
// nothing may come of that one, all may turn out to be old.
func (c *Client) load() error {
	dropped := c.cfg.Profile.Dropped()
	if c.reload.Swap(false) || dropped != c.dropped {
		c.unload()
		c.gone.Clear()
	}
	if c.chats != nil {
		return nil
	}
	c.dropped = dropped
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
