package client

import (
	"errors"
	"fmt"
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
	Role     wire.Role     // one's own
	Members  []Member      // by user
	Timer    time.Duration // how long after they were read messages disappear; 0 for never
	Epoch    uint64        // of the group
	Suite    uint16        // MLS cipher suite
	Standing Standing
	Unread   int
	Last     time.Time // of the newest entry; zero where there is none
	Draft    string    // what the person has begun to write there
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
	sums, err := c.cfg.Profile.Summaries()
	if err != nil {
		return nil, err
	}
	drafts, err := c.cfg.Profile.Settings(settingDraft)
	if err != nil {
		return nil, err
	}
	var list []Conversation
	for _, ch := range channels {
		if len(ch.Conversation) == 0 {
			continue // nothing is known of it yet
		}
		v, err := describe(own.User, &ch)
		if err != nil {
			return nil, err
		}
		v.Unread, v.Last, v.Draft = sums[ch.ID].Unread, sums[ch.ID].Newest, drafts[ch.ID]
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
	v, err := describe(own.User, ch)
	if err != nil {
		return nil, err
	}
	sum, err := c.cfg.Profile.Summary(id)
	if err != nil {
		return nil, err
	}
	v.Unread, v.Last = sum.Unread, sum.Newest
	v.Draft, err = c.Draft(id)
	return v, err
}

// describe returns a conversation without what its entries, and what the person began to write, say of it.
func describe(own qpq.UserID, ch *profile.Channel) (*Conversation, error) {
	agreed, err := wire.Unmarshal[wire.Conversation](ch.Conversation)
	if err != nil {
		return nil, err
	}
	founding, err := wire.Unmarshal[wire.Founding](agreed.Founding)
	if err != nil {
		return nil, err
	}
	v := &Conversation{ID: ch.ID, Direct: founding.Direct, Title: qpq.Printable(agreed.Title), Timer: timerOf(agreed.Policy), Epoch: ch.Epoch, Suite: founding.Suite, Standing: ch.Standing}
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
