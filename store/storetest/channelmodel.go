package storetest

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/store"
)

// hub is a deliberately plain model of channels and inboxes: slices, and the contract's sentences as loops.
type hub struct {
	t        *testing.T
	s        *store.Store
	r        *rand.Rand
	now      time.Time
	accounts map[string]*hubAccount
	channels map[qpq.ChannelID]*hubChannel
	ended    map[qpq.ChannelID]*hubChannel // without members, as long as their ids are remembered
	texts    int
}

type hubAccount struct {
	devices map[byte]*hubCursor
	rows    []hubRow
	last    int64
	dropped int64
}

type hubCursor struct {
	seq   int64
	moved time.Time
}

type hubRow struct {
	store.InboxRow
	size    int64
	expires time.Time
}

type hubChannel struct {
	slots    []*hubSlot
	sequence int64
	until    time.Time // of one without members
	sent     map[byte]store.Message
	first    map[byte]store.Sent
}

type hubSlot struct {
	store.Slot
	epoch, floor int64
	roster       store.Roster
	policy       store.Policy
	by           store.Address
	run          int // slots in a row of one account among others
	sequence     int64
}

const (
	hubQuota = 24 << 10
	hubSteps = 1200
)

var hubNames = []string{"ann", "ben", "cat", "dan", "eve", "fay"}

// testChannelModel runs a random history of channels on the store and the model and compares every answer, every inbox and every roster.
func testChannelModel(t *testing.T, e store.Engine) {
	const seed = 2
	h := &hub{t: t, s: Open(t, e), r: rand.New(rand.NewPCG(seed, seed)), now: Epoch, accounts: map[string]*hubAccount{}, channels: map[qpq.ChannelID]*hubChannel{}, ended: map[qpq.ChannelID]*hubChannel{}}
	for _, name := range hubNames {
		register(t, h.s, name)
		h.accounts[name] = &hubAccount{devices: map[byte]*hubCursor{1: {moved: Epoch}}}
	}
	outcomes := map[string]int{}
	kinds := map[store.Kind]int{}
	for i := range hubSteps {
		what, want, err := h.step()
		code := qpq.CodeOf(err)
		if err != nil && code == "" || code != want {
			t.Fatalf("seed %d, step %d, %s: code %q, want %q (%v)", seed, i, what, code, want, err)
		}
		outcomes[code]++
		if i%20 == 0 || i == hubSteps-1 {
			h.compare(fmt.Sprintf("seed %d, step %d, after %s", seed, i, what), kinds)
		}
	}
	for _, code := range []string{"", "stale-slot", "stale-epoch", "channel-unknown", "message-id-reused", "device-gone", "user-unknown", "channel-exists", "payload-too-large"} {
		if outcomes[code] == 0 {
			t.Errorf("nothing came of code %q: the history is too plain to find anything: %v", code, outcomes)
		}
	}
	for k := store.KindMessage; k <= store.KindLeft; k++ {
		if kinds[k] == 0 {
			t.Errorf("no inbox had a row of kind %d: %v", k, kinds)
		}
	}
}

func (h *hub) step() (what, want string, err error) {
	switch n := h.r.IntN(100); {
	case n < 3:
		return h.create()
	case n < 30:
		return h.commit()
	case n < 70:
		return h.send()
	case n < 88:
		return h.acknowledge()
	case n < 90:
		return h.leave()
	case n < 95:
		return h.changeDevices()
	case n < 99:
		return h.wait()
	case h.r.IntN(4) == 0:
		return h.erase()
	}
	return "nothing", "", nil
}

func (h *hub) pick() (string, *hubAccount) {
	name := hubNames[h.r.IntN(len(hubNames))]
	return name, h.accounts[name]
}

func (h *hub) channel() (qpq.ChannelID, *hubChannel) {
	id := qpq.ChannelID{byte(1 + h.r.IntN(4))}
	return id, h.channels[id]
}

func (h *hub) create() (what, want string, err error) {
	id := byte(1 + h.r.IntN(4))
	names := slices.Clone(hubNames)
	h.r.Shuffle(len(names), func(i, k int) { names[i], names[k] = names[k], names[i] })
	names = names[:1+h.r.IntN(len(names))]
	n := newOf(id, names...)
	n.Slot.Hash = fmt.Append(nil, "founding ", h.r.Int())
	n.Founding = n.Slot.Hash
	_, _, _, err = h.s.CreateChannel(h.t.Context(), n)
	what = fmt.Sprint("create ", id, names)
	if _, ended := h.ended[n.ID]; ended || h.channels[n.ID] != nil {
		return what, "channel-exists", err
	}
	if code := h.missing(nil, n.Roster); code != "" {
		return what, code, err
	}
	h.channels[n.ID] = &hubChannel{slots: []*hubSlot{{Slot: n.Slot, roster: n.Roster, by: store.Address{Account: names[0], Device: n.Device}}},
		sent: map[byte]store.Message{}, first: map[byte]store.Sent{}}
	return what, "", err
}

// missing is the code for the first account or device that a roster gains and that is not there.
func (h *hub) missing(before, after store.Roster) string {
	for _, m := range after {
		a := h.accounts[m.Account]
		if a == nil && before.Find(m.Account) == nil {
			return "user-unknown"
		}
		for _, d := range m.Devices {
			if !before.Has(m.Account, d) && (a == nil || a.devices[d[0]] == nil) {
				return "device-gone"
			}
		}
	}
	return ""
}

// whole is the newest slots, with group states.
func (c *hubChannel) whole() []*hubSlot { return c.slots[max(0, len(c.slots)-store.Window):] }

// window is the slots to build on: the newest, and all that one account took in a row, with the one before.
func (c *hubChannel) window() []*hubSlot {
	return c.slots[max(0, len(c.slots)-max(store.Window, c.slots[len(c.slots)-1].run+1)):]
}

func (c *hubChannel) tips() (list []*hubSlot) {
	for _, s := range c.window() {
		if !slices.ContainsFunc(c.slots, func(o *hubSlot) bool { return o.Parent == s.Number && o.Number > 0 }) {
			list = append(list, s)
		}
	}
	return list
}

// run is how many slots in a row an account would have with the next one.
func (c *hubChannel) run(name string) int {
	head, members := c.slots[len(c.slots)-1], c.members()
	delete(members, name)
	switch {
	case len(members) == 0:
		return 0
	case head.by.Account == name:
		return head.run + 1
	}
	return 1
}

// role is the highest that an account has on any branch.
func (c *hubChannel) role(name string) (role uint8) {
	for _, s := range c.tips() {
		if m := s.roster.Find(name); m != nil {
			role = max(role, m.Role)
		}
	}
	return role
}

// members is who gets what is sent, with the devices that may send.
func (c *hubChannel) members() map[string]map[byte]bool {
	out := map[string]map[byte]bool{}
	for _, s := range c.tips() {
		for _, m := range s.roster {
			if out[m.Account] == nil {
				out[m.Account] = map[byte]bool{}
			}
			for _, d := range m.Devices {
				out[m.Account][d[0]] = true
			}
		}
	}
	return out
}

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

func (h *hub) deliver(name string, row hubRow, told map[string]bool) {
	a := h.accounts[name]
	if a == nil {
		return
	}
	a.last++
	row.Seq, row.size = a.last, 1<<10+int64(len(row.Payload))
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
	m := store.Message{Channel: id, ID: [16]byte{n}, Account: name, Device: qpq.DeviceID{byte(1 + h.r.IntN(2)*h.r.IntN(3))}, Now: h.now, Retention: month, Quota: hubQuota}
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
	for to := range ch.members() {
		h.deliver(to, hubRow{InboxRow: store.InboxRow{Kind: store.KindMessage, Channel: id, Sequence: ch.sequence, Time: h.now, Account: name, Device: m.Device, ID: m.ID[:], Payload: m.Payload}, expires: h.now.Add(m.Retention)}, told)
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
	if a == nil {
		return "no device of an erased account", "", nil
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

// wait lets hours go by and removes what expired.
func (h *hub) wait() (what, want string, err error) {
	h.now = h.now.Add(time.Duration(h.r.IntN(72)) * time.Hour)
	for n := int64(1); n > 0 && err == nil; {
		n, err = h.s.Sweep(h.t.Context(), h.now, 50)
	}
	for next, first := "", true; (first || next != "") && err == nil; first = false {
		next, _, err = h.s.SweepInboxes(h.t.Context(), next, h.now.Add(-month), 4)
	}
	for _, ch := range slices.AppendSeq(slices.Collect(maps.Values(h.channels)), maps.Values(h.ended)) {
		maps.DeleteFunc(ch.sent, func(_ byte, m store.Message) bool { return !m.Now.Add(m.Retention + 30*24*time.Hour).After(h.now) })
	}
	maps.DeleteFunc(h.ended, func(_ qpq.ChannelID, ch *hubChannel) bool { return !ch.until.After(h.now) })
	for _, a := range h.accounts {
		if a == nil {
			continue
		}
		for len(a.rows) > 0 && !a.rows[0].Time.After(h.now.Add(-month)) {
			a.drop(a.rows[0].Seq)
		}
	}
	return "wait until " + h.now.String(), "", err
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
