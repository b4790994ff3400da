package storetest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/store"
)

// hub is a deliberately plain model of channels and inboxes: slices, and the contract's sentences as loops.
type hub struct {
	echoes   int // rows of senders whose payload nobody needed when they were looked at
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
	echo    bool // it is there without payload once nobody else needs that
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
	if h.echoes == 0 {
		t.Error("no inbox had a row whose payload nobody needs")
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
