package identity

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/quicproquo/qpq"
)

// NewAccount returns version 1 of an account with its first device.
func NewAccount(key *AccountKey, device *DeviceRequest, vault *VaultKey, now time.Time) (*AccountState, error) {
	s := &AccountState{
		User: device.User, Version: 1, Key: key.Public(), Created: now.UTC().Truncate(time.Second),
		VaultKey: vault.Public(), Devices: []*DeviceCertificate{key.certify(device, now)},
	}
	return s.seal(key, nil)
}

// Change is what the next version of an account does.
type Change struct {
	Now    time.Time
	Key    *AccountKey      // required: the key of the version before
	Add    []*DeviceRequest // devices added, or renewed for another CertificateLifetime
	Revoke []qpq.DeviceID   // devices revoked, which takes NewKey and Vault

	NewKey *AccountKey // the account key from now on; nil keeps it
	Vault  *VaultKey   // the vault key from now on; nil keeps it
}

// Next returns the version after s. It fails with qpq.Exhausted where a device would be one too many,
// qpq.NotFound where one to revoke is not there, and qpq.Invalid where the change breaks a rule of CheckNext.
func (s *AccountState) Next(c Change) (*AccountState, error) {
	key, previous := c.Key, (*AccountKey)(nil)
	if c.NewKey != nil {
		key, previous = c.NewKey, c.Key
	}
	n := &AccountState{
		User: s.User, Version: s.Version + 1, Previous: s.Hash(), Key: key.Public(),
		Created: later(c.Now.UTC().Truncate(time.Second), s.Created), VaultKey: s.VaultKey,
	}
	if c.Vault != nil {
		n.VaultKey = c.Vault.Public()
	}
	if err := n.revoke(s, c.Revoke); err != nil {
		return nil, err
	}
	if err := n.certify(s, c, key); err != nil {
		return nil, err
	}
	sealed, err := n.seal(key, previous)
	if err != nil {
		return nil, err
	}
	return sealed, CheckNext(s, sealed)
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

func (s *AccountState) revoke(before *AccountState, ids []qpq.DeviceID) error {
	s.Revocations = slices.Clone(before.Revocations)
	for _, id := range ids {
		if before.Device(id) == nil {
			return qpq.E(qpq.NotFound, "device-unknown", fmt.Sprintf("device %s is none of %s: list the devices to see which are", id.Short(), s.User))
		}
		s.Revocations = append(s.Revocations, Revocation{id, s.Created})
	}
	slices.SortFunc(s.Revocations, func(a, b Revocation) int { return bytes.Compare(a.Device[:], b.Device[:]) })
	s.Revocations = slices.Compact(s.Revocations)
	return nil
}

// certify lists the devices: those kept, under a new key certified anew with the validity they had,
// and those added.
func (s *AccountState) certify(before *AccountState, c Change, key *AccountKey) error {
	added := map[qpq.DeviceID]bool{}
	for _, q := range c.Add {
		if added[q.ID()] {
			continue
		}
		added[q.ID()] = true
		s.Devices = append(s.Devices, key.certify(q, c.Now))
	}
	for _, d := range before.Devices {
		if s.Revoked(d.ID()) || added[d.ID()] {
			continue
		}
		if d.Issuer != s.Key {
			kept := *d
			kept.Issuer = s.Key
			kept.Issued = key.sign(labelCertificate, kept.issued())
			d = &kept
		}
		s.Devices = append(s.Devices, d)
	}
	if len(s.Devices) > MaxDevices {
		return qpq.E(qpq.Exhausted, "device-limit", fmt.Sprintf("%s has %d devices already, the most there may be: revoke one first", s.User, MaxDevices))
	}
	slices.SortFunc(s.Devices, func(a, b *DeviceCertificate) int {
		x, y := a.ID(), b.ID()
		return bytes.Compare(x[:], y[:])
	})
	return nil
}

// CheckNext verifies that next may follow prev: the next version, naming prev's hash, signed by the
// same key or by both; nothing un-revoked; devices that left are revoked; and a revocation rotates
// account key and vault key. It fails with qpq.Invalid.
func CheckNext(prev, next *AccountState) error {
	switch {
	case next.User != prev.User:
		return badChain(next, "it is of another user than the version before")
	case prev.Version+1 == 0 || next.Version != prev.Version+1:
		return badChain(next, fmt.Sprintf("it does not follow version %d", prev.Version))
	case next.Previous != prev.Hash():
		return badChain(next, "it names another version before it")
	case next.Created.Before(prev.Created):
		return badChain(next, "it is older than the version before")
	}
	rotated := next.Key != prev.Key
	if rotated != (next.Rotation != nil) {
		return badChain(next, "a signature of the old account key belongs to a new key, and only there")
	}
	if rotated && !prev.Key.verify(labelRotation, next.signed(), *next.Rotation) {
		return badChain(next, "the old account key did not sign the new one")
	}
	for _, r := range prev.Revocations {
		if !slices.Contains(next.Revocations, r) {
			return badChain(next, fmt.Sprintf("it takes back the revocation of device %s", r.Device.Short()))
		}
	}
	for _, d := range prev.Devices {
		if id := d.ID(); next.Device(id) == nil && !next.Revoked(id) {
			return badChain(next, fmt.Sprintf("it drops device %s without revoking it", id.Short()))
		}
	}
	if len(next.Revocations) > len(prev.Revocations) && (!rotated || bytes.Equal(next.VaultKey, prev.VaultKey)) {
		return badChain(next, "it revokes a device and rotates not both account key and vault key")
	}
	return nil
}

// VerifyChain reads encoded states that follow after, oldest first, and returns the last one; after
// is nil where the chain begins with version 1. Callers remember the newest state of each account and
// ask only for what follows it. It fails with qpq.Invalid, and with qpq.NotFound for an empty chain.
func VerifyChain(after *AccountState, states [][]byte) (*AccountState, error) {
	for _, b := range states {
		next, err := ParseAccountState(b)
		if err != nil {
			return nil, err
		}
		if after == nil && next.Version != 1 {
			return nil, badChain(next, "the chain does not begin with version 1")
		}
		if after != nil {
			if err := CheckNext(after, next); err != nil {
				return nil, err
			}
		}
		after = next
	}
	if after == nil {
		return nil, qpq.E(qpq.NotFound, "no-account-state", "there is no account state")
	}
	return after, nil
}

// Forked reports whether a and b prove that an account was forked: two states of one version, both
// rightful successors of prev, that differ. For version 1, where prev is nil, both must be signed by the
// same key. A client that sees this raises an alarm and adds no device of the account any more.
func Forked(prev, a, b *AccountState) bool {
	if a.User != b.User || a.Version != b.Version || a.Hash() == b.Hash() {
		return false
	}
	if prev == nil {
		return a.Version == 1 && a.Key == b.Key
	}
	return CheckNext(prev, a) == nil && CheckNext(prev, b) == nil
}

func badChain(s *AccountState, why string) error {
	return qpq.E(qpq.Invalid, "bad-state", fmt.Sprintf(
		"version %d of the account of %s cannot be accepted: %s", s.Version, s.User, why))
}
