package world

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/wire"
)

// In scenarios a group has the name that it was made with, and a direct conversation that of the other user.

func init() {
	for name, do := range map[string]action{
		"direct":  direct,
		"group":   group,
		"invite":  invite,
		"remove":  remove,
		"leave":   leave,
		"title":   title,
		"role":    role,
		"update":  updateKeys,
		"confirm": confirm,
		"send":    send,
		"sync":    syncNow,
	} {
		actions[name] = do
	}
}

// userID returns the id of a user by name.
func userID(name string) qpq.UserID {
	id, err := identity.ParseUser(name + "@" + domain)
	if err != nil {
		panic(err) // all are made up here
	}
	return id
}

func userIDs(names []string) (list []qpq.UserID) {
	for _, name := range names {
		list = append(list, userID(name))
	}
	return list
}

// called returns by what name the oracle keeps a conversation that a user calls by another.
func (w *World) called(by *User, name string) string {
	if _, isUser := w.users[name]; !isUser {
		return name
	}
	pair := []string{by.name, name}
	slices.Sort(pair)
	return strings.Join(pair, "+")
}

// find returns the conversation that is called so.
func (d *Device) find(r *running, name string) (*chat, error) {
	c := d.w.oracle.chat(d.w.called(d.user, name))
	if id, known := c.known(); known {
		_, err := r.Conversation(id)
		return c, err
	}
	v, err := r.FindConversation(name)
	if err != nil {
		return nil, err
	}
	c.is(v.ID)
	return c, nil
}

// direct opens the direct conversation with a user.
func direct(ctx context.Context, d *Device, args []string) error {
	r, err := d.program()
	if err != nil {
		return err
	}
	c := d.w.oracle.chat(d.w.called(d.user, args[0]))
	c.makesDirect(d.user.name, args[0])
	id, err := r.Direct(ctx, userID(args[0]))
	if err == nil && !d.disk.Dead() {
		c.is(id)
	}
	return err
}

// group makes a group with users.
func group(ctx context.Context, d *Device, args []string) error {
	r, err := d.program()
	if err != nil {
		return err
	}
	c := d.w.oracle.chat(args[0])
	end := c.changing(d, true, append([]string{d.user.name}, args[1:]...)...)
	id, err := r.CreateGroup(ctx, args[0], userIDs(args[1:])...)
	if err == nil && !d.disk.Dead() {
		c.is(id)
	}
	end(outcomeOf(d, err))
	return err
}

// invite adds users to a group.
func invite(ctx context.Context, d *Device, args []string) error {
	return d.within(args[0], func(r *running, c *chat, id qpq.ChannelID) error {
		end := c.changing(d, true, args[1:]...)
		return d.amend(ctx, r, client.Amendment{Conversation: id, Kind: client.AmendInvite, Users: userIDs(args[1:])}, end)
	})
}

// amend changes a conversation, now or, where that cannot be, later: then end is not told how that ended, for it is under way.
func (d *Device) amend(ctx context.Context, r *running, a client.Amendment, end func(outcome)) error {
	err := r.Amend(ctx, a)
	if errors.Is(err, qpq.Unavailable) && !d.disk.Dead() {
		if qpq.CodeOf(err) == "unanswered" || r.AmendLater(a) == nil || d.disk.Dead() {
			return fmt.Errorf("it waits: %w", err)
		}
	}
	if end != nil {
		end(outcomeOf(d, err))
	}
	return err
}

// remove removes users from a group.
func remove(ctx context.Context, d *Device, args []string) error {
	return d.within(args[0], func(r *running, c *chat, id qpq.ChannelID) error {
		end := c.changing(d, false, args[1:]...)
		return d.amend(ctx, r, client.Amendment{Conversation: id, Kind: client.AmendRemove, Users: userIDs(args[1:])}, end)
	})
}

// leave leaves a conversation.
func leave(ctx context.Context, d *Device, args []string) error {
	return d.within(args[0], func(r *running, c *chat, id qpq.ChannelID) error {
		end := c.changing(d, false, d.user.name)
		return d.amend(ctx, r, client.Amendment{Conversation: id, Kind: client.AmendLeave}, end)
	})
}

// title gives a group another title.
func title(ctx context.Context, d *Device, args []string) error {
	return d.within(args[0], func(r *running, _ *chat, id qpq.ChannelID) error {
		return d.amend(ctx, r, client.Amendment{Conversation: id, Kind: client.AmendTitle, Title: args[1]}, nil)
	})
}

// role gives a member another role.
func role(ctx context.Context, d *Device, args []string) error {
	return d.within(args[0], func(r *running, _ *chat, id qpq.ChannelID) error {
		for _, to := range []wire.Role{wire.RoleMember, wire.RoleModerator, wire.RoleAdmin, wire.RoleOwner} {
			if to.String() == args[2] {
				return d.amend(ctx, r, client.Amendment{Conversation: id, Kind: client.AmendRole, Users: userIDs(args[1:2]), Role: to}, nil)
			}
		}
		panic("no role " + args[2])
	})
}

// updateKeys gives the device fresh keys in a conversation.
func updateKeys(ctx context.Context, d *Device, args []string) error {
	return d.within(args[0], func(r *running, _ *chat, id qpq.ChannelID) error {
		return d.amend(ctx, r, client.Amendment{Conversation: id, Kind: client.AmendKeys}, nil)
	})
}

// confirm accepts the members of a conversation.
func confirm(ctx context.Context, d *Device, args []string) error {
	return d.within(args[0], func(r *running, _ *chat, id qpq.ChannelID) error { return r.Confirm(ctx, id) })
}

// send sends a text, and waits a while for the hub to accept it.
func send(ctx context.Context, d *Device, args []string) error {
	return d.within(args[0], func(r *running, c *chat, id qpq.ChannelID) error {
		m := c.sending(d, saying, args[1], nil)
		message, err := r.SendText(ctx, id, args[1])
		return d.sent(ctx, r, c, m, message, err)
	})
}

// sent notes what came of sending a message, and waits a while for the hub to accept it.
func (d *Device) sent(ctx context.Context, r *running, c *chat, m *message, id client.MessageID, err error) error {
	if err != nil || d.disk.Dead() {
		c.notSent(m, outcomeOf(d, err))
		return err
	}
	c.queued(m, id)
	return d.unlessOpen(ctx, r, func(ctx context.Context) error { return d.await(ctx, r, c, m) })
}

// unlessOpen waits for something that a person began, or, where nobody waits for such things, has somebody else wait.
func (d *Device) unlessOpen(ctx context.Context, r *running, wait func(context.Context) error) error {
	if !d.w.driver.open {
		return wait(ctx)
	}
	d.pending.Add(1)
	r.later(func(ctx context.Context) {
		defer d.pending.Done()
		ctx, cancel := d.patience(ctx)
		defer cancel()
		if err := wait(ctx); err != nil {
			d.w.log(d.name, "what was begun: %v (%s)", err, qpq.CodeOf(err))
		}
	})
	return nil
}

// await waits for the hub to accept a message that is queued.
func (d *Device) await(ctx context.Context, r *running, c *chat, m *message) error {
	id, _ := c.known()
	err := r.Wait(ctx, id, m.id)
	if err == nil && !d.disk.Dead() {
		c.accepted(m)
	}
	return err
}

// syncNow receives and sends all there is.
func syncNow(ctx context.Context, d *Device, _ []string) error {
	r, err := d.program()
	if err != nil {
		return err
	}
	return r.Sync(ctx)
}

// within runs f on a conversation.
func (d *Device) within(name string, f func(*running, *chat, qpq.ChannelID) error) error {
	r, err := d.program()
	if err != nil {
		return err
	}
	c, err := d.find(r, name)
	if err != nil {
		return err
	}
	id, _ := c.known()
	return f(r, c, id)
}

// stay has the program stay connected, also when somebody signs in later.
func (d *Device) stay(ctx context.Context, r *running) {
	for {
		err := r.Run(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil && !d.disk.Dead() && !errors.Is(err, qpq.NotFound) {
			d.w.log(d.name, "is no longer connected: %v (%s)", err, qpq.CodeOf(err))
		}
		select {
		case <-r.nudge:
		case <-ctx.Done():
			return
		}
	}
}

// look shows the person all that comes.
func (d *Device) look(ctx context.Context, r *running) {
	defer r.looking.Store(false)
	for d.lookOn(ctx, r) {
		pause(ctx, d.w.soon(time.Second))
	}
}

// lookOn does so until that fails. It reports whether to try again.
func (d *Device) lookOn(ctx context.Context, r *running) bool {
	for e, err := range r.Entries(ctx, d.eyes.position()) {
		switch {
		case d.disk.Dead() || ctx.Err() != nil:
			return false
		case qpq.CodeOf(err) == "not-signed-in":
			return false // it was signed out before its person looked
		case qpq.CodeOf(err) == "disk-full":
			return true // what is over could not be wiped
		case err != nil:
			d.w.fail("%s cannot read its history: %s", d.name, cause(err))
			return false
		}
		d.eyes.see(d, e)
	}
	return false
}

// standing returns how a device stands in a conversation, nil if it knows nothing of it, or if nobody can tell.
func (d *Device) standing(id qpq.ChannelID) *client.Conversation {
	v, _ := d.tellStanding(id)
	return v
}

// tellStanding returns the same. It reports false where nobody can tell: the program does not run.
func (d *Device) tellStanding(id qpq.ChannelID) (*client.Conversation, bool) {
	r, err := d.program()
	if err != nil || d.disk.Dead() {
		return nil, false
	}
	v, err := r.Conversation(id)
	if err != nil {
		return nil, !d.disk.Dead() && !errors.Is(err, profile.ErrClosed)
	}
	return v, true
}
