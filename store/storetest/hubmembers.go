package storetest

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/store"
)

func (h *hub) leave() (what, want string, err error) {
	id, ch := h.channel()
	name, _ := h.pick()
	l := store.Leave{Channel: id, Account: name, Device: qpq.DeviceID{1}, Now: h.now, Retention: month}
	if h.r.IntN(3) > 0 {
		l.Goodbye = fmt.Append(nil, "goodbye of ", name)
		if ch != nil {
			l.Epoch = ch.slots[len(ch.slots)-1].epoch - int64(h.r.IntN(8)) + 1
		}
	}
	_, err = h.s.LeaveChannel(h.t.Context(), l)
	what = fmt.Sprintf("%s leaves %v in epoch %d", name, id[0], l.Epoch)
	switch {
	case ch == nil || ch.members()[name] == nil:
		return what, "channel-unknown", err
	case l.Goodbye != nil && !ch.takes(l.Epoch):
		return what, "stale-epoch", err
	}
	h.gone(id, ch, name, qpq.DeviceID{1}, l.Goodbye)
	return what, "", err
}

func (h *hub) gone(id qpq.ChannelID, ch *hubChannel, name string, device qpq.DeviceID, goodbye []byte) {
	for _, s := range ch.slots {
		s.roster.Remove(name)
	}
	told := map[string]bool{}
	for to := range ch.members() {
		h.deliver(to, hubRow{InboxRow: store.InboxRow{Kind: store.KindLeft, Channel: id, Sequence: ch.sequence, Time: h.now, Account: name, Device: device, Payload: append([]byte{}, goodbye...)}, expires: h.now.Add(month)}, told)
	}
	h.deliver(name, hubRow{InboxRow: store.InboxRow{Kind: store.KindRemoved, Channel: id, Sequence: ch.sequence, Time: h.now}}, told)
	if len(ch.members()) == 0 {
		delete(h.channels, id)
		h.ended[id], ch.until = ch, h.now.Add(month+30*24*time.Hour)
	}
}

func (h *hub) erase() (what, want string, err error) {
	name, a := h.pick()
	living := 0
	for _, a := range h.accounts {
		if a != nil {
			living++
		}
	}
	if living <= 4 || a == nil {
		return "nobody is erased", "", nil
	}
	_, err = h.s.DeleteAccount(h.t.Context(), name, h.now, month)
	h.accounts[name] = nil
	for b := range byte(5) { // in this order
		id := qpq.ChannelID{b}
		if ch := h.channels[id]; ch != nil && ch.members()[name] != nil {
			h.gone(id, ch, name, qpq.DeviceID{}, nil)
		}
	}
	return "erase " + name, "", err
}

func (h *hub) changeDevices() (what, want string, err error) {
	name, a := h.pick()
	if a == nil || name < "d" && h.r.IntN(20) > 0 { // some have one device for long
		return "no device of " + name, "", nil
	}
	id := byte(2 + h.r.IntN(100))
	c := store.AccountChange{Name: name, MaxDevices: 5, Now: h.now}
	if len(a.devices) < 4 {
		d := device(id)
		if id = byte(1 + len(a.devices)); a.devices[id] == nil && h.r.IntN(3) > 0 {
			d = device(id)
		}
		c.Enrol = &d
		err = h.s.ChangeAccount(h.t.Context(), c)
		if qpq.CodeOf(err) == "device-enrolled" {
			return "a device comes back", "device-enrolled", err
		}
		a.devices[d.ID[0]] = &hubCursor{seq: a.last, moved: h.now}
		return fmt.Sprintf("enrol %d of %s", d.ID[0], name), "", err
	}
	id = slices.Sorted(maps.Keys(a.devices))[1]
	c.Revoke = []qpq.DeviceID{{id}}
	delete(a.devices, id)
	for _, ch := range h.channels {
		for _, s := range ch.slots {
			s.roster.Leave(name, qpq.DeviceID{id})
		}
	}
	return fmt.Sprintf("revoke %d of %s", id, name), "", h.s.ChangeAccount(h.t.Context(), c)
}
