package world

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client"
	"github.com/quicproquo/qpq/wire"
)

// judge compares what people find at the end with what must be true. All is healed, and everybody had time.
func (o *Oracle) judge() {
	ctx, cancel := context.WithTimeout(context.Background(), 24*time.Hour)
	defer cancel()
	present := map[qpq.DeviceID]*Device{}
	for _, d := range o.w.order {
		if id, ok := o.judgeDevice(ctx, d); ok {
			present[id] = d
			o.present[d] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.accounts)) {
		u, a := o.w.users[name], o.accounts[name]
		if !a.tried {
			continue
		}
		o.judgeDevices(ctx, u, present)
		o.judgeVault(ctx, u, a, present)
	}
	o.judgeChats(ctx)
	for _, name := range slices.Sorted(maps.Keys(o.accounts)) {
		if a := o.accounts[name]; a.tried && o.doubtful(a) {
			o.judgeAccount(ctx, o.w.users[name], a)
		}
	}
}

// doubtful reports whether something happened to an account that may have damaged it. Of the others some are looked at, for that takes long.
func (o *Oracle) doubtful(a *account) bool {
	return o.back || a.deleting || a.password.begun > 0 || o.w.seed%4 < 2
}

// judgeDevice looks whether a device is in its account, as it should be or not.
func (o *Oracle) judgeDevice(ctx context.Context, d *Device) (qpq.DeviceID, bool) {
	r, err := d.program()
	if err != nil {
		return qpq.DeviceID{}, false // told already
	}
	last, had := o.lastID(d.name)
	who, err := r.Whoami(ctx)
	if err == nil {
		o.knows(d, who)
		return who.Device, true
	}
	code := qpq.CodeOf(err)
	if code != "not-signed-in" && code != wire.CodeDeviceUnknown {
		o.w.fail("%s cannot tell who it is: %v (%s)", d.name, err, code)
		return qpq.DeviceID{}, false
	}
	if m := o.members[last]; had && !m.revoking && !m.excused && !o.accounts[d.user.name].deleting {
		o.w.fail("%s was in its account as %s, nobody took it out, and now: %v (%s)", d.name, short(last), err, code)
	}
	return qpq.DeviceID{}, false
}

// judgeDevices looks whether all devices of an account agree on which there are, and whether each of them is somewhere.
func (o *Oracle) judgeDevices(ctx context.Context, u *User, present map[qpq.DeviceID]*Device) {
	for _, d := range present { // who knows a name that a rotation left behind seals it anew at this
		if r, err := d.program(); err == nil && d.user == u {
			_, _ = r.Devices(ctx) // the answer counts below
		}
	}
	var first []client.Device
	for id, d := range present {
		if d.user != u {
			continue
		}
		r, err := d.program()
		if err != nil {
			continue
		}
		list, err := r.Devices(ctx)
		if qpq.CodeOf(err) == "rolled-back" && slices.ContainsFunc(o.w.order, func(x *Device) bool { return x.user == u && x != d && o.unrevoked(x) }) {
			continue
		}
		if err != nil {
			o.w.fail("%s cannot list the devices of its account: %v (%s)", d.name, err, qpq.CodeOf(err))
			continue
		}
		if first == nil {
			first = list
		}
		if !slices.EqualFunc(first, list, func(a, b client.Device) bool { return a.ID == b.ID && a.Name == b.Name }) {
			o.w.fail("%s lists the devices %v, and another one %v", d.name, list, first)
		}
		if !slices.ContainsFunc(list, func(x client.Device) bool { return x.ID == id }) {
			o.w.fail("%s is not among the devices of its account", d.name)
		}
	}
	for _, x := range first {
		m := o.members[x.ID]
		if m != nil && m.out {
			o.w.fail("%s lists device %s, which was revoked", u.name, short(x.ID))
		}
		if present[x.ID] == nil && !o.back && (m == nil || !m.excused && !m.linking) && !o.anyExcused(u) {
			o.w.fail("the account of %s has a device %s (%q) that is nowhere", u.name, short(x.ID), x.Name)
		}
	}
}

func (o *Oracle) anyExcused(u *User) bool {
	for _, m := range o.members {
		if m.device.user == u && m.excused {
			return true
		}
	}
	for d := range o.reset { // perhaps to before it was told that it was taken in
		if d.user == u {
			return true
		}
	}
	return false
}

// judgeVault looks whether the vault holds what was put into it.
func (o *Oracle) judgeVault(ctx context.Context, u *User, a *account, present map[qpq.DeviceID]*Device) {
	for _, d := range present {
		if d.user != u {
			continue
		}
		r, err := d.program()
		if err != nil {
			continue
		}
		for item, b := range a.items {
			content, _, err := r.VaultGet(ctx, item)
			if o.back && qpq.CodeOf(err) == "rolled-back" {
				continue // it is known to be older than it was, and nobody is told that it is all
			}
			if err != nil && !errors.Is(err, qpq.NotFound) {
				o.w.fail("%s cannot read %s in its vault: %v (%s)", d.name, item, err, qpq.CodeOf(err))
			} else if !b.possible[string(content)] {
				o.w.fail("%s reads %q as %s in its vault, and it must be one of %q", d.name, content, item, b.list())
			}
		}
	}
}

// judgeAccount looks whether the account is whole, or not there at all: a new device gets in with the one password that counts, or
// somebody can register the name.
func (o *Oracle) judgeAccount(ctx context.Context, u *User, a *account) {
	d := o.w.addDevice(u.name+"/new", 1000+uint64(len(o.w.order)))
	d.on(ctx)
	defer d.off()
	r, err := d.program()
	if err != nil {
		return
	}
	var works []string
	for _, password := range slices.Sorted(maps.Keys(a.password.ever)) {
		_, err := r.Login(ctx, u.name, with(password), d.name)
		switch {
		case err == nil:
			works = append(works, password)
			if err := errors.Join(r.profile.Leave()); err != nil {
				o.w.fail("%s: %v", d.name, err)
			}
			d.off()
			d.on(ctx)
			if r, err = d.program(); err != nil {
				return
			}
		case qpq.CodeOf(err) == "too-many-devices":
			works = append(works, password)
		case qpq.CodeOf(err) != wire.CodeLoginFailed:
			o.w.fail("%s cannot log in on a new device: %v (%s)", u.name, err, qpq.CodeOf(err))
		}
	}
	o.judgePasswords(ctx, r, u, a, works)
}

func (o *Oracle) judgePasswords(ctx context.Context, r *running, u *User, a *account, works []string) {
	for _, password := range works {
		if !a.password.possible[password] {
			o.w.fail("%s can log in with %q, which was replaced by %q", u.name, password, a.password.list())
		}
	}
	if len(works) > 1 {
		o.w.fail("%s can log in with any of %q", u.name, works)
	}
	switch {
	case len(works) > 0 && a.deleted:
		o.w.fail("%s can log in, and the account was deleted", u.name)
	case len(works) == 0 && a.registered && !a.deleting:
		o.w.fail("%s has an account and cannot log in with any of %q", u.name, a.password.list())
	case len(works) == 0:
		_, err := r.Register(ctx, client.Registration{User: u.name, Password: with(u.password).Password})
		switch {
		case err == nil && a.deleted:
			o.w.fail("%s can register again, and the account was deleted", u.name)
		case err != nil && !a.deleting:
			o.w.fail("%s can neither log in (%s) nor register: %v (%s)", u.name, strings.Join(a.password.list(), ", "), err, qpq.CodeOf(err))
		}
	}
}
