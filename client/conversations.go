package client

import (
	"cmp"
	"context"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/conversation"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/wire"
)

// Standing says how this device stands in a conversation.
type Standing = profile.Standing

// The values of Standing.
const (
	Active  = profile.Active
	Joining = profile.Joining // this device is not in the group yet: it joins when it is connected
	Healing = profile.Healing // the group state is lost, damaged or old: the device joins anew when it is connected
	Suspect = profile.Suspect // the members are not those that they should be: nothing is sent until Confirm
	Ended   = profile.Ended   // no longer a member
)

// Conversation is a conversation as this device knows it.
type Conversation struct {
	ID       qpq.ChannelID
	Direct   bool
	Peer     qpq.UserID // of a direct one: the other account; for notes to oneself the own one
	Title    string
	Role     wire.Role // one's own
	Members  []Member  // by user
	Epoch    uint64    // of the group
	Suite    uint16    // MLS cipher suite
	Standing Standing
	Unread   int
	Last     time.Time // of the newest entry; zero where there is none
}

// Name returns what to call the conversation: title, peer, or the beginning of its id.
func (c *Conversation) Name() string {
	switch {
	case c.Direct:
		return c.Peer.String()
	case c.Title != "":
		return c.Title
	}
	return c.ID.String()[:8]
}

// Member is an account in a conversation.
type Member struct {
	User qpq.UserID
	Role wire.Role
}

// MessageID names a message of a sender in a conversation.
type MessageID [16]byte

// String returns the id in hexadecimal.
func (id MessageID) String() string { return hex.EncodeToString(id[:]) }

var shortID = base32.NewEncoding("abcdefghijkmnpqrstuvwxyz23456789").WithPadding(base32.NoPadding)

// Short returns the first eight characters of the id in an alphabet without look-alikes, for people.
func (id MessageID) Short() string { return shortID.EncodeToString(id[:5]) }

// MessageState says what became of a message.
type MessageState = profile.EntryState

// The values of MessageState.
const (
	Received = profile.Received
	Queued   = profile.Queued   // waits on this device
	Accepted = profile.Accepted // durable at the hub
	Failed   = profile.Failed   // refused for good
)

// Message is a message of a conversation.
type Message struct {
	ID     MessageID
	Sender qpq.UserID
	Device qpq.DeviceID
	Own    bool // by the own account, on whatever device
	State  MessageState
	Body   wire.Message
}

// Entry is one line of the history of a conversation: a message, or a notice of what happened.
type Entry struct {
	Position int64 // grows in the order in which this device learnt of entries; never used twice
	Channel  qpq.ChannelID
	Time     time.Time // when the hub took it; of what is not there yet, when it was written
	Message  *Message
	Notice   *Notice
}

// Conversations returns all conversations, those with the newest entries first. It asks no server.
func (c *Client) Conversations() ([]Conversation, error) {
	own, err := c.cfg.Profile.Account()
	if err != nil {
		return nil, err
	}
	channels, err := c.cfg.Profile.Channels()
	if err != nil {
		return nil, err
	}
	var list []Conversation
	for _, ch := range channels {
		if len(ch.Conversation) == 0 {
			continue // nothing is known of it yet
		}
		v, err := c.describe(own.User, &ch)
		if err != nil {
			return nil, err
		}
		list = append(list, *v)
	}
	slices.SortStableFunc(list, func(a, b Conversation) int { return b.Last.Compare(a.Last) })
	return list, nil
}

// Conversation returns a conversation. It fails with qpq.NotFound.
func (c *Client) Conversation(id qpq.ChannelID) (*Conversation, error) {
	own, err := c.cfg.Profile.Account()
	if err != nil {
		return nil, err
	}
	ch, err := c.cfg.Profile.Channel(id)
	if err != nil {
		return nil, err
	}
	if ch == nil || len(ch.Conversation) == 0 {
		return nil, qpq.E(qpq.NotFound, wire.CodeChannelUnknown, fmt.Sprintf("there is no conversation %s here", id))
	}
	return c.describe(own.User, ch)
}

func (c *Client) describe(own qpq.UserID, ch *profile.Channel) (*Conversation, error) {
	agreed, err := wire.Unmarshal[wire.Conversation](ch.Conversation)
	if err != nil {
		return nil, err
	}
	founding, err := wire.Unmarshal[wire.Founding](agreed.Founding)
	if err != nil {
		return nil, err
	}
	sum, err := c.cfg.Profile.Summary(ch.ID, own)
	if err != nil {
		return nil, err
	}
	v := &Conversation{ID: ch.ID, Direct: founding.Direct, Title: qpq.Printable(agreed.Title), Epoch: ch.Epoch, Suite: founding.Suite, Standing: ch.Standing, Unread: sum.Unread, Last: sum.Newest}
	for _, m := range agreed.Members {
		v.Members = append(v.Members, Member(m))
		if m.User == own {
			v.Role = m.Role
		}
	}
	if v.Standing == profile.Barred {
		v.Standing = Suspect
	}
	if founding.Direct {
		v.Peer = founding.Peer
		if founding.Peer == own || founding.Peer.IsZero() {
			v.Peer = founding.Creator.User
		}
	}
	return v, nil
}

// FindConversation returns the conversation that a person means: by its title, by the user of a direct one, with or without the
// domain, or by the beginning of its id. It fails with qpq.NotFound, and with qpq.Conflict where it may be one of several.
func (c *Client) FindConversation(name string) (*Conversation, error) {
	if id, err := qpq.ParseChannelID(name); err == nil {
		return c.Conversation(id)
	}
	list, err := c.Conversations()
	if err != nil {
		return nil, err
	}
	by := []func(*Conversation) bool{
		func(v *Conversation) bool { return v.Name() == name || v.Direct && v.Peer.Name == name },
		func(v *Conversation) bool { return strings.EqualFold(v.Name(), name) },
		func(v *Conversation) bool { return len(name) >= 4 && strings.HasPrefix(v.ID.String(), name) },
	}
	for _, fits := range by {
		var found []Conversation
		for _, v := range list {
			if fits(&v) {
				found = append(found, v)
			}
		}
		if live := slices.DeleteFunc(slices.Clone(found), func(v Conversation) bool { return v.Standing == Ended }); len(live) > 0 {
			found = live
		}
		switch len(found) {
		case 0:
			continue
		case 1:
			return &found[0], nil
		}
		ids := make([]string, len(found))
		for i, v := range found {
			ids[i] = v.ID.String()[:8]
		}
		return nil, qpq.E(qpq.Conflict, "ambiguous", fmt.Sprintf("%q may be one of several conversations: name it by the beginning of its id (%s)", name, strings.Join(ids, ", ")))
	}
	return nil, qpq.E(qpq.NotFound, wire.CodeChannelUnknown, fmt.Sprintf("there is no conversation %q here: list shows those that there are, dm begins one with a user", name))
}

// History returns up to limit entries of a conversation before a position, the newest last. A position of 0 stands for the end.
func (c *Client) History(id qpq.ChannelID, before int64, limit int) ([]Entry, error) {
	return c.read(c.cfg.Profile.History(id, cmp.Or(before, 1<<62), limit))
}

// Entries iterates over the entries of all conversations after a position, and then over new ones as they come, until ctx is done.
func (c *Client) Entries(ctx context.Context, after int64) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for {
			news := c.news.next()
			list, err := c.read(c.cfg.Profile.Entries(after, 256))
			if err != nil {
				yield(Entry{}, err)
				return
			}
			for _, e := range list {
				after = e.Position
				if !yield(e, nil) {
					return
				}
			}
			if len(list) > 0 {
				continue
			}
			select {
			case <-news:
			case <-ctx.Done():
				return
			}
		}
	}
}

func (c *Client) read(stored []profile.Entry, err error) ([]Entry, error) {
	if err != nil || len(stored) == 0 {
		return nil, err
	}
	own, err := c.cfg.Profile.Account()
	if err != nil {
		return nil, err
	}
	list := make([]Entry, len(stored))
	for i, e := range stored {
		list[i] = Entry{Position: e.Position, Channel: e.Channel, Time: e.Time}
		if e.State == profile.Noticed {
			list[i].Notice = &Notice{e.Code, string(e.Content)}
			continue
		}
		m := &Message{ID: e.ID, Sender: e.Sender, Device: e.Device, Own: e.Sender == own.User, State: e.State}
		if m.Body, err = wire.Unmarshal[wire.Message](e.Content); err != nil {
			return nil, err
		}
		list[i].Message = m
	}
	return list, nil
}

// MarkRead notes that a conversation was read up to an entry.
func (c *Client) MarkRead(id qpq.ChannelID, position int64) error {
	return c.cfg.Profile.SetRead(id, position)
}

// conversations returns what package conversation needs.
func (c *Client) conversations() conversation.Config {
	gone := func(u qpq.UserID) bool {
		_, gone := c.gone.Load(u)
		return gone
	}
	return conversation.Config{Account: c.known, Gone: gone, Clock: c.cfg.Clock}
}

// names lists users for people.
func names(users []qpq.UserID) string {
	list := make([]string, len(users))
	for i, u := range users {
		list[i] = u.String()
	}
	return strings.Join(list, ", ")
}

var errNotMember = qpq.E(qpq.Denied, "not-member", "this account is no longer a member of the conversation")

// standing fails unless something can be sent to a conversation.
func standing(ch *chat) error {
	switch ch.Standing {
	case Suspect, profile.Barred:
		return qpq.E(qpq.Denied, "suspect", "this conversation may have members that nobody added: look at them, and confirm them, before anything is sent")
	case Ended:
		return errNotMember
	}
	return nil
}

var errJoining = errors.New("the device is not in the group yet")
