package world

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
)

// Oracle is what must be true: a model that knows what people were told, and nothing of how it came about.
type Oracle struct {
	w *World

	mu       sync.Mutex
	accounts map[string]*account
	ids      map[string]qpq.DeviceID // of devices by name, as last known to be in an account
	members  map[qpq.DeviceID]*membership
	chats    map[string]*chat
	back     bool   // the server was set back to an older copy
	lost     []span // what happened in them may be lost, but for what somebody knows
	places   map[place]uint64
	excused  map[*Device]bool // it lost something, as it has to tell
	reset    map[*Device]bool // it was set back to an older copy
	hostile  bool             // somebody committed what nobody can read

	present  map[*Device]bool // at the end: is in its account
	replaced map[*Device]bool // its profile is of another device than once
}

// account is what is known of an account.
type account struct {
	registered bool               // for sure
	tried      bool               // somebody tried to register it
	deleted    bool               // for sure
	deleting   bool               // somebody tried
	password   *belief            // which password counts
	items      map[string]*belief // of the vault
}

// membership is what is known of a device of an account.
type membership struct {
	device   *Device
	revoking bool // somebody tried to take it out
	revoked  span // when that was tried last; its end is zero while it is
	out      bool // for sure
	linking  bool // it may be in without knowing
	excused  bool // its profile was set back, or its account deleted
}

// belief is which values something may have.
type belief struct {
	possible map[string]bool
	ever     map[string]bool
	begun    int // changes that were begun
	under    int // changes under way
}

func newBelief(values ...string) *belief {
	b := &belief{possible: map[string]bool{}, ever: map[string]bool{}}
	for _, v := range values {
		b.possible[v], b.ever[v] = true, true
	}
	return b
}

// change begins to change the value. What it returns is told how that ended.
func (b *belief) change(v string) func(outcome) {
	b.possible[v], b.ever[v] = true, true
	alone := b.under == 0
	b.begun++
	b.under++
	mine := b.begun
	return func(o outcome) {
		b.under--
		if !alone || b.begun != mine {
			return // others changed it meanwhile, who knows in which order
		}
		switch o {
		case done:
			b.possible = map[string]bool{v: true}
		case refused:
			delete(b.possible, v)
		}
	}
}

func (b *belief) list() []string { return slices.Sorted(maps.Keys(b.possible)) }

func newOracle(w *World) *Oracle {
	return &Oracle{w: w, accounts: map[string]*account{}, ids: map[string]qpq.DeviceID{}, members: map[qpq.DeviceID]*membership{},
		chats: map[string]*chat{}, places: map[place]uint64{}, excused: map[*Device]bool{}, reset: map[*Device]bool{}, present: map[*Device]bool{}, replaced: map[*Device]bool{}}
}

func (o *Oracle) account(u *User) *account {
	a := o.accounts[u.name]
	if a == nil {
		a = &account{password: newBelief(), items: map[string]*belief{}}
		o.accounts[u.name] = a
	}
	return a
}

// locked runs f while nobody else uses the oracle.
func (o *Oracle) locked(f func(outcome)) func(outcome) {
	return func(result outcome) {
		o.mu.Lock()
		defer o.mu.Unlock()
		f(result)
	}
}

func (o *Oracle) registering(d *Device, password string) func(outcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	a := o.account(d.user)
	a.tried = true
	a.password.possible[password], a.password.ever[password] = true, true
	return o.locked(func(result outcome) {})
}

func (o *Oracle) changingPassword(d *Device, next string) func(outcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.locked(o.account(d.user).password.change(next))
}

func (o *Oracle) putting(d *Device, item, value string) func(outcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	a := o.account(d.user)
	if a.items[item] == nil {
		a.items[item] = newBelief("")
	}
	return o.locked(a.items[item].change(value))
}

func (o *Oracle) revoking(id qpq.DeviceID) func(outcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	m := o.members[id]
	m.revoking, m.revoked = true, span{from: time.Now()}
	return o.locked(func(result outcome) {
		m.revoked.to = time.Now()
		m.out = m.out || result == done && !o.back
	})
}

// unrevoked reports whether the server may have forgotten that a device was taken out of its account. The keys were changed then, and no device can give
// such a change back: the two go separate ways.
func (o *Oracle) unrevoked(d *Device) bool {
	for _, m := range o.members {
		if m.device == d && m.revoking && o.forgotten(m.revoked.from, m.revoked.to) {
			return true
		}
	}
	return false
}

func (o *Oracle) deleting(d *Device) func(outcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	a := o.account(d.user)
	a.deleting = true
	return o.locked(func(result outcome) { a.deleted = a.deleted || result == done && !o.back })
}

// linking notes that a device may be taken into its account: where it cannot be told so, it is in it and nowhere.
func (o *Oracle) linking(id qpq.DeviceID, d *Device) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.members[id] == nil {
		o.members[id] = &membership{device: d}
	}
	o.members[id].linking = true
}

// knows notes that a device is in its account, as the server said.
func (o *Oracle) knows(d *Device, who *client.Whoami) {
	if who == nil || d.disk.Dead() {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	a := o.account(d.user)
	if a.deleted {
		o.w.fail("%s is in an account that was deleted", d.name)
	}
	a.registered, a.tried = true, true
	if before, had := o.ids[d.name]; had && before != who.Device {
		o.replaced[d] = true
	}
	o.ids[d.name] = who.Device
	m := o.members[who.Device]
	if m == nil {
		m = &membership{device: d}
		o.members[who.Device] = m
	}
	m.linking = false
	if m.out {
		o.w.fail("%s is let in, and was revoked", d.name)
	}
}

func (o *Oracle) lastID(device string) (qpq.DeviceID, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	id, ok := o.ids[device]
	return id, ok
}

// passwords returns those that may count.
func (o *Oracle) passwords(u *User) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.account(u).password.list()
}

// span is a part of the history.
type span struct{ from, to time.Time }

// touches reports whether something that began and ended then may have been within a span. It has not ended where end is zero.
func (s span) touches(begin, end time.Time) bool {
	return !begin.After(s.to) && (end.IsZero() || !end.Before(s.from))
}

// setBack notes that the server forgot what happened since its copy was made.
func (o *Oracle) setBack(copied time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.back = true
	o.lost = append(o.lost, span{copied, time.Now()})
	clear(o.places) // the server counts again from where it was
	for _, a := range o.accounts {
		a.registered, a.deleted = false, false
		for _, b := range append(slices.Collect(maps.Values(a.items)), a.password) {
			maps.Copy(b.possible, b.ever)
		}
	}
	for _, m := range o.members {
		m.out, m.excused = false, true
	}
}

// forgotten reports whether the server may have forgotten something that began and ended then.
func (o *Oracle) forgotten(begin, end time.Time) bool {
	return slices.ContainsFunc(o.lost, func(s span) bool { return s.touches(begin, end) })
}

// excuse notes that a device lost something. Its person has to be told.
func (o *Oracle) excuse(d *Device) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.excused[d] = true
}

// anyLost reports whether any device lost something.
func (o *Oracle) anyLost() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.excused) > 0
}

// malice notes that a member means harm.
func (o *Oracle) malice() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.hostile = true
}

// setBackDevice notes that a device forgot what happened since its copy was made.
func (o *Oracle) setBackDevice(d *Device) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, m := range o.members {
		if m.device == d {
			m.excused = true
		}
	}
	o.reset[d], o.excused[d] = true, true
	d.eyes.forget()
}

// excusedDevice reports whether a device was set back, or lost something else.
func (o *Oracle) excusedDevice(d *Device) bool {
	if o.excused[d] {
		return true
	}
	for _, m := range o.members {
		if m.device == d && m.excused {
			return true
		}
	}
	return false
}
