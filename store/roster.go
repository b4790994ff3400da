package store

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"

	"github.com/quicproquo/qpq"
)

// Member is one account of a channel. What a role allows is not the store's affair.
type Member struct {
	Account string
	Role    uint8
	Devices []qpq.DeviceID // ascending
}

// Roster is the members of a channel after a slot, ascending by account.
type Roster []Member

// Find returns a member, nil if the account is none.
func (r Roster) Find(account string) *Member {
	if i, ok := r.search(account); ok {
		return &r[i]
	}
	return nil
}

// Has reports whether a device is on the roster.
func (r Roster) Has(account string, device qpq.DeviceID) bool {
	m := r.Find(account)
	return m != nil && slices.Contains(m.Devices, device)
}

// Clone returns a copy that shares nothing with r.
func (r Roster) Clone() Roster {
	out := slices.Clone(r)
	for i := range out {
		out[i].Devices = slices.Clone(out[i].Devices)
	}
	return out
}

// Put gives an account its role, and makes it a member where it is none.
func (r *Roster) Put(account string, role uint8) {
	i, ok := r.search(account)
	if !ok {
		*r = slices.Insert(*r, i, Member{Account: account})
	}
	(*r)[i].Role = role
}

// Remove takes an account off the roster, with its devices. It reports whether it was there.
func (r *Roster) Remove(account string) bool {
	i, ok := r.search(account)
	if ok {
		*r = slices.Delete(*r, i, i+1)
	}
	return ok
}

// Join adds a device to its account. It reports whether the account is a member.
func (r Roster) Join(account string, device qpq.DeviceID) bool {
	m := r.Find(account)
	if m != nil {
		m.Devices = insertDeviceID(m.Devices, device)
	}
	return m != nil
}

// Leave takes a device off its account, which stays. It reports whether it was there.
func (r Roster) Leave(account string, device qpq.DeviceID) bool {
	m := r.Find(account)
	if m == nil {
		return false
	}
	before := len(m.Devices)
	m.Devices = slices.DeleteFunc(m.Devices, func(d qpq.DeviceID) bool { return d == device })
	return len(m.Devices) < before
}

// Devices returns the number of devices on the roster.
func (r Roster) Devices() (n int) {
	for _, m := range r {
		n += len(m.Devices)
	}
	return n
}

func (r Roster) search(account string) (int, bool) {
	return slices.BinarySearchFunc(r, account, func(m Member, a string) int { return strings.Compare(m.Account, a) })
}

func insertDeviceID(list []qpq.DeviceID, d qpq.DeviceID) []qpq.DeviceID {
	i, ok := slices.BinarySearchFunc(list, d, compareDeviceIDs)
	if ok {
		return list
	}
	return slices.Insert(list, i, d)
}

func compareDeviceIDs(a, b qpq.DeviceID) int { return slices.Compare(a[:], b[:]) }

// losses is what a commit takes away, by account.
type losses map[string]loss

type loss struct {
	whole   bool  // the account is a member no longer
	role    uint8 // it keeps no higher one
	devices []qpq.DeviceID
}

// lost returns what another roster lacks of r: accounts, devices, and roles of those that stay.
func (r Roster) lost(after Roster) losses {
	out := losses{}
	for _, m := range r {
		l := loss{role: math.MaxUint8}
		now := after.Find(m.Account)
		if l.whole = now == nil; !l.whole {
			if now.Role < m.Role {
				l.role = now.Role
			}
			l.devices = slices.DeleteFunc(slices.Clone(m.Devices), func(d qpq.DeviceID) bool { return slices.Contains(now.Devices, d) })
		}
		if l.whole || l.role < math.MaxUint8 || len(l.devices) > 0 {
			out[m.Account] = l
		}
	}
	return out
}

// takeFrom takes the losses from the roster of another slot. It reports whether there was anything to take.
func (l losses) takeFrom(r *Roster) (changed bool) {
	for account, lost := range l {
		m := r.Find(account)
		switch {
		case m == nil:
			continue
		case lost.whole:
			changed = r.Remove(account) || changed
			continue
		case m.Role > lost.role:
			m.Role, changed = lost.role, true
		}
		for _, d := range lost.devices {
			changed = r.Leave(account, d) || changed
		}
	}
	return changed
}

// union returns all members of some rosters, with all their devices; of several roles counts the highest: what was taken away is taken
// from all.
func union(rosters ...Roster) Roster {
	var out Roster
	for _, r := range rosters {
		if out == nil {
			out = r.Clone()
			continue
		}
		for _, m := range r {
			if before := out.Find(m.Account); before == nil || before.Role < m.Role {
				out.Put(m.Account, m.Role)
			}
			for _, d := range m.Devices {
				out.Join(m.Account, d)
			}
		}
	}
	return out
}

// encode writes a roster: a version byte; u16 number of members; each u8 length and account, u8 role, u8 number of devices, devices.
func (r Roster) encode() []byte {
	b := binary.BigEndian.AppendUint16([]byte{1}, uint16(len(r)))
	for _, m := range r {
		b = append(b, byte(len(m.Account)))
		b = append(b, m.Account...)
		b = append(b, m.Role, byte(len(m.Devices)))
		b = append(b, encodeDevices(m.Devices)...)
	}
	return b
}

func encodeDevices(list []qpq.DeviceID) []byte {
	b := make([]byte, 0, len(list)*len(qpq.DeviceID{}))
	for _, d := range list {
		b = append(b, d[:]...)
	}
	return b
}

func decodeDevices(b []byte) []qpq.DeviceID {
	var list []qpq.DeviceID
	for chunk := range slices.Chunk(b, len(qpq.DeviceID{})) {
		var d qpq.DeviceID
		copy(d[:], chunk)
		list = append(list, d)
	}
	return list
}

var errRoster = qpq.E(qpq.Damaged, "store-damaged", "the server's record of a conversation is damaged")

func decodeRoster(b []byte) (Roster, error) {
	take := func(n int) (out []byte) {
		if n > len(b) {
			b, n = nil, 0
		}
		out, b = b[:n], b[n:]
		return out
	}
	if head := take(1); len(head) != 1 || head[0] != 1 || len(b) < 2 {
		return nil, errRoster
	}
	members := int(binary.BigEndian.Uint16(take(2)))
	r := make(Roster, 0, members)
	for range members {
		var m Member
		n := take(1)
		if len(n) == 0 {
			return nil, errRoster
		}
		m.Account = string(take(int(n[0])))
		fixed := take(2)
		if len(fixed) < 2 || len(b) < int(fixed[1])*len(qpq.DeviceID{}) {
			return nil, errRoster
		}
		m.Role, m.Devices = fixed[0], decodeDevices(take(int(fixed[1])*len(qpq.DeviceID{})))
		r = append(r, m)
	}
	if len(b) > 0 {
		return nil, errRoster
	}
	return r, nil
}
