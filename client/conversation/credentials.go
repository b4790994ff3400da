package conversation

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/mls"
	"github.com/quicproquo/qpq/mls/message"
	"github.com/quicproquo/qpq/wire"
)

// UnknownDevice is the error where a leaf is of a device that the newest known state of its account does not tell of: look the
// account up and try again. If there is nothing newer, the leaf is not valid.
type UnknownDevice struct {
	User   qpq.UserID
	Device qpq.DeviceID
}

// Error implements error.
func (e *UnknownDevice) Error() string {
	return fmt.Sprintf("the device %s is not known to belong to %s", e.Device.Short(), e.User)
}

// credentials decides what MLS credentials prove: that the device's account knows it, or knew it once.
type credentials struct{ config Config }

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
	if state == nil || state.Device(certificate.ID()) == nil && !state.Revoked(certificate.ID()) {
		return &UnknownDevice{certificate.User, certificate.ID()}
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

func stateVersion(s *identity.AccountState) []byte {
	return binary.BigEndian.AppendUint64(nil, s.Version)
}
