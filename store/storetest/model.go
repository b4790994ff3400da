package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/store"
)

// model is a deliberately plain store: maps, and the contract's sentences as ifs.
type model struct {
	accounts map[string]*modelAccount // nil for a tombstone
}

type modelAccount struct {
	state
	packages []store.KeyPackage
}

var (
	modelNames = []string{"ann", "ben", "cat", "dan", "eve"}
	vaultNames = []string{"account-key", "vault", "wrap"}
)

const modelSteps = 600

// testModel runs a random history on the store and the model and compares every answer.
func testModel(t *testing.T, e store.Engine) {
	s := Open(t, e)
	m := &model{accounts: map[string]*modelAccount{}}
	const seed = 1
	r := rand.New(rand.NewPCG(seed, seed))
	steps := []func(*rand.Rand, *testing.T, *store.Store) (what, want string, err error){
		m.register, m.change, m.change, m.session, m.session, m.addPackage, m.addPackage, m.claim,
	}
	outcomes := map[string]int{}
	for i := range modelSteps {
		step := steps[r.IntN(len(steps))]
		if r.IntN(150) == 0 {
			step = m.erase
		}
		what, want, err := step(r, t, s)
		code := qpq.CodeOf(err)
		if err != nil && code == "" {
			t.Fatalf("seed %d, step %d, %s: %v", seed, i, what, err)
		}
		if code != want {
			t.Fatalf("seed %d, step %d, %s: code %q, want %q (%v)", seed, i, what, code, want, err)
		}
		outcomes[code]++
		if i%10 == 0 {
			m.compare(t, s, i)
		}
	}
	m.compare(t, s, modelSteps)
	if len(outcomes) < 8 || outcomes[""] < modelSteps/4 {
		t.Errorf("the history is too plain to find anything: %v", outcomes)
	}
}

func (m *model) pick(r *rand.Rand) (string, *modelAccount) {
	name := modelNames[r.IntN(len(modelNames))]
	return name, m.accounts[name]
}

// pickDevice draws the first device, which is never revoked, or any.
func pickDevice(r *rand.Rand) qpq.DeviceID {
	if r.IntN(4) > 0 {
		return qpq.DeviceID{1}
	}
	return qpq.DeviceID{byte(1 + r.IntN(8))}
}

// missing is the code for an account that is not there.
func (m *model) missing(name string) string {
	if _, tombstone := m.accounts[name]; tombstone {
		return "account-erased"
	}
	return "no-account"
}

func (m *model) register(r *rand.Rand, t *testing.T, s *store.Store) (what, want string, err error) {
	name, _ := m.pick(r)
	reg := registration(name)
	a, err := s.Register(t.Context(), reg)
	if _, taken := m.accounts[name]; taken {
		return "register " + name, "name-taken", err
	}
	d := reg.Device
	d.Created = Epoch
	ma := &modelAccount{state: state{Account: a, States: []store.AccountState{reg.State}, Devices: []store.Device{d}}}
	for _, v := range reg.Vault {
		v.Version = 1
		ma.Vault = append(ma.Vault, v)
	}
	if a.Admin != (len(m.accounts) == 0) {
		t.Errorf("%s is administrator: %v", name, a.Admin)
	}
	m.accounts[name] = ma
	return "register " + name, "", err
}

func (m *model) erase(r *rand.Rand, t *testing.T, s *store.Store) (what, want string, err error) {
	name, a := m.pick(r)
	_, err = s.DeleteAccount(t.Context(), name, Epoch, month)
	if a == nil {
		return "erase " + name, "no-account", err
	}
	m.accounts[name] = nil
	return "erase " + name, "", err
}

// change draws a change whose every part may be wrong and predicts which part is refused first.
func (m *model) change(r *rand.Rand, t *testing.T, s *store.Store) (what, want string, err error) {
	name, a := m.pick(r)
	c := store.AccountChange{Name: name, MaxDevices: 4, Now: Epoch.Add(time.Duration(r.IntN(1000)) * time.Millisecond)}
	if r.IntN(2) == 0 {
		c.Record = store.Record(fmt.Sprint("record ", r.IntN(1000)))
	}
	if r.IntN(2) == 0 {
		c.State = &store.AccountState{Version: int64(2 + r.IntN(6)), Hash: []byte("h"), State: []byte("s")}
		if a != nil && r.IntN(3) > 0 {
			c.State.Version = int64(len(a.States) + 1)
		}
	}
	if r.IntN(3) == 0 {
		c.Revoke = []qpq.DeviceID{{byte(2 + r.IntN(7))}}
	}
	if r.IntN(2) == 0 {
		d := device(byte(1 + r.IntN(8)))
		c.Enrol = &d
	}
	for _, item := range vaultNames {
		if v := (store.VaultItem{Name: item, Version: int64(r.IntN(3))}); r.IntN(3) == 0 {
			if r.IntN(4) > 0 {
				v.Value = []byte{byte(r.IntN(256))}
			}
			c.Vault = append(c.Vault, v)
		}
	}
	err = s.ChangeAccount(t.Context(), c)
	what = fmt.Sprintf("change %+v", c)
	if a == nil {
		return what, m.missing(name), err
	}
	next, code := a.changed(c)
	if code == "" {
		m.accounts[name] = next
	}
	return what, code, err
}

// changed returns what c makes of a, or the code it is refused with.
func (a *modelAccount) changed(c store.AccountChange) (*modelAccount, string) {
	n := &modelAccount{state: state{a.Account, slices.Clone(a.States), slices.Clone(a.Devices), slices.Clone(a.Vault)}, packages: slices.Clone(a.packages)}
	if c.Record != nil {
		n.Account.Record = c.Record
	}
	if c.State != nil {
		if c.State.Version != int64(len(n.States)+1) {
			return nil, "state-moved"
		}
		n.States = append(n.States, *c.State)
	}
	for _, id := range c.Revoke {
		i := slices.IndexFunc(n.Devices, func(d store.Device) bool { return d.ID == id && d.Revoked.IsZero() })
		if i < 0 {
			return nil, "no-device"
		}
		n.Devices[i].Revoked = c.Now
		n.packages = slices.DeleteFunc(n.packages, func(k store.KeyPackage) bool { return k.Device == id })
	}
	if c.Enrol != nil {
		if slices.ContainsFunc(n.Devices, func(d store.Device) bool { return d.ID == c.Enrol.ID }) {
			return nil, "device-enrolled"
		}
		d := *c.Enrol
		d.Created = c.Now
		n.Devices = append(n.Devices, d)
		inUse := slices.DeleteFunc(slices.Clone(n.Devices), func(d store.Device) bool { return !d.Revoked.IsZero() })
		if int64(len(inUse)) > c.MaxDevices {
			return nil, "too-many-devices"
		}
	}
	for _, v := range c.Vault {
		if !n.putVault(v) {
			return nil, "vault-moved"
		}
	}
	return n, ""
}

func (a *modelAccount) putVault(v store.VaultItem) bool {
	i := slices.IndexFunc(a.Vault, func(have store.VaultItem) bool { return have.Name == v.Name })
	have := int64(0)
	if i >= 0 {
		have = a.Vault[i].Version
	}
	switch {
	case have != v.Version || v.Value == nil && i < 0:
		return false
	case v.Value == nil:
		a.Vault = slices.Delete(a.Vault, i, i+1)
	case i < 0:
		a.Vault = append(a.Vault, store.VaultItem{Name: v.Name, Version: 1, Value: v.Value})
	default:
		a.Vault[i] = store.VaultItem{Name: v.Name, Version: have + 1, Value: v.Value}
	}
	slices.SortFunc(a.Vault, func(x, y store.VaultItem) int { return strings.Compare(x.Name, y.Name) })
	return true
}

func (m *model) session(r *rand.Rand, t *testing.T, s *store.Store) (what, want string, err error) {
	name, a := m.pick(r)
	id, counter := pickDevice(r), int64(1+r.IntN(20))
	kept, err := s.StartSession(t.Context(), name, id, counter, Epoch)
	what = fmt.Sprintf("session %d of %s %v", counter, name, id)
	d := a.device(id)
	switch {
	case d == nil:
		return what, "no-device", err
	case !d.Revoked.IsZero():
		return what, "device-revoked", err
	case counter <= d.Session:
		if kept != d.Session {
			t.Errorf("%s: the store keeps %d, the model %d", what, kept, d.Session)
		}
		return what, "session-behind", err
	}
	d.Session, d.Seen = counter, Epoch
	return what, "", err
}

func (a *modelAccount) device(id qpq.DeviceID) *store.Device {
	if a == nil {
		return nil
	}
	for i := range a.Devices {
		if a.Devices[i].ID == id {
			return &a.Devices[i]
		}
	}
	return nil
}

func (m *model) addPackage(r *rand.Rand, t *testing.T, s *store.Store) (what, want string, err error) {
	name, a := m.pick(r)
	id := pickDevice(r)
	k := store.KeyPackage{Device: id, Suite: uint16(r.IntN(2)), Ref: fmt.Appendf(nil, "%016x", r.Uint64()),
		LastResort: r.IntN(4) == 0, Expires: Epoch.Add(time.Duration(r.IntN(100)) * time.Hour)}
	err = s.AddKeyPackages(t.Context(), name, id, []store.KeyPackage{k}, many)
	what = fmt.Sprintf("add %+v of %s", k, name)
	if d := a.device(id); d == nil || !d.Revoked.IsZero() {
		return what, "no-device", err
	}
	if k.LastResort {
		a.packages = slices.DeleteFunc(a.packages, func(o store.KeyPackage) bool { return o.LastResort && o.Device == id && o.Suite == k.Suite })
	}
	a.packages = append(a.packages, k)
	return what, "", err
}

func (m *model) claim(r *rand.Rand, t *testing.T, s *store.Store) (what, want string, err error) {
	name, a := m.pick(r)
	id, suite, now := pickDevice(r), uint16(r.IntN(2)), Epoch.Add(time.Duration(r.IntN(50))*time.Hour)
	got, err := s.ClaimKeyPackage(t.Context(), name, id, suite, now)
	what = fmt.Sprintf("claim suite %d of %s %v at %v", suite, name, id, now)
	best := -1
	if a != nil {
		for i, k := range a.packages {
			if k.Device == id && k.Suite == suite && k.Expires.After(now) && (best < 0 || before(k, a.packages[best])) {
				best = i
			}
		}
	}
	if best < 0 {
		return what, "no-key-package", err
	}
	if want := a.packages[best]; string(want.Ref) != string(got.Ref) || want.LastResort != got.LastResort {
		t.Errorf("%s: got %+v, want %+v", what, got, want)
	}
	if !a.packages[best].LastResort {
		a.packages = slices.Delete(a.packages, best, best+1)
	}
	return what, "", err
}

// before tells which of two key packages is given out first.
func before(x, y store.KeyPackage) bool {
	if x.LastResort != y.LastResort {
		return y.LastResort
	}
	if !x.Expires.Equal(y.Expires) {
		return x.Expires.Before(y.Expires)
	}
	return string(x.Ref) < string(y.Ref)
}

func (m *model) compare(t *testing.T, s *store.Store, step int) {
	t.Helper()
	for _, name := range modelNames {
		a := m.accounts[name]
		if a == nil {
			_, err := s.Account(t.Context(), name)
			wantKind(t, err, qpq.NotFound, m.missing(name))
			continue
		}
		want := a.state
		want.Devices = slices.Clone(want.Devices)
		slices.SortFunc(want.Devices, func(x, y store.Device) int {
			if c := x.Created.Compare(y.Created); c != 0 {
				return c
			}
			return slices.Compare(x.ID[:], y.ID[:])
		})
		if d := cmp.Diff(want, snapshot(t, s, name)); d != "" {
			t.Fatalf("step %d: account %s (-model +store):\n%s", step, name, d)
		}
	}
}
