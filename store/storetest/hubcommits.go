package storetest

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/store"
)

func (h *hub) commit() (what, want string, err error) {
	id, ch := h.channel()
	if ch == nil {
		_, err := h.s.CommitChannel(h.t.Context(), store.Commit{Channel: id, Slot: 1}, nil)
		return "commit to nothing", "channel-unknown", err
	}
	head := ch.slots[len(ch.slots)-1]
	slot, parent := head.Number+1, head
	switch h.r.IntN(8) {
	case 0:
		slot += int64(h.r.IntN(3)) - 1
	case 1, 2:
		parent = ch.slots[max(0, len(ch.slots)-1-h.r.IntN(len(ch.window())+2))]
	}
	if slot < 1 {
		slot = 1
	}
	after, removed := h.change(parent.roster)
	by := h.member(parent.roster)
	if h.r.IntN(16) > 0 && parent.roster.Find(head.by.Account) != nil {
		by = head.by // again
	}
	ruling := store.Ruling{Slot: signedSlot(slot, parent.Number, fmt.Append(nil, "commit ", h.r.Int())), Roster: after, Policy: head.policy, Cuts: removed}
	if h.r.IntN(10) == 0 {
		ruling.Policy.Payload = int64(2000 + h.r.IntN(20_000))
	}
	for _, m := range after {
		for _, d := range m.Devices {
			if !parent.roster.Has(m.Account, d) {
				ruling.Welcome = append(ruling.Welcome, store.Address{Account: m.Account, Device: d})
			}
		}
	}
	c := store.Commit{Channel: id, Slot: slot, Parent: parent.Number, Hash: ruling.Slot.Hash, Commit: ruling.Slot.Hash, Welcome: fmt.Append(nil, "welcome ", slot),
		Group: groupState(slot, 0), Account: by.Account, Device: by.Device, Now: h.now, Retention: month, Quota: hubQuota}
	var judged store.Standing
	done, err := h.s.CommitChannel(h.t.Context(), c, func(st store.Standing) (store.Ruling, error) { judged = st; return ruling, nil })
	what = fmt.Sprintf("commit %d on %d to %v by %s: %v to %v", slot, parent.Number, id[0], by.Account, parent.roster, after)
	_, member := ch.members()[by.Account]
	switch {
	case slot <= head.Number && !member:
		return what, "channel-unknown", err
	case slot <= head.Number:
		return what, "stale-slot", err
	case !member:
		return what, "channel-unknown", err
	case slot != head.Number+1, !slices.Contains(ch.window(), parent):
		return what, "stale-slot", err
	}
	if ch.run(by.Account) > store.Run {
		return what, "too-many-commits", err
	}
	if code := h.missing(parent.roster, after); code != "" {
		return what, code, err
	}
	if d := cmp.Diff(parent.roster, judged.Roster, cmpopts.EquateEmpty()); d != "" || judged.Epoch != parent.epoch || judged.Policy != head.policy || !bytes.Equal(judged.Head.Hash, head.Hash) {
		h.t.Fatalf("%s: judged by %+v\n%s", what, judged, d)
	}
	h.apply(id, ch, c, ruling, parent)
	if done.Sequence != ch.sequence {
		h.t.Errorf("%s: number %d of the channel, want %d", what, done.Sequence, ch.sequence)
	}
	h.repeat(c, done)
	return what, "", err
}

// repeat commits once more, as after a lost reply.
func (h *hub) repeat(c store.Commit, first store.Committed) {
	again, err := h.s.CommitChannel(h.t.Context(), c, nil)
	first.Notices = nil
	if d := cmp.Diff(first, again); d != "" || err != nil {
		h.t.Errorf("slot %d repeated: %v\n%s", c.Slot, err, d)
	}
}

// change draws what a commit does to a roster.
func (h *hub) change(r store.Roster) (after store.Roster, removed bool) {
	after = r.Clone()
	for range h.r.IntN(3) {
		name, a := h.pick()
		device := byte(1 + h.r.IntN(4))
		if a != nil && a.devices[device] == nil && h.r.IntN(3) > 0 {
			continue
		}
		switch {
		case h.r.IntN(5) == 0 && len(after) > 1:
			after.Remove(name)
			removed = true
		case after.Find(name) == nil && (a != nil || h.r.IntN(5) == 0):
			after.Put(name, uint8(h.r.IntN(4)))
			after.Join(name, qpq.DeviceID{device})
		case h.r.IntN(4) == 0 && after.Find(name) != nil:
			after.Put(name, uint8(h.r.IntN(4)))
		case h.r.IntN(4) == 0:
			after.Leave(name, qpq.DeviceID{device})
		case a != nil:
			after.Join(name, qpq.DeviceID{device})
		}
	}
	return after, removed
}

// member draws who commits: somebody on the roster, mostly.
func (h *hub) member(r store.Roster) store.Address {
	if len(r) == 0 || h.r.IntN(10) == 0 {
		name, _ := h.pick()
		return store.Address{Account: name, Device: qpq.DeviceID{1}}
	}
	return store.Address{Account: r[h.r.IntN(len(r))].Account, Device: qpq.DeviceID{1}}
}

// apply is what a commit does.
func (h *hub) apply(id qpq.ChannelID, ch *hubChannel, c store.Commit, ruling store.Ruling, parent *hubSlot) {
	before := ch.members()
	for _, m := range parent.roster {
		if before[m.Account] == nil {
			before[m.Account] = map[byte]bool{}
		}
	}
	next := &hubSlot{Slot: ruling.Slot, epoch: parent.epoch + 1, floor: parent.floor, roster: ruling.Roster.Clone(), policy: ruling.Policy, by: store.Address{Account: c.Account, Device: c.Device}}
	if ruling.Cuts {
		next.floor = next.epoch
	}
	next.run = ch.run(c.Account)
	old := parent.roster.Clone()
	for _, s := range ch.slots {
		s.lose(old, next.roster)
	}
	ch.slots = append(ch.slots, next)
	ch.sequence++
	next.sequence = ch.sequence
	after := ch.members()
	to := maps.Clone(before)
	maps.Copy(to, after)
	row := hubRow{InboxRow: store.InboxRow{Kind: store.KindCommit, Channel: id, Sequence: ch.sequence, Time: h.now, Account: c.Account, Device: c.Device, Payload: c.Commit, Slot: &next.Slot}, expires: h.now.Add(month)}
	told := map[string]bool{}
	for name := range to {
		h.deliver(name, row, told)
	}
	welcome := row
	welcome.Kind, welcome.Payload = store.KindWelcome, c.Welcome
	for _, a := range ruling.Welcome {
		welcome.For = a.Device
		h.deliver(a.Account, welcome, told)
	}
	for name := range before {
		if after[name] == nil {
			h.deliver(name, hubRow{InboxRow: store.InboxRow{Kind: store.KindRemoved, Channel: id, Sequence: ch.sequence, Time: h.now}}, told)
		}
	}
	h.trim(told)
}

// lose takes from a slot, whatever its branch, what a commit took away.
func (s *hubSlot) lose(before, after store.Roster) {
	for _, m := range before {
		now, here := after.Find(m.Account), s.roster.Find(m.Account)
		if now == nil {
			s.roster.Remove(m.Account)
			continue
		}
		if here != nil && now.Role < m.Role {
			here.Role = min(here.Role, now.Role)
		}
		for _, d := range m.Devices {
			if !slices.Contains(now.Devices, d) {
				s.roster.Leave(m.Account, d)
			}
		}
	}
}
