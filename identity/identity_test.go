package identity

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/quicproquo/qpq"
)

var (
	alice = qpq.UserID{Name: "alice", Domain: "example.org"}
	epoch = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
)

// stream is an endless repeatable source of bytes: SHA-256 of a name and a counter.
type stream struct {
	name string
	n    uint64
	rest []byte
}

func (s *stream) Read(p []byte) (int, error) {
	for i := range p {
		if len(s.rest) == 0 {
			sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(s.name), s.n))
			s.n, s.rest = s.n+1, sum[:]
		}
		p[i], s.rest = s.rest[0], s.rest[1:]
	}
	return len(p), nil
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// account is a person in a test, with everything at hand.
type account struct {
	key    *AccountKey
	vault  *VaultKey
	device *DeviceKey
	state  *AccountState
}

func newAccount(name string) account {
	r := &stream{name: name}
	a := account{key: must(NewAccountKey(r)), vault: must(NewVaultKey(r)), device: must(NewDeviceKey(r))}
	a.state = must(NewAccount(a.key, a.request(a.device), a.vault, epoch))
	return a
}

func (account) request(d *DeviceKey) *DeviceRequest {
	return must(d.Request(alice, []uint16{3, 1, 0xf001}))
}

func newDevice(name string) *DeviceKey { return must(NewDeviceKey(&stream{name: name})) }

func wantKind(t *testing.T, what string, err error, kind qpq.Kind, code string) {
	t.Helper()
	if !errors.Is(err, kind) || qpq.CodeOf(err) != code {
		t.Errorf("%s: got %v (%v, %q), want %v, %q", what, err, qpq.KindOf(err), qpq.CodeOf(err), kind, code)
	}
}

func TestChain(t *testing.T) {
	a := newAccount("alice")
	phone := newDevice("phone")
	v2 := must(a.state.Next(Change{Now: epoch.Add(time.Hour), Key: a.key, Add: []*DeviceRequest{a.request(phone)}}))
	key, vault := must(NewAccountKey(&stream{name: "key 2"})), must(NewVaultKey(&stream{name: "vault 2"}))
	v3 := must(v2.Next(Change{Now: epoch.Add(2 * time.Hour), Key: a.key, Revoke: []qpq.DeviceID{phone.ID()}, NewKey: key, Vault: vault}))

	got, err := VerifyChain(nil, [][]byte{a.state.Bytes(), v2.Bytes(), v3.Bytes()})
	if err != nil || got.Hash() != v3.Hash() {
		t.Fatalf("VerifyChain: %v", err)
	}
	if got.Device(a.device.ID()) == nil || got.Device(phone.ID()) != nil || !got.Revoked(phone.ID()) || got.Revoked(a.device.ID()) {
		t.Error("version 3 lists the wrong devices")
	}
	if d := got.Devices[0]; d.Issuer != key.Public() || !d.NotAfter.Equal(a.state.Devices[0].NotAfter) {
		t.Error("the device kept was not certified anew with the validity it had")
	}
	if got, err = VerifyChain(v2, [][]byte{v3.Bytes()}); err != nil || got.Version != 3 {
		t.Errorf("VerifyChain after version 2: %v", err)
	}
	for name, chain := range map[string][][]byte{
		"gap": {a.state.Bytes(), v3.Bytes()}, "no first": {v2.Bytes()}, "twice": {a.state.Bytes(), a.state.Bytes()},
	} {
		_, err := VerifyChain(nil, chain)
		wantKind(t, name, err, qpq.Invalid, "bad-state")
	}
	_, err = VerifyChain(nil, nil)
	wantKind(t, "empty", err, qpq.NotFound, "no-account-state")
	_, err = v3.Next(Change{Now: epoch, Key: key, Add: []*DeviceRequest{a.request(phone)}})
	wantKind(t, "revoked device again", err, qpq.Invalid, "malformed-account-state")
}

// TestRules forges successors that are signed by the right key and break one rule each.
func TestRules(t *testing.T) {
	a := newAccount("alice")
	phone := newDevice("phone")
	v2 := must(a.state.Next(Change{Now: epoch, Key: a.key, Add: []*DeviceRequest{a.request(phone)}}))
	thief := must(NewAccountKey(&stream{name: "thief"}))
	key, vault := must(NewAccountKey(&stream{name: "key 2"})), must(NewVaultKey(&stream{name: "vault 2"}))
	v3 := must(v2.Next(Change{Now: epoch, Key: a.key, Revoke: []qpq.DeviceID{phone.ID()}, NewKey: key, Vault: vault}))
	own := v2.Device(a.device.ID())
	recertify := func(k *AccountKey) []*DeviceCertificate {
		return []*DeviceCertificate{k.certify(own.Request(), epoch)}
	}
	recertifyAll := func(s *AccountState, k *AccountKey) {
		s.Devices = nil
		for _, d := range v2.Devices {
			s.Devices = append(s.Devices, k.certify(d.Request(), epoch))
		}
	}
	revoked := []Revocation{{phone.ID(), epoch}}
	forge := func(base *AccountState, key, previous *AccountKey, change func(*AccountState)) *AccountState {
		s := *base
		s.Version, s.Previous, s.Rotation = base.Version+1, base.Hash(), nil
		change(&s)
		s.Key = key.Public()
		return must(s.seal(key, previous))
	}
	tests := []struct {
		name string
		prev *AccountState
		next *AccountState
	}{
		{"version skipped", v2, forge(v2, a.key, nil, func(s *AccountState) { s.Version++ })},
		{"other predecessor", v2, forge(v2, a.key, nil, func(s *AccountState) { s.Previous[0]++ })},
		{"back in time", v2, forge(v2, a.key, nil, func(s *AccountState) { s.Created = epoch.Add(-time.Hour) })},
		{"device dropped", v2, forge(v2, a.key, nil, func(s *AccountState) { s.Devices = recertify(a.key) })},
		{"account taken over", v2, forge(v2, thief, thief, func(s *AccountState) { recertifyAll(s, thief) })},
		{"new key, unsigned by the old", v2, forge(v2, thief, nil, func(s *AccountState) { recertifyAll(s, thief) })},
		{"rotation without a new key", v2, forge(v2, a.key, a.key, func(*AccountState) {})},
		{"revoked under the old key", v2, forge(v2, a.key, nil, func(s *AccountState) {
			s.Devices = recertify(a.key)
			s.Revocations = revoked
			s.VaultKey = vault.Public()
		})},
		{"revoked under the old vault", v2, forge(v2, key, a.key, func(s *AccountState) { s.Devices = recertify(key); s.Revocations = revoked })},
		{"revocation taken back", v3, forge(v3, key, nil, func(s *AccountState) { s.Revocations = nil })},
	}
	for _, tt := range tests {
		wantKind(t, tt.name, CheckNext(tt.prev, tt.next), qpq.Invalid, "bad-state")
	}
	if err := CheckNext(v2, v3); err != nil {
		t.Errorf("the true successor: %v", err)
	}
}

// TestInconsistent signs states, with the right key, that contradict themselves.
func TestInconsistent(t *testing.T) {
	a, b := newAccount("alice"), newAccount("another")
	bob := qpq.UserID{Name: "bob", Domain: "example.org"}
	bobs := a.key.certify(must(a.device.Request(bob, []uint16{1})), epoch)
	two := must(a.state.Next(Change{Now: epoch, Key: a.key, Add: []*DeviceRequest{a.request(newDevice("phone"))}}))
	for name, change := range map[string]func(*AccountState){
		"version 0":               func(s *AccountState) { s.Version = 0 },
		"first with predecessor":  func(s *AccountState) { s.Previous[0] = 1 },
		"first with a revocation": func(s *AccountState) { s.Revocations = []Revocation{{qpq.DeviceID{1}, epoch}} },
		"another's device":        func(s *AccountState) { s.Devices = []*DeviceCertificate{bobs} },
		"another's certificate":   func(s *AccountState) { s.Devices = b.state.Devices },
		"no device":               func(s *AccountState) { s.Devices = nil },
		"a device twice":          func(s *AccountState) { s.Devices = append(s.Devices, s.Devices[0]) },
		"out of order":            func(s *AccountState) { s.Devices = []*DeviceCertificate{two.Devices[1], two.Devices[0]} },
		"revoked and listed": func(s *AccountState) {
			s.Version, s.Revocations = 2, []Revocation{{a.device.ID(), epoch}}
		},
		"revocations out of order": func(s *AccountState) {
			s.Version, s.Revocations = 2, []Revocation{{qpq.DeviceID{2}, epoch}, {qpq.DeviceID{1}, epoch}}
		},
		"vault key of another kind": func(s *AccountState) { s.VaultKey = bytes.Repeat([]byte{255}, EncryptionKeySize) },
	} {
		s := *a.state
		s.Devices = append([]*DeviceCertificate(nil), s.Devices...)
		change(&s)
		_, err := s.seal(a.key, nil)
		wantKind(t, name, err, qpq.Invalid, "malformed-account-state")
	}
	other := must(NewAccount(a.key, must(a.device.Request(bob, []uint16{1})), a.vault, epoch))
	next := *other
	next.Version, next.Previous = 2, a.state.Hash()
	wantKind(t, "another user", CheckNext(a.state, must(next.seal(a.key, nil))), qpq.Invalid, "bad-state")
}

// TestSuites: the suites of a request are ascending, so that it has one encoding.
func TestSuites(t *testing.T) {
	d := newDevice("phone")
	for _, suites := range [][]uint16{{3, 1}, {1, 1}, {}, make([]uint16, MaxSuites+1)} {
		q := *must(d.Request(alice, []uint16{1}))
		q.Suites = suites
		q.Signature = d.sign(labelRequest, q.signed())
		_, err := ParseDeviceRequest(q.Bytes())
		wantKind(t, "suites", err, qpq.Invalid, "malformed-device-request")
	}
}

func TestDeviceLimit(t *testing.T) {
	a := newAccount("alice")
	s := a.state
	for _, name := range []string{"2", "3", "4", "5"} {
		s = must(s.Next(Change{Now: epoch, Key: a.key, Add: []*DeviceRequest{a.request(newDevice(name))}}))
	}
	_, err := s.Next(Change{Now: epoch, Key: a.key, Add: []*DeviceRequest{a.request(newDevice("6"))}})
	wantKind(t, "sixth device", err, qpq.Exhausted, "device-limit")
	renewed := must(s.Next(Change{Now: epoch.Add(time.Hour), Key: a.key, Add: []*DeviceRequest{a.request(a.device)}}))
	if len(renewed.Devices) != MaxDevices || !renewed.Device(a.device.ID()).NotAfter.After(a.state.Devices[0].NotAfter) {
		t.Error("a renewed device does not count longer")
	}
	_, err = s.Next(Change{Now: epoch, Key: a.key, Revoke: []qpq.DeviceID{{1}}, NewKey: a.key, Vault: a.vault})
	wantKind(t, "revoke a stranger", err, qpq.NotFound, "device-unknown")
}

func TestForked(t *testing.T) {
	a := newAccount("alice")
	other := must(NewAccount(a.key, a.request(newDevice("other")), a.vault, epoch))
	if !Forked(nil, a.state, other) || Forked(nil, a.state, a.state) {
		t.Error("two first versions under one key are a fork, one is none")
	}
	stranger := newAccount("stranger")
	if Forked(nil, a.state, stranger.state) {
		t.Error("anybody could freeze an account with a state of their own key")
	}
	x := must(a.state.Next(Change{Now: epoch, Key: a.key, Add: []*DeviceRequest{a.request(newDevice("x"))}}))
	y := must(a.state.Next(Change{Now: epoch, Key: a.key, Add: []*DeviceRequest{a.request(newDevice("y"))}}))
	if !Forked(a.state, x, y) || Forked(a.state, x, x) || Forked(stranger.state, x, y) {
		t.Error("two successors of one version are a fork")
	}
}

func TestCertificateTime(t *testing.T) {
	c := newAccount("alice").state.Devices[0]
	for _, tt := range []struct {
		now time.Time
		ok  bool
	}{
		{epoch, true}, {c.NotBefore, true}, {c.NotBefore.Add(-1), false}, {c.NotAfter.Add(-1), true}, {c.NotAfter, false},
	} {
		if err := c.CheckTime(tt.now); (err == nil) != tt.ok {
			t.Errorf("at %s: %v", tt.now, err)
		}
	}
}

// TestAltered flips bits of what is signed: none may be read.
func TestAltered(t *testing.T) {
	cert := newAccount("alice").state.Devices[0]
	request := cert.DeviceRequest.Bytes()
	for i := range len(request) * 8 {
		c := bytes.Clone(request)
		c[i/8] ^= 1 << (i % 8)
		if _, err := ParseDeviceRequest(c); err == nil {
			t.Fatalf("bit %d of a request may be flipped", i)
		}
	}
	for i := len(request); i < len(cert.Bytes()); i++ {
		c := cert.Bytes()
		c[i] ^= 1 << (i % 8)
		if _, err := ParseDeviceCertificate(c); err == nil {
			t.Fatalf("byte %d of a certificate may be altered", i)
		}
	}
	state := newAccount("alice").state.Bytes()
	for i := 0; i < len(state); i += 7 { // each takes several signatures: a sample
		c := bytes.Clone(state)
		c[i] ^= 1 << (i % 8)
		if _, err := ParseAccountState(c); err == nil {
			t.Fatalf("byte %d of a state may be altered", i)
		}
	}
	if _, err := ParseAccountState(append(bytes.Clone(state), 0)); err == nil {
		t.Error("a byte may follow a state")
	}
}

func TestSession(t *testing.T) {
	a := newAccount("alice")
	s := Session{Domain: "example.org", User: alice, Device: a.device.ID(), Counter: 7, Nonce: [32]byte{1}, Exporter: bytes.Repeat([]byte{2}, 32)}
	sig := must(a.device.SignSession(s))
	cert := a.state.Devices[0]
	if err := VerifySession(cert.User, cert.Key, s, sig); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Session){
		"domain":   func(s *Session) { s.Domain = "example.com" },
		"user":     func(s *Session) { s.User.Name = "bob" },
		"device":   func(s *Session) { s.Device[0]++ },
		"counter":  func(s *Session) { s.Counter++ },
		"nonce":    func(s *Session) { s.Nonce[0]++ },
		"exporter": func(s *Session) { s.Exporter = nil },
	} {
		other := s
		change(&other)
		wantKind(t, name, VerifySession(cert.User, cert.Key, other, sig), qpq.Denied, "device-unknown")
	}
	asBob := s
	asBob.User.Name = "bob" // a device of alice, signing as bob
	wantKind(t, "signed as another user", VerifySession(cert.User, cert.Key, asBob, must(a.device.SignSession(asBob))), qpq.Denied, "device-unknown")
	s.Device[0]++
	if _, err := a.device.SignSession(s); err == nil {
		t.Error("a device signs for another")
	}
}

func TestDeviceKey(t *testing.T) {
	d := newDevice("phone")
	again := must(ParseDeviceKey(bytes.Clone(d.Bytes())))
	if !again.Equal(d) || again.ID() != d.ID() || !bytes.Equal(again.EncryptionKey(), d.EncryptionKey()) {
		t.Error("a stored device key is another one")
	}
	_, err := ParseDeviceKey(d.Bytes()[1:])
	wantKind(t, "short", err, qpq.Damaged, "malformed-device-key")
	if _, err := NewDeviceKey(bytes.NewReader(nil)); !errors.Is(err, io.EOF) {
		t.Errorf("without randomness: %v", err)
	}
	sum := sha256.Sum256(func() []byte { p := d.Public(); return p[:] }())
	if id := d.ID(); !bytes.Equal(id[:], sum[:16]) {
		t.Error("the device id is not half the hash of its key")
	}
}

func TestTranscript(t *testing.T) {
	a := newAccount("alice")
	v := Transcript{User: alice, Device: a.device.ID(), Entries: 7, Head: [32]byte{1}, Time: a.state.Created}
	sig := must(a.device.SignTranscript(v))
	cert := a.state.Devices[0]
	if err := VerifyTranscript(cert, v, sig); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Transcript){
		"user":    func(v *Transcript) { v.User.Name = "bob" },
		"device":  func(v *Transcript) { v.Device[0]++ },
		"entries": func(v *Transcript) { v.Entries++ },
		"head":    func(v *Transcript) { v.Head[31]++ },
		"time":    func(v *Transcript) { v.Time = v.Time.Add(time.Second) },
	} {
		other := v
		change(&other)
		wantKind(t, name, VerifyTranscript(cert, other, sig), qpq.Denied, "bad-signature")
	}
	v.Device[0]++
	if _, err := a.device.SignTranscript(v); err == nil {
		t.Error("a device signs for another")
	}
	if f := a.state.Key.Fingerprint(); !strings.HasPrefix(f, "SHA256:") || len(f) != len("SHA256:")+43 || f == cert.Key.Fingerprint() {
		t.Errorf("a key is shown as %s", f)
	}
}
