package identity

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/quicproquo/qpq"
)

// Transcript is what a device signs of a conversation that it exports: that just so many entries, which Head commits to in their order, are
// what it had.
type Transcript struct {
	User    qpq.UserID
	Device  qpq.DeviceID
	Entries uint64
	Head    [32]byte  // of the chain of all lines before the signature
	Time    time.Time // to the second
}

func (t *Transcript) signed() []byte {
	var w writer
	w.user(t.User)
	w.fixed(t.Device[:])
	w.u64(t.Entries)
	w.fixed(t.Head[:])
	w.time(t.Time)
	return w.b
}

// SignTranscript signs t, whose Device must be this one.
func (k *DeviceKey) SignTranscript(t Transcript) (Signature, error) {
	if t.Device != k.ID() {
		return Signature{}, fmt.Errorf("transcript: device %s, signed by %s", t.Device, k.ID())
	}
	return k.sign(labelTranscript, t.signed()), nil
}

// VerifyTranscript reports whether sig is the signature of the device over t. It fails with qpq.Denied.
func VerifyTranscript(device *DeviceCertificate, t Transcript, sig Signature) error {
	if device.User != t.User || device.ID() != t.Device || !device.Key.verify(labelTranscript, t.signed(), sig) {
		return qpq.E(qpq.Denied, "bad-signature", fmt.Sprintf("this is not what the device %s of %s signed", t.Device.Short(), t.User))
	}
	return nil
}

// Fingerprint returns the key in a form that people compare.
func (p PublicKey) Fingerprint() string {
	sum := sha256.Sum256(p[:])
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}
