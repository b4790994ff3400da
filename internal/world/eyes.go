package world

import (
	"slices"
	"sync"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/wire"
)

// Eyes are what a person has seen on a device, in order.
type Eyes struct {
	mu   sync.Mutex
	last int64 // position of the newest entry
	seen []sight
}

// sight is an entry that a person saw.
type sight struct {
	client.Entry
	at time.Time
}

// position returns from where on there is news.
func (e *Eyes) position() int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.last
}

// see takes another entry.
func (e *Eyes) see(d *Device, entry client.Entry) {
	if entry.Notice != nil {
		d.w.log(d.name, "reads: %s", entry.Notice.Text)
	} else {
		d.w.log(d.name, "reads: %s: %s", entry.Message.Sender.Name, textOf(entry))
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if entry.Position <= e.last {
		d.w.fail("%s is shown position %d after %d", d.name, entry.Position, e.last)
	}
	e.last = entry.Position
	e.seen = append(e.seen, sight{entry, time.Now()})
}

// forget is for a device that was set back: its person begins anew.
func (e *Eyes) forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.last, e.seen = 0, nil
}

// entries returns what was seen of a conversation.
func (e *Eyes) entries(id qpq.ChannelID) (list []client.Entry) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, x := range e.seen {
		if x.Channel == id {
			list = append(list, x.Entry)
		}
	}
	return list
}

// newest returns up to so many of the lines of a conversation that satisfy f, the newest first.
func (e *Eyes) newest(id qpq.ChannelID, most int, f func(*client.Message) bool) (list []client.Entry) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, x := range slices.Backward(e.seen) {
		if len(list) < most && x.Channel == id && x.Message != nil && x.Message.Kind.Line() && f(x.Message) {
			list = append(list, x.Entry)
		}
	}
	return list
}

// toldSince reports whether a person was told something, by one of several codes, in a conversation since a time.
func (e *Eyes) toldSince(id qpq.ChannelID, since time.Time, codes map[string]bool) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.ContainsFunc(e.seen, func(x sight) bool {
		return x.Channel == id && x.Notice != nil && codes[x.Notice.Code] && !x.at.Before(since)
	})
}

// textOf returns the text of a message as it was sent, of a file its name, of a reaction the emoji.
func textOf(e client.Entry) string {
	switch b := e.Message.Body.Body.(type) {
	case wire.TextBody:
		return b.Text
	case wire.ReplyBody:
		return b.Text
	case wire.EditBody:
		return b.Text
	case wire.ReactionBody:
		return b.Emoji
	case wire.FileBody:
		return b.Name
	case wire.DeleteBody:
		return ""
	case wire.ViewOnceBody:
		if b.File != nil {
			return b.File.Name
		}
		return b.Text
	}
	return "(no text)"
}
