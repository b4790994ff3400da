package client

import (
	"fmt"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/mls"
	"github.com/quicproquo/qpq/wire"
)

// step is one change of what this device knows of conversations. It becomes durable as a whole, or not at all.
type step struct {
	changes []func(*profile.Tx) error
	chats   map[*chat]bool
	read    map[*chat]bool // of which nothing but the last row seen is another
	told    bool           // there are entries
}

func (st *step) do(f func(*profile.Tx) error) { st.changes = append(st.changes, f) }

// touch has a chat stored.
func (st *step) touch(ch *chat) {
	if st.chats == nil {
		st.chats = map[*chat]bool{}
	}
	st.chats[ch] = true
}

// follow has the last row seen of a chat stored.
func (st *step) follow(ch *chat) {
	if st.read == nil {
		st.read = map[*chat]bool{}
	}
	st.read[ch] = true
}

// unsettle notes that there may be something to do in a conversation.
func (st *step) unsettle(ch *chat) {
	ch.Settled, ch.quiet = false, false
	st.touch(ch)
}

// group notes what changed in a chat's group.
func (st *step) group(ch *chat, records []mls.Record) error {
	g := ch.group
	agreed, err := wire.Marshal(g.Conversation())
	if err != nil {
		return err
	}
	ch.founding, ch.Founding, ch.Conversation = g.Founding(), g.Conversation().Founding, agreed
	ch.Slot, ch.Epoch, ch.AccessSlot, ch.Access = g.Slot(), g.Epoch(), g.Access().Slot, g.Access().Key
	st.unsettle(ch)
	st.records(ch.ID, records)
	return nil
}

// creation keeps the receipt of slot 0: a hub that loses the channel makes it anew by it.
func (st *step) creation(ch *chat, r wire.SlotReceipt) {
	id, kept := ch.ID, profile.Commit{Slot: 0, Commit: ch.Founding, Receipt: encodeReceipt(r), User: ch.founding.Creator.User, Device: ch.founding.Creator.Device}
	st.do(func(tx *profile.Tx) error { return tx.AddCommit(id, kept) })
}

func (st *step) records(id qpq.ChannelID, records []mls.Record) {
	list := stored(records)
	st.do(func(tx *profile.Tx) error { return tx.PutGroup(id, list) })
}

// stored are records of a group as a profile takes them.
func stored(records []mls.Record) []profile.Record {
	list := make([]profile.Record, len(records))
	for i, r := range records {
		list[i] = profile.Record(r)
	}
	return list
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

// errDropped says that a step was made of groups whose state was dropped meanwhile, on another connection: to store any of it would bring that back.
var errDropped = qpq.E(qpq.Unavailable, "old-copy", textOldCopy+": try again")

// save makes a step durable. Where that fails, what is in memory is given up: it is ahead of what is stored.
func (c *Client) save(st *step) error {
	if len(st.changes) == 0 && len(st.chats) == 0 && len(st.read) == 0 {
		return nil
	}
	err := c.cfg.Profile.Change(func(tx *profile.Tx) error {
		if tx.Dropped() != c.dropped {
			return errDropped
		}
		for ch := range st.chats {
			ch.Settled = ch.Settled && ch.Standing == Active
			if err := tx.SetChannel(ch.Channel); err != nil {
				return err
			}
		}
		for ch := range st.read {
			if err := tx.SetSequence(ch.ID, ch.Sequence); err != nil {
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
