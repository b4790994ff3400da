package identity

import (
	"bytes"
	"testing"
)

// decoders lists everything in this package that parses what others wrote, with seeds. What parses
// must encode to the same bytes.
func decoders() map[string]struct {
	parse func([]byte) ([]byte, error)
	seeds [][]byte
} {
	a := newAccount("alice")
	next := must(a.state.Next(Change{Now: epoch, Key: a.key, Add: []*DeviceRequest{a.request(newDevice("phone"))}}))
	r := &stream{name: "seeds"}
	type decoder = struct {
		parse func([]byte) ([]byte, error)
		seeds [][]byte
	}
	return map[string]decoder{
		"FuzzDeviceRequest": {func(b []byte) ([]byte, error) {
			q, err := ParseDeviceRequest(b)
			if err != nil {
				return nil, err
			}
			return q.Bytes(), nil
		}, [][]byte{a.state.Devices[0].DeviceRequest.Bytes()}},
		"FuzzDeviceCertificate": {func(b []byte) ([]byte, error) {
			c, err := ParseDeviceCertificate(b)
			if err != nil {
				return nil, err
			}
			return c.Bytes(), nil
		}, [][]byte{a.state.Devices[0].Bytes()}},
		"FuzzAccountState": {func(b []byte) ([]byte, error) {
			s, err := ParseAccountState(b)
			if err != nil {
				return nil, err
			}
			w := writer{s.signed()}
			w.fixed(s.Signature[:])
			if s.Rotation == nil {
				w.u8(0)
			} else {
				w.u8(1)
				w.fixed(s.Rotation[:])
			}
			return w.b, nil
		}, [][]byte{a.state.Bytes(), next.Bytes()}},
		"FuzzUser": {func(b []byte) ([]byte, error) {
			u, err := ParseUser(string(b))
			if err != nil {
				return nil, err
			}
			name, err := normaliseName(u.Name)
			domain, err2 := normaliseDomain(u.Domain)
			if err != nil || err2 != nil || name != u.Name || domain != u.Domain {
				panic("the short way took " + u.String() + ", and the long way would not")
			}
			again, err := ParseUser(u.String())
			if err != nil || again != u {
				panic("the normal form " + u.String() + " has another one")
			}
			return b, nil
		}, [][]byte{[]byte("Alice@Example.org"), []byte("alice9@example.org"), []byte("zoe\u0308@bücher.example"), []byte("a@[2001:db8::1]"), []byte("山田@1.2.3.4")}},
		"FuzzRecoveryCode": {func(b []byte) ([]byte, error) {
			c, err := ParseRecoveryCode(string(b))
			if err != nil {
				return nil, err
			}
			if !must(ParseRecoveryCode(c.Reveal())).Equal(c) {
				panic("a code is read as another")
			}
			return b, nil
		}, [][]byte{[]byte(must(NewRecoveryCode(r)).Reveal())}},
		"FuzzLinkCode": {func(b []byte) ([]byte, error) {
			c, err := ParseLinkCode(string(b))
			if err != nil {
				return nil, err
			}
			if must(ParseLinkCode(c.Reveal())).Rendezvous() != c.Rendezvous() {
				panic("a code is read as another")
			}
			return b, nil
		}, [][]byte{[]byte(must(NewLinkCode(r)).Reveal())}},
		"FuzzSealed": {func(b []byte) ([]byte, error) {
			_, _ = a.vault.Open(alice, "contacts", 1, b)
			_, _ = a.vault.OpenSealed(alice, "contacts", "", b)
			_, _ = unpad(b)
			return b, nil
		}, [][]byte{must(a.vault.Seal(r, alice, "contacts", 1, []byte("x"))), must(SealTo(a.state, "contacts", "", nil)), pad([]byte("x"))}},
		"FuzzDeviceKey": {func(b []byte) ([]byte, error) {
			k, err := ParseDeviceKey(bytes.Clone(b))
			if err != nil {
				return nil, err
			}
			return k.Bytes(), nil
		}, [][]byte{a.device.Bytes()}},
	}
}

func fuzz(f *testing.F) {
	d, ok := decoders()[f.Name()]
	if !ok {
		f.Fatalf("%s is not in the table of decoders", f.Name())
	}
	for _, seed := range d.seeds {
		if _, err := d.parse(seed); err != nil {
			f.Fatalf("a seed is refused: %v", err)
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		again, err := d.parse(b)
		if err == nil && !bytes.Equal(again, b) {
			t.Errorf("%x is read, and written as %x", b, again)
		}
	})
}

func FuzzDeviceRequest(f *testing.F)     { fuzz(f) }
func FuzzDeviceCertificate(f *testing.F) { fuzz(f) }
func FuzzAccountState(f *testing.F)      { fuzz(f) }
func FuzzUser(f *testing.F)              { fuzz(f) }
func FuzzRecoveryCode(f *testing.F)      { fuzz(f) }
func FuzzLinkCode(f *testing.F)          { fuzz(f) }
func FuzzSealed(f *testing.F)            { fuzz(f) }
func FuzzDeviceKey(f *testing.F)         { fuzz(f) }
