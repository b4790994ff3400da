package storetest

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/store"
)

func (h *hub) deliver(name string, row hubRow, told map[string]bool) {
	a := h.accounts[name]
	if a == nil {
		return
	}
	a.last++
	if row.Seq, row.size = a.last, 1<<10; !row.echo {
		row.size += int64(len(row.Payload))
	}
	a.rows = append(a.rows, row)
	told[name] = true
}

// trim keeps inboxes within their quota.
func (h *hub) trim(told map[string]bool) {
	for name := range told {
		a := h.accounts[name]
		total := int64(0)
		for _, r := range a.rows {
			total += r.size
		}
		if total > hubQuota {
			h.dropFor(name, total-hubQuota+hubQuota/8)
		}
	}
}

// dropFor drops messages of the channel that takes most, and then anything of it. Channels of one other founder count together.
func (h *hub) dropFor(name string, excess int64) {
	a := h.accounts[name]
	founders, channels := map[string]int64{}, map[qpq.ChannelID]int64{}
	founder := func(id qpq.ChannelID) string {
		if ch := h.channels[id]; ch != nil && ch.slots[0].by.Account != name {
			return ch.slots[0].by.Account
		}
		return "/" + string(id[:])
	}
	for _, r := range a.rows {
		if r.Kind != store.KindGap {
			founders[founder(r.Channel)] += r.size
			channels[r.Channel] += r.size
		}
	}
	var largest qpq.ChannelID
	for b := range byte(5) {
		id := qpq.ChannelID{b}
		mine, best := founders[founder(id)], founders[founder(largest)]
		switch {
		case channels[id] == 0:
		case largest.IsZero(), mine > best, mine == best && founder(id) < founder(largest):
			largest = id
		case founder(id) == founder(largest) && channels[id] > channels[largest]:
			largest = id
		}
	}
	if largest.IsZero() {
		return
	}
	gone := map[int64]bool{}
	var end hubRow
	for _, messages := range []bool{true, false} {
		for _, r := range a.rows {
			if r.Channel == largest && r.Kind != store.KindGap && (r.Kind == store.KindMessage) == messages && excess > 0 {
				gone[r.Seq] = true
				excess -= r.size
				if r.Seq > end.Seq {
					end = r
				}
			}
		}
	}
	var kept []hubRow
	for _, r := range a.rows {
		switch {
		case r.Seq == end.Seq:
			kept = append(kept, hubRow{InboxRow: store.InboxRow{Seq: r.Seq, Kind: store.KindGap, Channel: largest, Sequence: r.Sequence, Time: r.Time}, size: 1 << 10})
		case !gone[r.Seq] && (r.Channel != largest || r.Kind != store.KindGap):
			kept = append(kept, r)
		}
	}
	a.rows = kept
}

func (h *hub) send() (what, want string, err error) {
	id, ch := h.channel()
	name, _ := h.pick()
	n := byte(h.r.IntN(200))
	h.texts++
	m := store.Message{Channel: id, ID: [16]byte{n}, Account: name, Device: qpq.DeviceID{byte(1 + h.r.IntN(2)*h.r.IntN(3))}, Now: h.now, Retention: month, Quota: hubQuota, Application: h.r.IntN(2) == 0}
	m.Payload = bytes.Repeat(fmt.Append(nil, "text ", h.texts, " "), 1+h.r.IntN(60)*h.r.IntN(30))
	m.Hash = fmt.Append(nil, "hash ", h.texts)
	if h.r.IntN(3) == 0 {
		m.Retention = time.Duration(1+h.r.IntN(72)) * time.Hour
	}
	if ch != nil {
		m.Epoch = ch.slots[len(ch.slots)-1].epoch + int64(h.r.IntN(9)*h.r.IntN(2)) - 6*int64(h.r.IntN(2))
		if before, ok := ch.sent[n]; ok && h.r.IntN(2) == 0 {
			m.Payload, m.Hash = before.Payload, before.Hash
		}
	}
	sent, err := h.s.Send(h.t.Context(), m)
	what = fmt.Sprintf("send %d in epoch %d by %s to %v", n, m.Epoch, name, id[0])
	if ch == nil {
		if ch = h.ended[id]; ch == nil {
			return what, "channel-unknown", err
		}
	}
	before, repeated := ch.sent[n]
	member := ch.members()[name][m.Device[0]]
	switch {
	case repeated && before.Account == name && bytes.Equal(before.Hash, m.Hash):
		if d := cmp.Diff(ch.first[n], sent); d != "" {
			h.t.Errorf("%s: a repetition (-want +got):\n%s", what, d)
		}
		return what, "", err
	case repeated && (member || before.Account == name):
		return what, "message-id-reused", err
	case !member:
		return what, "channel-unknown", err
	case !ch.takes(m.Epoch):
		return what, "stale-epoch", err
	}
	if most := ch.slots[len(ch.slots)-1].policy.Payload; most > 0 && int64(len(m.Payload)) > most {
		return what, "payload-too-large", err
	}
	ch.sequence++
	ch.sent[n], ch.first[n] = m, store.Sent{Sequence: ch.sequence, Time: h.now}
	told := map[string]bool{}
	members := ch.members()
	for to := range members {
		echo := m.Application && to == name && h.alone(to, m.Device[0]) && len(members) <= 4
		h.deliver(to, hubRow{echo: echo, InboxRow: store.InboxRow{Kind: store.KindMessage, Channel: id, Sequence: ch.sequence, Time: h.now, Account: name, Device: m.Device, ID: m.ID[:], Payload: m.Payload}, expires: h.now.Add(m.Retention)}, told)
	}
	if sent.Sequence != ch.sequence || len(sent.Notices) != len(told) {
		h.t.Errorf("%s: %+v, want number %d for %v", what, sent, ch.sequence, told)
	}
	for _, n := range sent.Notices {
		if n.Seq != h.accounts[n.Account].last {
			h.t.Errorf("%s: the notice for %s says %d, want %d", what, n.Account, n.Seq, h.accounts[n.Account].last)
		}
	}
	h.trim(told)
	return what, "", err
}

// takes reports whether messages of an epoch are taken.
func (c *hubChannel) takes(epoch int64) bool {
	floor, near := int64(0), false
	for _, s := range c.tips() {
		floor = max(floor, s.floor)
		near = near || epoch <= s.epoch && epoch >= s.epoch-4
	}
	return near && epoch >= min(floor, c.slots[len(c.slots)-1].epoch)
}

func (h *hub) acknowledge() (what, want string, err error) {
	name, a := h.pick()
	device := byte(1 + h.r.IntN(2)*h.r.IntN(4))
	seq := int64(h.r.IntN(10))
	if a != nil {
		seq = a.last - int64(h.r.IntN(12)) + 2
	}
	acknowledge(h.t, h.s, name, device, seq, h.now)
	what = fmt.Sprintf("acknowledge %d of %s's device %d", seq, name, device)
	if a == nil || a.devices[device] == nil {
		return what, "", nil
	}
	d := a.devices[device]
	d.seq, d.moved = max(d.seq, min(seq, a.last)), h.now
	low := d.seq
	for _, o := range a.devices {
		if o == d || o.moved.After(h.now.Add(-fortnight)) {
			low = min(low, o.seq)
		}
	}
	a.drop(low)
	return what, "", nil
}

func (a *hubAccount) drop(upTo int64) {
	if upTo > a.dropped {
		a.dropped = upTo
	}
	a.rows = slices.DeleteFunc(a.rows, func(r hubRow) bool { return r.Seq <= upTo })
}

// alone reports whether no other device of an account reads its inbox.
func (h *hub) alone(name string, device byte) bool {
	for id := range h.accounts[name].devices {
		if id != device {
			return false
		}
	}
	return true
}

// needed reports whether another row needs the payload of one without it.
func (h *hub) needed(echo hubRow) bool {
	for _, a := range h.accounts {
		if a != nil && slices.ContainsFunc(a.rows, func(r hubRow) bool { return !r.echo && r.Channel == echo.Channel && bytes.Equal(r.ID, echo.ID) }) {
			return true
		}
	}
	return false
}

// compare fetches every inbox for every device, and looks up every channel for everybody.
func (h *hub) compare(what string, kinds map[store.Kind]int) {
	h.t.Helper()
	for _, name := range hubNames {
		a := h.accounts[name]
		if a == nil {
			continue
		}
		for id, d := range a.devices {
			in := fetchAt(h.t, h.s, name, id, 0, h.now)
			var want []store.InboxRow
			for _, r := range a.rows {
				if r.For.IsZero() || r.For[0] == id {
					if r.echo && !h.needed(r) {
						h.echoes++
						r.Payload = nil
					}
					if !r.expires.After(h.now) {
						r.Payload = nil
					}
					want = append(want, r.InboxRow)
					kinds[r.Kind]++
				}
			}
			if diff := cmp.Diff(want, in.Rows); diff != "" {
				h.t.Fatalf("%s: inbox of %s for device %d (-model +store):\n%s", what, name, id, diff)
			}
			if in.Head != a.last || in.Acknowledged != d.seq || in.Lapsed != (d.seq < a.dropped) {
				h.t.Fatalf("%s: %s's device %d: head %d, acknowledged %d, lapsed %v; want %d, %d, %v", what, name, id, in.Head, in.Acknowledged, in.Lapsed, a.last, d.seq, d.seq < a.dropped)
			}
		}
	}
	for id, ch := range h.channels {
		h.compareChannel(what, id, ch)
	}
}

func (h *hub) compareChannel(what string, id qpq.ChannelID, ch *hubChannel) {
	h.t.Helper()
	members := ch.members()
	for _, name := range hubNames {
		got, err := h.s.Channel(h.t.Context(), id, name)
		if members[name] == nil {
			wantKind(h.t, err, qpq.NotFound, "channel-unknown")
			continue
		}
		ok(h.t, err)
		devices := map[string]map[byte]bool{}
		for _, m := range got.Roster {
			if role := ch.role(m.Account); m.Role != role {
				h.t.Fatalf("%s: channel %v: %s has role %d, want %d", what, id[0], m.Account, m.Role, role)
			}
			devices[m.Account] = map[byte]bool{}
			for _, d := range m.Devices {
				devices[m.Account][d[0]] = true
			}
		}
		if d := cmp.Diff(members, devices); d != "" || got.Sequence != ch.sequence || got.Head.Number != int64(len(ch.slots)-1) {
			h.t.Fatalf("%s: channel %v: %+v (-model +store):\n%s", what, id[0], got, d)
		}
		slot := int64(h.r.IntN(len(ch.slots) + 2))
		g, err := h.s.ChannelGroup(h.t.Context(), id, name, slot)
		at := ch.slots[min(int(slot), len(ch.slots)-1)]
		if !slices.Contains(ch.whole(), at) || at.roster.Find(name) == nil {
			wantKind(h.t, err, qpq.NotFound, "group-gone")
			continue
		}
		ok(h.t, err)
		chunks, err := h.s.ChannelChunks(h.t.Context(), id, name, g.Manifest, 1<<20)
		if err != nil || g.Slot != at.Number || string(g.Info) != fmt.Sprint("info ", at.Number) || len(chunks) != 2 || string(chunks[1]) != fmt.Sprint("chunk ", at.Number) {
			h.t.Fatalf("%s: the group of channel %v after slot %d: %+v, %q, %v", what, id[0], slot, g, chunks, err)
		}
	}
}
