package identity

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/quicproquo/qpq"
)

// Bounds of certificates.
const (
	MaxSuites           = 32
	CertificateLifetime = 365 * 24 * time.Hour
	clockSkew           = 10 * time.Minute // certificates count from so long before they were made
)

// DeviceRequest is what a device says of itself, signed by its own key: that somebody else's key is
// certified as one's own is so ruled out.
type DeviceRequest struct {
	User          qpq.UserID
	Key           PublicKey
	EncryptionKey []byte   // EncryptionKeySize bytes
	Suites        []uint16 // MLS cipher suites the device supports, ascending
	Signature     Signature
}

// Request returns the signed request of a device to belong to user.
func (k *DeviceKey) Request(user qpq.UserID, suites []uint16) (*DeviceRequest, error) {
	suites = slices.Compact(slices.Sorted(slices.Values(suites)))
	r := &DeviceRequest{User: user, Key: k.Public(), EncryptionKey: k.EncryptionKey(), Suites: suites}
	r.Signature = k.sign(labelRequest, r.signed())
	return ParseDeviceRequest(r.Bytes())
}

// ID returns the device's id.
func (r *DeviceRequest) ID() qpq.DeviceID { return r.Key.DeviceID() }

func (r *DeviceRequest) signed() []byte {
	var w writer
	w.u8(1)
	w.user(r.User)
	w.fixed(r.Key[:])
	w.fixed(r.EncryptionKey)
	w.u8(uint8(len(r.Suites)))
	for _, s := range r.Suites {
		w.u16(s)
	}
	return w.b
}

// Bytes returns the encoding, the only one there is.
func (r *DeviceRequest) Bytes() []byte { return append(r.signed(), r.Signature[:]...) }

func (r *reader) request() DeviceRequest {
	start := r.b
	var q DeviceRequest
	r.version(1)
	q.User = r.user()
	q.Key = PublicKey(r.fixed(32))
	q.EncryptionKey = bytes.Clone(r.fixed(EncryptionKeySize))
	n := int(r.u8())
	if n == 0 || n > MaxSuites {
		r.fail("it names %d cipher suites", n)
		return DeviceRequest{}
	}
	for range n {
		s := r.u16()
		if len(q.Suites) > 0 && s <= q.Suites[len(q.Suites)-1] {
			r.fail("its cipher suites are not ascending")
		}
		q.Suites = append(q.Suites, s)
	}
	signed := start[:len(start)-len(r.b)]
	q.Signature = Signature(r.fixed(64))
	if r.err != nil {
		return DeviceRequest{}
	}
	if err := checkEncryptionKey(q.EncryptionKey); err != nil {
		r.fail("%w", err)
	} else if !q.Key.verify(labelRequest, signed, q.Signature) {
		r.fail("the device's signature is wrong")
	}
	return q
}

// ParseDeviceRequest reads and verifies a device's request. It fails with qpq.Invalid.
func ParseDeviceRequest(b []byte) (*DeviceRequest, error) {
	r := &reader{b: b}
	q := r.request()
	if err := r.done("device-request"); err != nil {
		return nil, err
	}
	return &q, nil
}

// DeviceCertificate is a device's request, countersigned by the account key. It is the device's MLS
// credential. One in hand was verified: its issuer's signature is right, which says nothing of who
// the issuer is; a chain of account states does.
type DeviceCertificate struct {
	DeviceRequest
	Issuer    PublicKey // the account key
	NotBefore time.Time // to the second
	NotAfter  time.Time // to the second; the certificate no longer counts from then on
	Issued    Signature // the issuer's, over all of the above
}

// certify returns a certificate for a device, valid for CertificateLifetime from now.
func (k *AccountKey) certify(q *DeviceRequest, now time.Time) *DeviceCertificate {
	now = now.UTC().Truncate(time.Second)
	c := &DeviceCertificate{DeviceRequest: *q, Issuer: k.Public(), NotBefore: now.Add(-clockSkew), NotAfter: now.Add(CertificateLifetime)}
	c.Issued = k.sign(labelCertificate, c.issued())
	return c
}

func (c *DeviceCertificate) issued() []byte {
	w := writer{c.DeviceRequest.Bytes()}
	w.fixed(c.Issuer[:])
	w.time(c.NotBefore)
	w.time(c.NotAfter)
	return w.b
}

// Bytes returns the encoding, the only one there is.
func (c *DeviceCertificate) Bytes() []byte { return append(c.issued(), c.Issued[:]...) }

// Request returns the device's part of the certificate, for a new one.
func (c *DeviceCertificate) Request() *DeviceRequest { return &c.DeviceRequest }

// CheckTime fails with qpq.Denied where the certificate does not count at now. It is asked before a
// device is added to anything; what holds the device already goes on (its leaves stay).
func (c *DeviceCertificate) CheckTime(now time.Time) error {
	if now.Before(c.NotBefore) || !now.Before(c.NotAfter) {
		return qpq.E(qpq.Denied, "certificate-expired", fmt.Sprintf(
			"the certificate of device %s counts from %s to %s, and it is %s here: check the clock, or renew it from a device of %s",
			c.ID().Short(), c.NotBefore.Format(time.DateTime), c.NotAfter.Format(time.DateTime), now.UTC().Format(time.DateTime), c.User))
	}
	return nil
}

// ParseDeviceCertificate reads a certificate and verifies both its signatures. It fails with qpq.Invalid.
func ParseDeviceCertificate(b []byte) (*DeviceCertificate, error) {
	r := &reader{b: b}
	c := &DeviceCertificate{DeviceRequest: r.request()}
	c.Issuer = PublicKey(r.fixed(32))
	c.NotBefore, c.NotAfter = r.time(), r.time()
	signed := b[:len(b)-len(r.b)]
	c.Issued = Signature(r.fixed(64))
	if r.err == nil && !c.NotBefore.Before(c.NotAfter) {
		r.fail("it ends before it begins")
	}
	if r.err == nil && !c.Issuer.verify(labelCertificate, signed, c.Issued) {
		r.fail("the account's signature is wrong")
	}
	if err := r.done("device-certificate"); err != nil {
		return nil, err
	}
	return c, nil
}

// CertifiedDevice reads whose certificate it is, and which key it is for, and verifies nothing: for certificates that were
// verified before. It fails with qpq.Invalid.
func CertifiedDevice(b []byte) (qpq.UserID, PublicKey, error) {
	r := &reader{b: b}
	r.version(1)
	user, key := r.user(), PublicKey(r.fixed(32))
	if r.err == nil {
		r.b = nil // the rest is not read
	}
	return user, key, r.done("device-certificate")
}
