package world

import (
	"slices"
	"sync"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
)

// chat is a conversation as the oracle knows it: by what people did and what they were told of it.
type chat struct {
	w    *World
	name string

	mu       sync.Mutex
	id       qpq.ChannelID // zero while nobody was told of it
	direct   bool
	changes  []*change
	messages []*message
	timed    bool               // messages may disappear
	asked    bool               // people had to decide who should be in it
	joined   map[*Device]uint64 // the epoch in which a device was first seen in the group
}

// change is an attempt to make somebody a member, or a member no longer.
type change struct {
	user   string
	by     *Device // nil where it was done by several
	in     bool
	begun  time.Time
	ended  time.Time // zero while it is under way
	result outcome
}

// message is an attempt to send one, or to do something to one.
type message struct {
	text       string // of a reaction the emoji
	kind       kind
	target     *message // what it answers or changes, nil for nothing
	from       *Device
	number     int // among those of the device in the chat
	begun      time.Time
	epoch      uint64 // that the device was in
	id         client.MessageID
	queued     bool      // it must not get lost any more, nor be accepted later than all that the device queues afterwards
	accepted   bool      // the hub has it, as the sender was told
	at         time.Time // when the sender was; zero if that is not known
	impossible bool      // it was refused before it was queued
	owed       []*Device // to whom it must be shown
}

func (o *Oracle) chat(name string) *chat {
	o.mu.Lock()
	defer o.mu.Unlock()
	c := o.chats[name]
	if c == nil {
		c = &chat{w: o.w, name: name, joined: map[*Device]uint64{}}
		o.chats[name] = c
	}
	return c
}

func (c *chat) known() (qpq.ChannelID, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.id, c.id != qpq.ChannelID{}
}

// is notes which conversation it is. There is one.
func (c *chat) is(id qpq.ChannelID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.id != (qpq.ChannelID{}) && c.id != id {
		c.w.fail("there are two conversations %s: %s and %s", c.name, c.id, id)
	}
	c.id = id
}

func (c *chat) makesDirect(a, b string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.direct = true
	if len(c.changes) == 0 {
		for _, user := range []string{a, b} {
			c.changes = append(c.changes, &change{user: user, in: true, begun: time.Now(), result: unknown})
		}
	}
}

// changing begins a change of the members. What it returns is told how that ended.
func (c *chat) changing(d *Device, in bool, users ...string) func(outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []*change
	for _, user := range users {
		all = append(all, &change{user: user, by: d, in: in, begun: time.Now(), result: unknown})
	}
	c.changes = append(c.changes, all...)
	return func(o outcome) {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, x := range all {
			x.ended, x.result = time.Now(), o
		}
	}
}

// sending begins to send a message: who is in the group now must be shown it, unless it is refused.
func (c *chat) sending(d *Device, kind kind, text string, target *message) *message {
	id, _ := c.known()
	m := &message{text: text, kind: kind, target: target, from: d, begun: time.Now()}
	if v := d.standing(id); v != nil {
		m.epoch = v.Epoch
	}
	for _, other := range c.w.order {
		v, told := other.tellStanding(id)
		c.mu.Lock()
		if !told {
			// it is as it was
		} else if v == nil || v.Standing != client.Active {
			delete(c.joined, other)
		} else if _, known := c.joined[other]; !known {
			c.joined[other] = v.Epoch
		}
		// Who sends may not know yet who came last.
		if epoch, in := c.joined[other]; in && epoch <= m.epoch {
			m.owed = append(m.owed, other)
		}
		c.mu.Unlock()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, x := range c.messages {
		if x.from == d {
			m.number++
		}
	}
	c.messages = append(c.messages, m)
	return m
}

// message returns the one with an id, nil where nobody is known to have sent it.
func (c *chat) message(id client.MessageID) *message {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.messages, func(m *message) bool { return m.queued && m.id == id })
	if i < 0 {
		return nil
	}
	return c.messages[i]
}

func (c *chat) queued(m *message, id client.MessageID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m.id, m.queued = id, true
}

func (c *chat) accepted(m *message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m.accepted, m.at = true, time.Now()
}

func (c *chat) notSent(m *message, o outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m.impossible = o == refused
}

// changed returns the changes as they are known: what the server may have forgotten is not.
func (c *chat) changed() []*change {
	list := slices.Clone(c.changes)
	for i, x := range list {
		if x.result == done && c.w.oracle.forgotten(x.begun, x.ended) {
			y := *x
			y.result = unknown
			list[i] = &y
		}
	}
	return list
}

// leaves reports whether somebody may have stopped to be a member by the time that a message came, or later: their devices may not have
// known of it yet.
func (c *chat) leaves(user string, at time.Time) bool {
	return slices.ContainsFunc(c.changed(), func(x *change) bool {
		if x.user != user || x.in || x.result == refused {
			return false
		}
		back := slices.ContainsFunc(c.changed(), func(y *change) bool {
			return y.user == user && y.in && y.result == done && y.begun.After(x.begun) && y.ended.Before(at)
		})
		return !back || x.ended.IsZero() || !x.ended.Before(at)
	})
}

// member says whether somebody is a member at the end, for sure.
func (c *chat) member(user string) (in, sure bool) {
	var last *change
	for _, x := range c.changed() {
		if x.user != user || x.result == refused {
			continue
		}
		if last == nil || !x.begun.Before(last.begun) {
			last = x
		}
	}
	if last == nil {
		return false, true
	}
	for _, x := range c.changed() { // what was under way when the last one began, and went the other way, may have come after it
		if x != last && x.user == user && x.result != refused && x.in != last.in && (x.result == unknown || x.ended.After(last.begun)) {
			return false, false
		}
	}
	return last.in, last.result == done
}

// remover returns the device that removed somebody for good, nil where nobody did: it knows, whatever the server forgets.
func (c *chat) remover(user string) *Device {
	for _, x := range c.changes {
		if x.user != user || x.in || x.result != done {
			continue
		}
		back := slices.ContainsFunc(c.changes, func(y *change) bool {
			return y.user == user && y.in && y.result != refused && (!y.begun.Before(x.begun) || y.ended.IsZero() || y.ended.After(x.begun))
		})
		if !back && x.by != nil && x.by.user.name != user {
			return x.by
		}
	}
	return nil
}

// gone returns since when somebody is a member no longer: zero if they may be one.
func (c *chat) gone(user string) time.Time {
	for _, x := range c.changed() {
		if x.user != user || x.in || x.result != done {
			continue
		}
		back := slices.ContainsFunc(c.changed(), func(y *change) bool {
			return y.user == user && y.in && y.result != refused && (!y.begun.Before(x.begun) || y.ended.IsZero() || y.ended.After(x.begun))
		})
		if !back {
			return x.ended
		}
	}
	return time.Time{}
}
