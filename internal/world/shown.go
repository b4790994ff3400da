package world

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
)

// What devices must show of messages at the end, after all that was done to them.

// finish has everybody who is in a conversation read all of it and save its files, and waits for what disappears.
func (o *Oracle) finish(ctx context.Context, c *chat, kept histories) {
	id, _ := c.known()
	for _, d := range o.w.order {
		r, err := d.program()
		if v := d.standing(id); err != nil || v == nil || v.Standing != client.Active || !o.present[d] {
			continue
		}
		for _, m := range c.messages {
			if e, there := kept[d][m.id]; there && m.kind == filing && e.Message.Gone == client.There && o.lasts(c, d, m) {
				if err := d.save(ctx, r, c, id, m, e.Ref()); err != nil && qpq.CodeOf(err) != "message-gone" {
					o.w.fail("%s: %s cannot save %s of %s: %v (%s)", c.name, d.name, m.text, m.from.name, err, qpq.CodeOf(err))
				}
			}
		}
		if err := d.readAll(r, id); err != nil {
			o.w.fail("%s: %s cannot read it: %v", c.name, d.name, err)
		}
	}
	o.w.driver.rest(o.w, 10*time.Minute)
	if c.timed {
		pause(ctx, o.w.driver.expiry+time.Second)
	}
}

// lasts reports whether the server must have the file of a message still, for a device.
func (o *Oracle) lasts(c *chat, d *Device, m *message) bool {
	return m.accepted && !m.at.IsZero() && time.Since(m.at) < 6*24*time.Hour && !o.back && !o.deletes(c, m) && o.follows(c, d, m)
}

// deeds returns what people tried to do to a message.
func (c *chat) deeds(m *message, kinds ...kind) (list []*message) {
	for _, x := range c.messages {
		if x.target == m && !x.impossible && slices.Contains(kinds, x.kind) {
			list = append(list, x)
		}
	}
	return list
}

// deletes reports whether somebody tried to delete a message.
func (o *Oracle) deletes(c *chat, m *message) bool { return len(c.deeds(m, deleting)) > 0 }

// follows reports whether a device must know of a message and all that was done to it.
func (o *Oracle) follows(c *chat, d *Device, m *message) bool {
	if o.excusedDevice(d) || c.timed && o.told(c, d, "late") {
		return false
	}
	for _, x := range append(c.deeds(m, reacting, unreacting, editing, deleting), m) {
		undecided := !x.accepted && x.from == d // nobody else may know of it
		if undecided || !slices.Contains(x.owed, d) || !o.owes(c, d, x) || o.leaving(x.from) {
			return false
		}
	}
	return true
}

// leaving reports whether somebody tried to take a device out of its account: what it says may be left out.
func (o *Oracle) leaving(d *Device) bool {
	for _, m := range o.members {
		if m.device == d && m.revoking {
			return true
		}
	}
	return false
}

// told reports whether a person was told something in a conversation.
func (o *Oracle) told(c *chat, d *Device, code string) bool {
	id, _ := c.known()
	return slices.ContainsFunc(d.eyes.entries(id), func(e client.Entry) bool { return e.Notice != nil && e.Notice.Code == code })
}

// last returns which of several deeds may be the last one: none that another one surely followed.
func last(deeds []*message) (list []*message, sure bool) {
	for _, x := range deeds {
		sure = sure || x.accepted
		followed := slices.ContainsFunc(deeds, func(y *message) bool { return y.accepted && x.accepted && !x.at.IsZero() && y.begun.After(x.at) })
		if !followed {
			list = append(list, x)
		}
	}
	return list, sure
}

// judgeShown looks whether every device shows what it must of each message, and all the same.
func (o *Oracle) judgeShown(ctx context.Context, c *chat, kept histories) {
	for _, m := range c.messages {
		if !m.accepted || !m.kind.line() {
			continue
		}
		var first *Device
		var agreed string
		for _, d := range o.w.order {
			e, there := kept[d][m.id]
			if !there || !o.follows(c, d, m) {
				continue
			}
			o.judgeGone(ctx, c, d, m, e)
			if e.Message.Gone != client.There {
				continue
			}
			o.judgeText(c, d, m, e)
			o.judgeReactions(c, d, m, e)
			o.judgeReceipts(c, d, m, e, kept)
			if says := fmt.Sprintf("%q %v, for %v", e.Message.Text, reactions(e), e.Message.Timer); first == nil {
				first, agreed = d, says
			} else if says != agreed {
				o.w.fail("%s: %q of %s is %s to %s, and %s to %s", c.name, m.text, m.from.name, agreed, first.name, says, d.name)
			}
		}
	}
}

// judgeGone looks whether a message is gone where it must be, and nowhere else.
func (o *Oracle) judgeGone(ctx context.Context, c *chat, d *Device, m *message, e client.Entry) {
	deleted := slices.ContainsFunc(c.deeds(m, deleting), func(x *message) bool { return x.accepted })
	d.mu.Lock()
	viewed, tried := d.viewed[m]
	skewed := d.skewed
	d.mu.Unlock()
	mine := m.from.user == d.user
	over := e.Message.Timer > 0 && e.Message.Timer <= o.w.driver.expiry && !skewed
	wrong := ""
	switch gone := e.Message.Gone; {
	case gone == client.There && deleted:
		wrong = "was deleted, and %s has it still"
	case gone == client.There && m.kind.once() && (viewed || mine):
		wrong = "was to be viewed once, and %s has it still"
	case gone == client.There && over:
		wrong = "has had its time, and %s has it still"
	case gone == client.Deleted && !o.deletes(c, m):
		wrong = "was deleted by nobody, and is on %s"
	case gone == client.Viewed && !(m.kind.once() && (tried || mine)):
		wrong = "was not viewed on %s, where it is gone"
	case gone == client.Expired && !c.timed:
		wrong = "has had no time on %s, and it is over"
	}
	if wrong != "" {
		o.w.fail("%s: %q of %s "+wrong, c.name, m.text, m.from.name, d.name)
	}
	if r, err := d.program(); err == nil && e.Message.Gone != client.There && m.kind == saying {
		o.judgeSearch(ctx, c, d, r, m, e)
	}
}

// judgeSearch looks whether what is gone is found no more.
func (o *Oracle) judgeSearch(ctx context.Context, c *chat, d *Device, r *running, m *message, e client.Entry) {
	for _, x := range append(c.deeds(m, editing), m) {
		hits, _, err := r.Search(ctx, client.Query{Text: `"` + x.text + `"`, Limit: 100})
		if err != nil {
			o.w.fail("%s cannot search: %v", d.name, err)
		}
		if slices.ContainsFunc(hits, func(h client.Hit) bool { return h.Entry.Position == e.Position }) {
			o.w.fail("%s: %q of %s is gone, and %s finds it", c.name, x.text, m.from.name, d.name)
		}
	}
}

// judgeText looks whether a message says what it said at first, or what the last edit has it say.
func (o *Oracle) judgeText(c *chat, d *Device, m *message, e client.Entry) {
	if m.kind != saying {
		return
	}
	edits, sure := last(c.deeds(m, editing))
	var may []string
	if !sure {
		may = append(may, m.text)
	}
	for _, x := range edits {
		may = append(may, x.text)
	}
	if !slices.Contains(may, e.Message.Text) {
		o.w.fail("%s: %q of %s says %q to %s, and must say one of %q", c.name, m.text, m.from.name, e.Message.Text, d.name, may)
	}
}

// reactions returns what is on a message, each with its user, sorted.
func reactions(e client.Entry) (list []string) {
	for _, r := range e.Message.Reactions {
		for _, u := range r.Users {
			list = append(list, r.Emoji+u.Name)
		}
	}
	slices.Sort(list)
	return list
}

// judgeReactions looks whether what is on a message is what people put there.
func (o *Oracle) judgeReactions(c *chat, d *Device, m *message, e client.Entry) {
	all := map[string][]*message{}
	for _, x := range c.deeds(m, reacting, unreacting) {
		all[x.text+x.from.user.name] = append(all[x.text+x.from.user.name], x)
	}
	shown := reactions(e)
	for _, s := range slices.Sorted(maps.Keys(all)) {
		latest, sure := last(all[s])
		is, on, off := slices.Contains(shown, s), false, !sure
		for _, x := range latest {
			on, off = on || x.kind == reacting, off || x.kind == unreacting
		}
		if is && !on || !is && !off {
			o.w.fail("%s: %s is on %q of %s for %s: %v, and it must be the other way", c.name, s, m.text, m.from.name, d.name, is)
		}
	}
	for _, s := range shown {
		if all[s] == nil {
			o.w.fail("%s: %s is on %q of %s for %s, and nobody put it there", c.name, s, m.text, m.from.name, d.name)
		}
	}
}

// judgeReceipts looks whether the devices of a sender know who has read a message: all who did, and nobody else.
func (o *Oracle) judgeReceipts(c *chat, d *Device, m *message, e client.Entry, kept histories) {
	if !e.Message.Own || o.anyLost() || o.back || o.w.plant.Profile != nil {
		return
	}
	id, _ := c.known()
	said := map[string]bool{}
	for _, r := range e.Message.Receipts {
		said[r.User.Name] = !r.Read.IsZero()
	}
	did := map[string]bool{}
	for _, other := range o.w.order {
		seen, there := kept[other][m.id]
		other.mu.Lock()
		read := there && other.reads[id] >= seen.Position
		other.mu.Unlock()
		if !read || other.user == d.user {
			continue
		}
		did[other.user.name] = true
		if r, err := other.program(); err != nil {
			continue
		} else if tells, err := r.Receipts(id); err != nil || !tells {
			continue // there are too many members for that
		}
		if v := other.standing(id); seen.Message.Gone == client.There && v != nil && v.Standing == client.Active && o.present[other] && o.follows(c, other, m) && !said[other.user.name] {
			o.w.fail("%s: %s has read %q, and %s does not know", c.name, other.name, m.text, d.name)
		}
	}
	for user, read := range said {
		if read && !did[user] && !o.anyReplaced() {
			o.w.fail("%s: %s is told that %s has read %q, which nobody did", c.name, d.name, user, m.text)
		}
	}
}

// anyReplaced reports whether any device is another one than once.
func (o *Oracle) anyReplaced() bool { return len(o.replaced) > 0 }

// judgeMeddling looks whether everybody was told of who would have changed what another one said.
func (o *Oracle) judgeMeddling(c *chat, kept histories) {
	id, _ := c.known()
	for _, m := range c.messages {
		if m.kind != meddling || !m.accepted {
			continue
		}
		for _, d := range o.w.order {
			e, there := kept[d][m.target.id]
			if d == m.from || !there || e.Message.Gone != client.There || !o.follows(c, d, m) || !o.follows(c, d, m.target) {
				continue
			}
			told := slices.ContainsFunc(d.eyes.entries(id), func(x client.Entry) bool {
				return x.Notice != nil && x.Notice.Code == "not-own" && strings.Contains(x.Notice.Text, e.Message.ID.Short())
			})
			if !told {
				o.w.fail("%s: %s is not told that %s meddled with %q", c.name, d.name, m.from.name, m.target.text)
			}
		}
	}
}

// histories are the lines that devices keep of a conversation, by message.
type histories map[*Device]map[client.MessageID]client.Entry

// histories reads them.
func (o *Oracle) histories(c *chat) histories {
	id, _ := c.known()
	kept := histories{}
	for _, d := range o.w.order {
		r, err := d.program()
		if err != nil || !o.present[d] {
			continue
		}
		kept[d] = map[client.MessageID]client.Entry{}
		for _, e := range o.history(d, r, id) {
			if e.Message != nil {
				kept[d][e.Message.ID] = e
			}
		}
		for _, e := range d.eyes.entries(id) { // those that disappeared are no lines any more
			if e.Message == nil || !e.Message.Kind.Line() || kept[d][e.Message.ID].Message != nil {
				continue
			}
			if now, err := r.At(e.Position); err != nil {
				o.w.fail("%s cannot look at what it showed: %v", d.name, err)
			} else if now != nil && now.Message.Gone == client.Expired {
				kept[d][e.Message.ID] = *now
			}
		}
	}
	return kept
}

// state returns what became of a message at its sender, and whether it is there.
func (o *Oracle) state(m *message, id qpq.ChannelID) (client.MessageState, bool) {
	r, err := m.from.program()
	if err != nil {
		return 0, false
	}
	e, err := r.Sent(id, m.id)
	if err != nil {
		if !errors.Is(err, qpq.NotFound) {
			o.w.fail("%s cannot tell what became of %q: %v", m.from.name, m.text, err)
		}
		return 0, false
	}
	return e.Message.State, true
}
