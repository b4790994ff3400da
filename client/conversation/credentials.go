package conversation

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/mls"
	"github.com/quicproquo/qpq/mls/message"
	"github.com/quicproquo/qpq/wire"
)

// UnknownDevices is the error where leaves are of devices that the newest known states of their accounts do not tell of: look
// the accounts up and try again. If there is nothing newer, the leaves are not valid.
type UnknownDevices struct {
	Devices []wire.MemberDevice
	Breach  error // the rule that is broken unless the account turns out to be gone; nil where a leaf is not known
}

// Unwrap returns the rule that is broken.
func (e *UnknownDevices) Unwrap() error { return e.Breach }

// Error implements error.
func (e *UnknownDevices) Error() string {
	if e.Breach != nil {
		return e.Breach.Error()
	}
	return fmt.Sprintf("the device %s is not known to belong to %s", e.Devices[0].Device.Short(), e.Devices[0].User)
}

// credentials decides what MLS credentials prove: that the device's account knows it, or knew it once.
type credentials struct {
	config  Config
	unknown *unknown // nil refuses leaves of unknown devices
}

// ValidateCredential implements mls.CredentialValidator.
func (v credentials) ValidateCredential(c mls.Credential, key []byte) error {
	certificate, err := certificateOf(c)
	if err != nil {
		return err
	}
	if !bytes.Equal(certificate.Key[:], key) {
		return qpq.E(qpq.Denied, "wrong-key", fmt.Sprintf("a leaf of %s is signed with another key than its certificate names", certificate.User))
	}
	state, err := v.config.Account(certificate.User)
	if err != nil {
		return err
	}
	if state == nil && v.config.gone(certificate.User) {
		return nil // it is removed soon, and nothing that it says is shown
	}
	if state == nil || state.Device(certificate.ID()) == nil && !state.Revoked(certificate.ID()) {
		d := wire.MemberDevice{User: certificate.User, Device: certificate.ID()}
		if v.unknown.add(d) {
			return nil
		}
		return &UnknownDevices{Devices: []wire.MemberDevice{d}}
	}
	return nil
}

// unknown collects the devices of a whole tree that are not known, so that not each is found by a try of its own. It does so until
// it is asked for them; from then on, in the group that came of it, leaves of unknown devices are refused.
type unknown struct {
	mu      sync.Mutex // package mls verifies leaves on all processors
	asked   bool
	devices []wire.MemberDevice
}

func (u *unknown) add(d wire.MemberDevice) bool {
	if u == nil {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.asked {
		u.devices = append(u.devices, d)
	}
	return !u.asked
}

// err returns an *UnknownDevices if there are any.
func (u *unknown) err() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.asked = true
	if len(u.devices) > 0 {
		return &UnknownDevices{Devices: u.devices}
	}
	return nil
}

// ValidateSuccessor implements mls.CredentialValidator: a leaf stays that of one device.
func (v credentials) ValidateSuccessor(old, next mls.Credential) error {
	a, err := certificateOf(old)
	if err != nil {
		return err
	}
	b, err := certificateOf(next)
	if err != nil {
		return err
	}
	if a.User != b.User || a.ID() != b.ID() {
		return qpq.E(qpq.Denied, "other-device", fmt.Sprintf("a leaf of %s was to become one of %s", a.User, b.User))
	}
	return nil
}

func certificateOf(c mls.Credential) (*identity.DeviceCertificate, error) {
	if c.Type != message.CredentialBasic {
		return nil, qpq.E(qpq.Invalid, "bad-credential", "a leaf has no device certificate")
	}
	return identity.ParseDeviceCertificate(c.Identity)
}

// deviceOf returns whose leaf it is, of one that was accepted before.
func deviceOf(l *mls.LeafNode) (wire.MemberDevice, error) {
	user, key, err := identity.CertifiedDevice(l.Credential.Identity)
	return wire.MemberDevice{User: user, Device: key.DeviceID()}, err
}

// DeviceOf returns whose key package it is, of one that was verified.
func DeviceOf(k *mls.KeyPackage) (wire.MemberDevice, error) { return deviceOf(k.LeafNode) }

func stateVersion(s *identity.AccountState) []byte {
	return binary.BigEndian.AppendUint64(nil, s.Version)
}
