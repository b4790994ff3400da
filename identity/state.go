package identity

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"github.com/quicproquo/qpq"
)

// Bounds of account states.
const (
	MaxDevices     = 5
	MaxRevocations = 1000  // over an account's life
	MaxState       = 65535 // bytes of an encoded state
)

// Revocation says that a device no longer belongs to an account.
type Revocation struct {
	Device qpq.DeviceID
	Time   time.Time // to the second
}

// AccountState is one version of all that an account says of itself. States form a chain: each names
// the hash of the one before. One in hand was verified by itself; CheckNext and VerifyChain verify
// its place in the chain.
type AccountState struct {
	User        qpq.UserID
	Version     uint64   // from 1
	Previous    [32]byte // Hash of the version before; zero in version 1
	Key         PublicKey
	Created     time.Time            // to the second, never before that of the version before
	VaultKey    []byte               // the vault's public key, EncryptionKeySize bytes
	Devices     []*DeviceCertificate // 1 to MaxDevices, ascending by id, all issued by Key
	Revocations []Revocation         // ascending by id; none is ever taken back
	Signature   Signature            // by Key
	Rotation    *Signature           // by the key of the version before, where Key is another

	raw []byte
}

// Bytes returns the encoding, the only one there is. It is not a copy.
func (s *AccountState) Bytes() []byte { return s.raw }

// Hash returns the SHA-256 of the encoding, by which the next version names this one.
func (s *AccountState) Hash() [32]byte { return sha256.Sum256(s.raw) }

// Device returns the certificate of a device of this state, nil if there is none.
func (s *AccountState) Device(id qpq.DeviceID) *DeviceCertificate {
	for _, c := range s.Devices {
		if c.ID() == id {
			return c
		}
	}
	return nil
}

// Revoked reports whether a device was revoked in this version or before.
func (s *AccountState) Revoked(id qpq.DeviceID) bool {
	_, found := slices.BinarySearchFunc(s.Revocations, id, func(r Revocation, id qpq.DeviceID) int {
		return bytes.Compare(r.Device[:], id[:])
	})
	return found
}

func (s *AccountState) signed() []byte {
	var w writer
	w.u8(1)
	w.user(s.User)
	w.u64(s.Version)
	w.fixed(s.Previous[:])
	w.fixed(s.Key[:])
	w.time(s.Created)
	w.fixed(s.VaultKey)
	w.u8(uint8(len(s.Devices)))
	for _, c := range s.Devices {
		w.vec16(c.Bytes())
	}
	w.u16(uint16(len(s.Revocations)))
	for _, r := range s.Revocations {
		w.fixed(r.Device[:])
		w.time(r.Time)
	}
	return w.b
}

// seal signs the state and fills in its encoding; previous is the key it replaces, nil if none.
func (s *AccountState) seal(key, previous *AccountKey) (*AccountState, error) {
	signed := s.signed()
	w := writer{signed}
	sig := key.sign(labelState, signed)
	w.fixed(sig[:])
	if previous == nil {
		w.u8(0)
	} else {
		rotation := previous.sign(labelRotation, signed)
		w.u8(1)
		w.fixed(rotation[:])
	}
	return ParseAccountState(w.b)
}

// ParseAccountState reads an account state and verifies all that can be verified without the version
// before: its own signature, the certificates, the bounds. It fails with qpq.Invalid.
func ParseAccountState(b []byte) (*AccountState, error) {
	if len(b) > MaxState {
		return nil, qpq.E(qpq.Invalid, "malformed-account-state", fmt.Sprintf("an account state has at most %d bytes, and this one %d", MaxState, len(b)))
	}
	b = bytes.Clone(b)
	r := &reader{b: b}
	s := &AccountState{raw: b}
	r.version(1)
	s.User = r.user()
	s.Version = r.u64()
	s.Previous = [32]byte(r.fixed(32))
	s.Key = PublicKey(r.fixed(32))
	s.Created = r.time()
	s.VaultKey = r.fixed(EncryptionKeySize)
	r.devices(s)
	r.revocations(s)
	signed := b[:len(b)-len(r.b)]
	s.Signature = Signature(r.fixed(64))
	if r.err == nil && !s.Key.verify(labelState, signed, s.Signature) {
		r.fail("its signature is wrong")
	}
	r.rotation(s)
	r.consistent(s)
	if err := r.done("account-state"); err != nil {
		return nil, err
	}
	return s, nil
}

func (r *reader) devices(s *AccountState) {
	n := int(r.u8())
	if n < 1 || n > MaxDevices {
		r.fail("it has %d devices, and 1 to %d are allowed", n, MaxDevices)
	}
	for i := 0; i < n && r.err == nil; i++ {
		c, err := ParseDeviceCertificate(r.vec16())
		if r.err != nil {
			return
		}
		if err != nil {
			r.fail("%w", err)
			return
		}
		s.Devices = append(s.Devices, c)
	}
}

func (r *reader) revocations(s *AccountState) {
	n := int(r.u16())
	if n > MaxRevocations {
		r.fail("it has %d revocations, and at most %d are allowed", n, MaxRevocations)
	}
	for i := 0; i < n && r.err == nil; i++ {
		s.Revocations = append(s.Revocations, Revocation{qpq.DeviceID(r.fixed(16)), r.time()})
	}
}

func (r *reader) rotation(s *AccountState) {
	switch n := r.u8(); n {
	case 0:
	case 1:
		sig := Signature(r.fixed(64))
		s.Rotation = &sig
	default:
		r.fail("it has %d rotation signatures", n)
	}
}

// consistent checks what one state alone must keep to.
func (r *reader) consistent(s *AccountState) {
	if r.err != nil {
		return
	}
	for i, c := range s.Devices {
		id := c.ID()
		switch {
		case c.User != s.User || c.Issuer != s.Key:
			r.fail("device %s is certified for another account", id.Short())
		case i > 0 && !lessID(s.Devices[i-1].ID(), id):
			r.fail("its devices are not in order")
		}
	}
	for i, v := range s.Revocations {
		switch {
		case i > 0 && !lessID(s.Revocations[i-1].Device, v.Device):
			r.fail("its revocations are not in order")
		case s.Device(v.Device) != nil:
			r.fail("device %s is revoked and listed", v.Device.Short())
		}
	}
	first := s.Version == 1
	switch {
	case s.Version == 0:
		r.fail("versions begin with 1")
	case first && (s.Previous != [32]byte{} || s.Rotation != nil || len(s.Revocations) > 0):
		r.fail("it is the first version and refers to one before")
	}
	if err := checkEncryptionKey(s.VaultKey); err != nil {
		r.fail("%w", err)
	}
}

func lessID(a, b qpq.DeviceID) bool { return bytes.Compare(a[:], b[:]) < 0 }
