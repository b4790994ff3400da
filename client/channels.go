package client

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/conversation"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/wire"
)

// maxTitle is the most bytes that a title has (wire/conversations.capnp).
const maxTitle = 256

// Direct returns the direct conversation with a user, oneself for notes to self. It is made where there is none; it is made once,
// however many devices of both ask for it at the same time.
func (c *Client) Direct(ctx context.Context, u qpq.UserID) (id qpq.ChannelID, err error) {
	list, err := c.Conversations()
	if err != nil {
		return id, err
	}
	for _, v := range list {
		if v.Direct && v.Peer == u && v.Standing != Ended {
			return v.ID, nil
		}
	}
	err = c.connected(ctx, func(s *session) error {
		f := wire.Founding{Direct: true}
		if u != s.account.Load().User {
			f.Peer = u
			if _, err := c.learn(ctx, s, u); err != nil {
				return err
			}
		}
		if id, err = c.found(ctx, s, f, ""); err != nil {
			return err
		}
		if v, err := c.Conversation(id); err != nil {
			return err
		} else if !v.Direct || v.Peer != u {
			return qpq.E(qpq.Damaged, "wrong-conversation", fmt.Sprintf("asked for the direct conversation with %s, the server named another conversation: ask who runs it", u))
		}
		return c.commit(ctx, s, id, c.fill(ctx, s))
	})
	return id, err
}

// CreateGroup makes a conversation with users and returns its id. Whoever makes it is its owner.
func (c *Client) CreateGroup(ctx context.Context, title string, users ...qpq.UserID) (id qpq.ChannelID, err error) {
	if err := checkTitle(title); err != nil {
		return id, err
	}
	err = c.connected(ctx, func(s *session) error {
		for _, u := range users { // before anything is made
			if _, err := c.learn(ctx, s, u); err != nil {
				return err
			}
		}
		if id, err = c.found(ctx, s, wire.Founding{}, title); err != nil {
			return err
		}
		return c.commit(ctx, s, id, c.fill(ctx, s, users...))
	})
	return id, err
}

func checkTitle(title string) error {
	if len(title) > maxTitle || !utf8.ValidString(title) || qpq.Printable(title) != title {
		return qpq.E(qpq.Invalid, "bad-title", fmt.Sprintf("a title has at most %d bytes, and nothing in it that cannot be shown", maxTitle))
	}
	return nil
}

// found makes a conversation with this device alone in it, or joins the direct one that is there already.
func (c *Client) found(ctx context.Context, s *session, f wire.Founding, title string) (qpq.ChannelID, error) {
	self, err := c.self()
	if err != nil {
		return qpq.ChannelID{}, err
	}
	if _, err := io.ReadFull(random, f.Channel[:]); err != nil {
		return qpq.ChannelID{}, err
	}
	f.Domain, f.HubKey, f.Suite = s.info.Domain, s.info.SigningKey, uint16(conversation.Suite)
	f.Creator = wire.MemberDevice{User: self.Account.User, Device: self.Device.ID()}
	g, request, err := conversation.Found(c.conversations(), self, f, title)
	if err != nil {
		return qpq.ChannelID{}, err
	}
	reply, err := wire.Call(ctx, s, *request)
	if err != nil {
		return qpq.ChannelID{}, err
	}
	st := &step{}
	if !reply.Created {
		g.Wipe()
		if err := c.receive(ctx, s); err != nil { // whoever made it may have added this device already
			return qpq.ChannelID{}, err
		}
		ch := c.chatFor(c.chats[reply.Channel], reply.Channel)
		if ch.Standing == Active {
			return reply.Channel, nil
		}
		return reply.Channel, c.rejoin(ctx, s, ch)
	}
	if reply.Channel != f.Channel || reply.Receipt == nil || reply.Receipt.Slot != 0 || reply.Receipt.Commit != sha256.Sum256(request.Founding) ||
		!wire.VerifySlot(f.HubKey, f.Channel, *reply.Receipt) {
		return qpq.ChannelID{}, qpq.E(qpq.Damaged, "bad-receipt", "the server's receipt for a new conversation is not for it, or not signed by it")
	}
	ch := c.chatFor(nil, f.Channel)
	ch.Standing, ch.group, ch.Head = Active, g, encodeReceipt(*reply.Receipt)
	if err := st.group(ch, g.Records()); err != nil {
		return qpq.ChannelID{}, err
	}
	st.creation(ch, *reply.Receipt)
	return f.Channel, c.save(st)
}

// fill builds the change that brings all devices of all member accounts into a group, and of users who become members. Users whose
// devices left no key packages are members too: their devices join by themselves.
func (c *Client) fill(ctx context.Context, s *session, users ...qpq.UserID) func(*conversation.Group) (conversation.Change, error) {
	return func(g *conversation.Group) (change conversation.Change, err error) {
		devices, err := g.Devices()
		if err != nil {
			return change, err
		}
		var all []qpq.UserID
		for _, m := range g.Conversation().Members {
			all = append(all, m.User)
		}
		for _, u := range users {
			if slices.Contains(all, u) {
				continue
			}
			all = append(all, u)
			change.Members = append(change.Members, wire.MemberRole{User: u})
		}
		for _, u := range all {
			packages, err := c.claim(ctx, s, u, devices[u])
			if err != nil {
				return change, err
			}
			change.Add = append(change.Add, packages...)
		}
		if len(change.Add) == 0 && len(change.Members) == 0 {
			return change, errNothing
		}
		return change, nil
	}
}

// Invite adds users with all their devices. Those who are members already are left as they are.
// Who left, and is in the group still because nobody who may has removed them yet, cannot be added: it fails with qpq.Conflict.
func (c *Client) Invite(ctx context.Context, id qpq.ChannelID, users ...qpq.UserID) error {
	return c.Amend(ctx, Amendment{Conversation: id, Kind: AmendInvite, Users: users})
}

// codeLeaving is that of the error of who cannot be added because they are not gone yet.
const codeLeaving = "leaving"

func (c *Client) invite(ctx context.Context, s *session, a Amendment, w *wish) error {
	id := a.Conversation
	if ch := c.chats[id]; ch != nil && ch.group != nil && len(ch.departed) > 0 { // whose goodbye waits
		if err := c.tidy(ctx, s, ch); err != nil {
			return err
		}
	}
	if err := c.commitOne(ctx, s, id, c.fill(ctx, s, a.Users...), w); err != nil {
		return err
	}
	for _, u := range a.Users {
		if ch := c.chats[id]; ch != nil && slices.Contains(ch.departed, u) {
			return qpq.E(qpq.Conflict, codeLeaving, fmt.Sprintf("%s left, and nobody who may has removed them from the group yet: try again once a moderator was there", u))
		}
	}
	return nil
}

// Remove removes users with all their devices: they read nothing that comes after.
func (c *Client) Remove(ctx context.Context, id qpq.ChannelID, users ...qpq.UserID) error {
	return c.Amend(ctx, Amendment{Conversation: id, Kind: AmendRemove, Users: users})
}

func removal(users []qpq.UserID) func(*conversation.Group) (conversation.Change, error) {
	return func(g *conversation.Group) (conversation.Change, error) {
		gone := slices.DeleteFunc(slices.Clone(users), func(u qpq.UserID) bool {
			_, member := g.Role(u)
			return !member
		})
		if len(gone) == 0 {
			return conversation.Change{}, errNothing
		}
		return conversation.Change{Remove: gone}, nil
	}
}

// SetTitle gives a conversation a title.
func (c *Client) SetTitle(ctx context.Context, id qpq.ChannelID, title string) error {
	return c.Amend(ctx, Amendment{Conversation: id, Kind: AmendTitle, Title: title})
}

func renaming(title string) func(*conversation.Group) (conversation.Change, error) {
	return func(g *conversation.Group) (conversation.Change, error) {
		if g.Conversation().Title == title {
			return conversation.Change{}, errNothing
		}
		return conversation.Change{Title: &title}, nil
	}
}

// SetRole gives a member a role.
func (c *Client) SetRole(ctx context.Context, id qpq.ChannelID, u qpq.UserID, role wire.Role) error {
	return c.Amend(ctx, Amendment{Conversation: id, Kind: AmendRole, Users: []qpq.UserID{u}, Role: role})
}

func promotion(users []qpq.UserID, role wire.Role) func(*conversation.Group) (conversation.Change, error) {
	return func(g *conversation.Group) (change conversation.Change, err error) {
		for _, u := range users {
			before, member := g.Role(u)
			if !member {
				return change, qpq.E(qpq.NotFound, "no-member", u.String()+" is no member of this conversation: invite them first")
			}
			if before != role {
				change.Members = append(change.Members, wire.MemberRole{User: u, Role: role})
			}
		}
		if len(change.Members) == 0 {
			return change, errNothing
		}
		return change, nil
	}
}

// UpdateKeys gives this device fresh keys: whoever stole the old ones reads nothing that comes after.
func (c *Client) UpdateKeys(ctx context.Context, id qpq.ChannelID) error {
	return c.Amend(ctx, Amendment{Conversation: id, Kind: AmendKeys})
}

// Confirm accepts the members of a conversation as they are: the person looked at them.
func (c *Client) Confirm(ctx context.Context, id qpq.ChannelID) error {
	if err := c.chatting.take(ctx); err != nil {
		return err
	}
	defer c.chatting.give()
	if err := c.load(); err != nil {
		return err
	}
	ch := c.chats[id]
	if ch == nil || ch.Standing != Suspect && ch.Standing != profile.Barred {
		return nil
	}
	st := &step{}
	agreed, err := wire.Unmarshal[wire.Conversation](ch.Conversation)
	if err != nil {
		return err
	}
	for _, m := range agreed.Members {
		st.confirm(id, m.User)
	}
	if ch.Standing == Suspect {
		ch.Standing = Active
	} else {
		ch.Standing = Healing // those who were confirmed may vouch for the group
	}
	st.touch(ch)
	if err := c.save(st); err != nil {
		return err
	}
	c.kick()
	return nil
}
