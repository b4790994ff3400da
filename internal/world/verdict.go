package world

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
)

// What must be true of a conversation at the end.

func (o *Oracle) judgeChats(ctx context.Context) {
	for _, name := range slices.Sorted(maps.Keys(o.chats)) {
		c := o.chats[name]
		id, known := c.known()
		if !known {
			continue
		}
		views := o.views(ctx, c, id)
		o.judgeMembers(c, views)
		o.talk(ctx, c, views)
		kept := o.histories(c)
		for _, m := range c.messages {
			o.judgeSender(c, m)
		}
		o.judgeMessages(c)
		o.finish(ctx, c, kept)
		kept = o.histories(c)
		for _, d := range o.w.order {
			o.judgeHistory(c, d, kept)
		}
		o.judgeShown(ctx, c, kept)
		o.judgeMeddling(c, kept)
	}
}

// views returns what all devices think of a conversation. Where it is not sure who should be in it, people look at it and accept it.
func (o *Oracle) views(ctx context.Context, c *chat, id qpq.ChannelID) map[*Device]*client.Conversation {
	for _, d := range o.w.order {
		v := d.standing(id)
		if v == nil || v.Standing != client.Suspect {
			continue
		}
		if r, err := d.program(); err == nil {
			c.asked = true
			if err := r.Confirm(ctx, id); err != nil {
				o.w.fail("%s cannot confirm the members: %v", d.name, err)
			}
		}
	}
	if c.asked {
		o.w.driver.rest(o.w, 40*time.Minute)
	}
	views := map[*Device]*client.Conversation{}
	for _, d := range o.w.order {
		if v := d.standing(id); v != nil {
			views[d] = v
		}
	}
	return views
}

func describe(v *client.Conversation) string {
	var members []string
	for _, m := range v.Members {
		members = append(members, m.User.Name+" "+m.Role.String())
	}
	return fmt.Sprintf("%q, epoch %d, members %s", v.Title, v.Epoch, strings.Join(members, ", "))
}

// judgeMembers looks whether all who are in a conversation agree on it, whether all devices of members are in it, and whether members are
// who must be.
func (o *Oracle) judgeMembers(c *chat, views map[*Device]*client.Conversation) {
	var agreed *client.Conversation
	var first *Device
	for _, d := range o.w.order {
		v := views[d]
		if v == nil || v.Standing != client.Active || !o.present[d] {
			continue
		}
		if agreed == nil {
			agreed, first = v, d
		} else if describe(v) != describe(agreed) {
			o.w.fail("%s: %s has %s, and %s has %s", c.name, first.name, describe(agreed), d.name, describe(v))
		}
	}
	if agreed == nil {
		o.judgeEmpty(c)
		return
	}
	for _, d := range o.w.order {
		if !o.present[d] {
			continue
		}
		member := slices.ContainsFunc(agreed.Members, func(m client.Member) bool { return m.User.Name == d.user.name })
		v := views[d]
		switch {
		case member && o.lingers(c, views, agreed, d.user.name):
			// its devices know better
		case member && o.unrevoked(d):
			// those that are in it know that it was revoked
		case member && (v == nil || v.Standing != client.Active):
			o.w.fail("%s: %s is a device of a member, and is not in it: %v", c.name, d.name, standingOf(v))
		case !member && v != nil && v.Standing == client.Joining && o.hostile:
			// the hub goes on counting it in, until it knows that a commit was void
		case !member && v != nil && v.Standing != client.Ended:
			o.w.fail("%s: %s is no member, and believes to be one: %v", c.name, d.name, standingOf(v))
		}
	}
	for _, u := range slices.Sorted(maps.Keys(o.w.users)) {
		in, sure := c.member(u)
		is := slices.ContainsFunc(agreed.Members, func(m client.Member) bool { return m.User.Name == u })
		if sure && in != is && !o.accounts[u].deleting && !(is && o.lingers(c, views, agreed, u)) {
			o.w.fail("%s: %s is a member: %v, and must be: %v", c.name, u, is, in)
		}
		if by := c.remover(u); is && !c.asked && by != nil && o.present[by] && !o.replaced[by] && !o.reset[by] {
			o.w.fail("%s: %s was removed by %s, is a member again, and nobody was asked", c.name, u, by.name)
		}
	}
}

func (o *Oracle) judgeEmpty(c *chat) {
	for _, u := range slices.Sorted(maps.Keys(o.w.users)) {
		in, sure := c.member(u)
		if !sure || !in || o.accounts[u].deleting {
			continue
		}
		for _, d := range o.w.order {
			if d.user.name == u && o.present[d] {
				o.w.fail("%s: nobody is in it, and %s must be", c.name, u)
				return
			}
		}
	}
}

func standingOf(v *client.Conversation) string {
	if v == nil {
		return "it knows nothing of it"
	}
	return [...]string{client.Active: "active", client.Joining: "joining", client.Healing: "healing", client.Suspect: "suspect", client.Ended: "ended"}[v.Standing]
}

// talk lets every device that is in a conversation say something, one after the other, and once more all together. All others must show it.
func (o *Oracle) talk(ctx context.Context, c *chat, views map[*Device]*client.Conversation) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	var together sync.WaitGroup
	for _, d := range o.w.order {
		if v := views[d]; v != nil && v.Standing == client.Active && o.present[d] {
			o.say(ctx, c, d, "at the end, "+d.name)
		}
	}
	for _, d := range o.w.order {
		if v := views[d]; v != nil && v.Standing == client.Active && o.present[d] {
			together.Go(func() { o.say(ctx, c, d, "all together, "+d.name) })
		}
	}
	together.Wait()
	o.w.driver.rest(o.w, time.Minute) // long before programs look by themselves for what they missed
}

// say lets a device say something in a conversation, which it can.
func (o *Oracle) say(ctx context.Context, c *chat, d *Device, text string) {
	r, err := d.program()
	if err != nil {
		return
	}
	id, _ := c.known()
	m := c.sending(d, saying, text, nil)
	message, err := r.SendText(ctx, id, text)
	if err == nil {
		c.queued(m, message)
		err = r.Wait(ctx, id, message)
	}
	switch {
	case err == nil:
		c.accepted(m)
	case qpq.CodeOf(err) == "peer-gone" && o.anyDeleting():
		c.notSent(m, refused)
	default:
		o.w.fail("%s: %s cannot talk any more: %v (%s)", c.name, d.name, err, qpq.CodeOf(err))
	}
}

// judgeMessages looks what became of each message.
func (o *Oracle) judgeMessages(c *chat) {
	id, _ := c.known()
	shown := map[*Device]map[client.MessageID]bool{}
	for _, d := range o.w.order {
		shown[d] = map[client.MessageID]bool{}
		for _, e := range d.eyes.entries(id) {
			if e.Message != nil {
				shown[d][e.Message.ID] = true
			}
		}
	}
	for _, m := range c.messages {
		if !m.accepted {
			continue
		}
		for _, d := range m.owed {
			if shown[d][m.id] || !m.kind.line() || !o.owes(c, d, m) {
				continue
			}
			if c.timed && d.user == m.from.user { // it may have disappeared before somebody looked
				continue
			}
			o.w.fail("%s: %q of %s was accepted, and %s was never shown it", c.name, m.text, m.from.name, d.name)
		}
		for _, d := range o.w.order {
			if gone := c.gone(d.user.name); shown[d][m.id] && !gone.IsZero() && m.begun.After(gone) {
				o.w.fail("%s: %s was removed, and is shown %q, which came later", c.name, d.name, m.text)
			}
		}
	}
}

// owes reports whether nothing excuses that a message is not shown on a device.
func (o *Oracle) owes(c *chat, d *Device, m *message) bool {
	switch {
	case o.forgotten(m.begun, m.at), !o.present[d], o.replaced[d]:
		return false
	case c.leaves(d.user.name, m.begun):
		return false
	}
	if c.timed && o.told(c, d, "late") { // it had its time before it could be fetched
		return false
	}
	if o.leaving(m.from) && o.wasTold(c, d, m, leftOut) { // it was revoked meanwhile
		return false
	}
	return !setBack(o, c, d) || !o.wasTold(c, d, m, honest)
}

// wasTold reports whether a device told its person something by one of several codes, since a message was sent.
func (o *Oracle) wasTold(c *chat, d *Device, m *message, codes map[string]bool) bool {
	id, _ := c.known()
	return d.eyes.toldSince(id, m.begun, codes)
}

// leftOut is the notice of a message that was left out, because its device is revoked.
var leftOut = map[string]bool{"revoked-device": true}

// honest are the notices that say that something cannot be read.
var honest = map[string]bool{"unreadable": true, "healed": true, "gap": true, "damaged": true, "joined": true}

// judgeSender looks whether the sender of a message knows what became of it.
func (o *Oracle) judgeSender(c *chat, m *message) {
	if !m.queued || !o.present[m.from] || o.replaced[m.from] || o.excusedDevice(m.from) {
		return
	}
	if _, err := m.from.program(); err != nil {
		return
	}
	id, _ := c.known()
	switch state, there := o.state(m, id); {
	case !there:
		o.w.fail("%s: %q was queued by %s, and is gone", c.name, m.text, m.from.name)
	case state == client.Accepted:
		m.accepted = true
	case m.accepted:
		o.w.fail("%s: %q of %s had been accepted, and now is not", c.name, m.text, m.from.name)
	case state == client.Queued:
		o.w.fail("%s: %q of %s still waits", c.name, m.text, m.from.name)
	}
}

// history returns all of a conversation that a device keeps.
func (o *Oracle) history(d *Device, r *running, id qpq.ChannelID) (all []client.Entry) {
	before := int64(0)
	for {
		page, err := r.History(id, before, 100)
		if err != nil {
			o.w.fail("%s cannot read its history: %v", d.name, err)
			return all
		}
		all = append(page, all...)
		if len(page) < 100 {
			return all
		}
		before = page[0].Position
	}
}

// judgeHistory looks whether a device shows each message once, those of a sender in order, nothing that nobody wrote, and still all that it
// showed before.
func (o *Oracle) judgeHistory(c *chat, d *Device, kept histories) {
	id, _ := c.known()
	written := map[client.MessageID]*message{}
	for _, m := range c.messages {
		written[m.id] = m
	}
	shown, newest := map[client.MessageID]bool{}, map[*Device]int{}
	for _, e := range d.eyes.entries(id) {
		if e.Message == nil {
			o.judgeNotice(c, d, e.Notice)
			continue
		}
		m := written[e.Message.ID]
		if m == nil { // perhaps queued just before its machine died
			if m = o.unfinished(c, e); m != nil {
				written[m.id] = m
			}
		}
		if m == nil && e.Message.Gone != client.There {
			continue // nobody can tell what it was
		}
		switch {
		case m == nil || m.text != textOf(e) && e.Message.Gone == client.There || m.from.user.name != e.Message.Sender.Name:
			o.w.fail("%s: %s is shown %q as of %s, who did not write it", c.name, d.name, textOf(e), e.Message.Sender)
			continue
		case shown[e.Message.ID]:
			o.w.fail("%s: %s is shown %q twice", c.name, d.name, m.text)
		}
		shown[e.Message.ID] = true
		if m.kind.file() {
			continue // it is sent once the file is at the server
		}
		if last, ok := newest[m.from]; ok && m.number < last {
			o.w.fail("%s: %s is shown %q of %s after a later one", c.name, d.name, m.text, m.from.name)
		}
		newest[m.from] = max(newest[m.from], m.number)
	}
	if _, err := d.program(); err != nil || !o.present[d] || o.replaced[d] {
		return
	}
	for id := range shown {
		if _, there := kept[d][id]; !there && written[id].kind.line() {
			o.w.fail("%s: %s showed %q, and has it no more", c.name, d.name, written[id].text)
		}
	}
}

// unfinished returns the message of an entry whose sender was not told that it was queued.
func (o *Oracle) unfinished(c *chat, e client.Entry) *message {
	for _, m := range c.messages {
		if m.impossible || m.text != textOf(e) || m.from.user.name != e.Message.Sender.Name {
			continue
		}
		if m.kind.file() && o.reset[m.from] && m.queued { // an older copy of the device sends the file again
			return &message{text: m.text, kind: m.kind, from: m.from, id: e.Message.ID}
		}
		if !m.queued {
			m.id = e.Message.ID
			return m
		}
	}
	return nil
}

// judgeNotice looks whether there is a reason for a notice of trouble.
func (o *Oracle) judgeNotice(c *chat, d *Device, n *client.Notice) {
	if reason, trouble := troubles[n.Code]; trouble && !reason(o, c, d) {
		o.w.fail("%s: %s is told without a reason: %s: %s", c.name, d.name, n.Code, n.Text)
	}
}

// troubles are notices that need a reason.
var troubles = map[string]func(*Oracle, *chat, *Device) bool{
	"gap":         setBack,
	"unreadable":  setBack,
	"healed":      setBack,
	"damaged":     setBack,
	"void":        setBack,
	"fork":        setBack,
	"suspect":     setBack,
	"bad-receipt": never,
	"malformed":   never,
}

func never(*Oracle, *chat, *Device) bool { return false }

// setBack reports whether there was something that can make a device lose messages, or join anew.
func setBack(o *Oracle, _ *chat, d *Device) bool {
	return o.back || o.hostile || o.w.scenario.Inbox > 0 || o.excusedDevice(d)
}

// anyDeleting reports whether somebody tried to delete an account.
func (o *Oracle) anyDeleting() bool {
	for _, a := range o.accounts {
		if a.deleting {
			return true
		}
	}
	return false
}
