package world

import (
	"crypto/sha256"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/wire"
)

// place is where a message is in a channel.
type place struct {
	channel qpq.ChannelID
	hash    [32]byte
}

// delivered looks at what a device finds in its inbox: a message has one number in its channel, whoever reads it and however often its
// sender had to hand it in.
func (o *Oracle) delivered(d *Device, method string, status uint16, b []byte) {
	if method != (wire.InboxFetch{}).Method().Name || status != 0 {
		return
	}
	reply, err := wire.Unmarshal[wire.InboxFetchReply](b)
	if err != nil {
		o.w.fail("%s gets an answer about its inbox that cannot be read: %v", d.name, err)
		return
	}
	o.numbered(d, reply.Rows)
}

// pushed is delivered for what comes by push.
func (o *Oracle) pushed(d *Device, b []byte) {
	p, err := wire.Unmarshal[wire.Push](b)
	if err != nil {
		o.w.fail("%s is pushed what cannot be read: %v", d.name, err)
		return
	}
	if e, ok := p.Event.(wire.InboxPush); ok && e.Row != nil {
		o.numbered(d, []wire.InboxRow{*e.Row})
	}
}

// numbered looks at the numbers of rows.
func (o *Oracle) numbered(d *Device, rows []wire.InboxRow) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range rows {
		if r.Kind != wire.InboxKindMessage || len(r.Payload) == 0 {
			continue
		}
		at := place{r.Channel, sha256.Sum256(r.Payload)}
		if before, known := o.places[at]; known && before != r.ChannelSequence {
			o.w.fail("%s finds a message as number %d in its inbox, and it was number %d before", d.name, r.ChannelSequence, before)
		}
		o.places[at] = r.ChannelSequence
	}
}
