package world

import (
	"context"
	"crypto/rand"
	"slices"
	"strconv"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/wire"
)

// What people do to messages. In a scenario a message is named by a number: who does something to it counts so far among the newest that they see.

// kind is what a message is.
type kind int

const (
	saying     kind = iota
	whispering      // a text to be viewed once
	filing
	filingOnce // a file to be viewed once
	reacting
	unreacting
	editing
	deleting
	meddling // an edit of what somebody else wrote
)

// line reports whether it is one of a history.
func (k kind) line() bool { return k <= filingOnce }

// file reports whether it is a file.
func (k kind) file() bool { return k == filing || k == filingOnce }

// once reports whether it is to be viewed once.
func (k kind) once() bool { return k == whispering || k == filingOnce }

func init() {
	for name, do := range map[string]action{
		"reply":   reply,
		"react":   react,
		"unreact": unreact,
		"edit":    edit,
		"unsay":   unsay,
		"meddle":  meddle,
		"whisper": whisper,
		"view":    view,
		"read":    read,
		"timer":   timer,
	} {
		actions[name] = do
	}
}

// few is among how many of the newest messages people choose.
const few = 6

var errNoMessage = qpq.E(qpq.NotFound, "message-unknown", "there is none that this could be done to")

// choose returns the message that a number names, among those that satisfy f.
func (d *Device) choose(c *chat, number string, f func(*client.Message) bool) (*message, client.Ref, error) {
	n, err := strconv.Atoi(number)
	if err != nil {
		panic(err)
	}
	id, _ := c.known()
	list := d.eyes.newest(id, few, f)
	if len(list) == 0 {
		return nil, client.Ref{}, errNoMessage
	}
	e := list[n%len(list)]
	m := c.message(e.Message.ID)
	if m == nil { // its sender does not know of it
		return nil, client.Ref{}, errNoMessage
	}
	return m, e.Ref(), nil
}

// about does something to a message that satisfies f, named by the second argument.
func (d *Device) about(ctx context.Context, args []string, kind kind, text string, f func(*client.Message) bool,
	do func(*running, qpq.ChannelID, client.Ref) (client.MessageID, error)) error {
	return d.within(args[0], func(r *running, c *chat, id qpq.ChannelID) error {
		target, ref, err := d.choose(c, args[1], f)
		if err != nil {
			return err
		}
		m := c.sending(d, kind, text, target)
		message, err := do(r, id, ref)
		return d.sent(ctx, r, c, m, message, err)
	})
}

func anybodys(*client.Message) bool { return true }
func own(m *client.Message) bool {
	return m.Own && (m.Kind == client.KindText || m.Kind == client.KindReply)
}

// reply answers a message with a text.
func reply(ctx context.Context, d *Device, args []string) error {
	return d.about(ctx, args, saying, args[2], anybodys, func(r *running, id qpq.ChannelID, to client.Ref) (client.MessageID, error) {
		return r.Reply(ctx, id, to, args[2])
	})
}

// react puts an emoji on a message.
func react(ctx context.Context, d *Device, args []string) error {
	return d.about(ctx, args, reacting, args[2], anybodys, func(r *running, id qpq.ChannelID, to client.Ref) (client.MessageID, error) {
		return r.React(ctx, id, to, args[2], false)
	})
}

// unreact takes an emoji off a message, perhaps one that is not there.
func unreact(ctx context.Context, d *Device, args []string) error {
	return d.about(ctx, args, unreacting, args[2], anybodys, func(r *running, id qpq.ChannelID, to client.Ref) (client.MessageID, error) {
		return r.React(ctx, id, to, args[2], true)
	})
}

// edit gives an own message another text.
func edit(ctx context.Context, d *Device, args []string) error {
	return d.about(ctx, args, editing, args[2], own, func(r *running, id qpq.ChannelID, to client.Ref) (client.MessageID, error) {
		return r.EditMessage(ctx, id, to, args[2])
	})
}

// unsay deletes an own message.
func unsay(ctx context.Context, d *Device, args []string) error {
	mine := func(m *client.Message) bool { return m.Own && !(m.Kind == client.KindViewOnce) }
	return d.about(ctx, args, deleting, "", mine, func(r *running, id qpq.ChannelID, to client.Ref) (client.MessageID, error) {
		return r.DeleteMessage(ctx, id, to)
	})
}

// meddle edits what another one wrote, with a program that lets a person do that.
func meddle(ctx context.Context, d *Device, args []string) error {
	others := func(m *client.Message) bool { return !m.Own }
	return d.about(ctx, args, meddling, args[2], others, func(r *running, id qpq.ChannelID, to client.Ref) (client.MessageID, error) {
		m := wire.Message{Sent: d.clock(), Body: wire.EditBody{Target: wire.MessageRef{Sender: to.Sender, ID: to.ID}, Text: args[2]}}
		rand.Read(m.ID[:])
		if err := queueAsIs(r.profile, id, m); err != nil {
			return client.MessageID{}, err
		}
		r.later(func(ctx context.Context) { _ = r.Sync(ctx) }) // its own program knows nothing of it
		return m.ID, nil
	})
}

// queueAsIs has a message wait to be sent that the program would not have made.
func queueAsIs(p *profile.Profile, id qpq.ChannelID, m wire.Message) error {
	account, err := p.Account()
	if err != nil {
		return err
	}
	ch, err := p.Channel(id)
	if err != nil {
		return err
	}
	if ch == nil || ch.Standing != profile.Active {
		return qpq.E(qpq.NotFound, "not-in-it", "the device is not in the group")
	}
	content, err := wire.Marshal(m)
	if err != nil {
		return err
	}
	e := profile.Entry{Channel: id, Time: m.Sent, State: profile.Queued, Kind: profile.KindText, Sender: account.User, Device: account.Device.ID(), ID: m.ID, Content: content}
	return p.Change(func(tx *profile.Tx) error {
		position, err := tx.AddEntry(e)
		if err != nil {
			return err
		}
		return tx.Enqueue(position)
	})
}

// whisper sends a text to be viewed once.
func whisper(ctx context.Context, d *Device, args []string) error {
	return d.within(args[0], func(r *running, c *chat, id qpq.ChannelID) error {
		m := c.sending(d, whispering, args[1], nil)
		message, err := r.SendOnce(ctx, id, args[1])
		return d.sent(ctx, r, c, m, message, err)
	})
}

// view views a text that is to be viewed once.
func view(_ context.Context, d *Device, args []string) error {
	return d.within(args[0], func(r *running, c *chat, id qpq.ChannelID) error {
		whispered := func(m *client.Message) bool { return !m.Own && m.Kind == client.KindViewOnce && m.File() == nil }
		m, ref, err := d.choose(c, args[1], whispered)
		if err != nil {
			return err
		}
		d.viewing(m, false)
		err = r.ViewText(id, ref, func(text string) error {
			if text != m.text {
				d.w.fail("%s: %s views %q, and %q was sent", c.name, d.name, text, m.text)
			}
			return nil
		})
		if err == nil && !d.disk.Dead() {
			d.viewing(m, true)
		}
		return err
	})
}

// viewing notes that somebody begins to view on this device what can be viewed once, and that it is done.
func (d *Device) viewing(m *message, done bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.viewed[m] = done
}

// read marks as read what was seen of a conversation.
func read(_ context.Context, d *Device, args []string) error {
	return d.within(args[0], func(r *running, _ *chat, id qpq.ChannelID) error { return d.readAll(r, id) })
}

func (d *Device) readAll(r *running, id qpq.ChannelID) error {
	list := d.eyes.entries(id)
	if len(list) == 0 {
		return nil
	}
	position := slices.MaxFunc(list, func(a, b client.Entry) int { return int(a.Position - b.Position) }).Position
	d.mu.Lock()
	d.reads[id] = max(d.reads[id], position)
	d.mu.Unlock()
	return r.MarkRead(id, position)
}

// timer has messages disappear, or stay.
func timer(ctx context.Context, d *Device, args []string) error {
	return d.within(args[0], func(r *running, c *chat, id qpq.ChannelID) error {
		after, err := time.ParseDuration(args[1])
		if err != nil {
			panic(err)
		}
		c.timing()
		return r.SetTimer(ctx, id, after)
	})
}

// timing notes that messages may disappear from now on.
func (c *chat) timing() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timed = true
}
