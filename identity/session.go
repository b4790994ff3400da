package identity

import (
	"fmt"

	"github.com/quicproquo/qpq"
)

// ExporterLabel is the label of the TLS exporter (RFC 8446, section 7.5) whose 32 bytes bind a session
// to its connection; the context is empty.
const ExporterLabel = "EXPORTER-quicproquo-session"

// Session is what a device signs to authenticate a connection. It binds the signature to the server,
// to this connection, and to one start of the device's state.
type Session struct {
	Domain   string // the server's, in normal form
	User     qpq.UserID
	Device   qpq.DeviceID
	Counter  uint64   // advanced and saved before each use
	Nonce    [32]byte // the server's, for this connection
	Exporter []byte   // 32 bytes of the TLS exporter; empty where the transport has none
}

func (s *Session) signed() ([]byte, error) {
	if n := len(s.Exporter); n != 0 && n != 32 || len(s.Domain) > MaxDomain {
		return nil, fmt.Errorf("session statement: an exporter of %d bytes and a domain of %d bytes", n, len(s.Domain))
	}
	var w writer
	w.vec8([]byte(s.Domain))
	w.user(s.User)
	w.fixed(s.Device[:])
	w.u64(s.Counter)
	w.fixed(s.Nonce[:])
	w.vec8(s.Exporter)
	return w.b, nil
}

// SignSession signs s, whose Device must be this one.
func (k *DeviceKey) SignSession(s Session) (Signature, error) {
	b, err := s.signed()
	if err != nil {
		return Signature{}, err
	}
	if s.Device != k.ID() {
		return Signature{}, fmt.Errorf("session statement: device %s, signed by %s", s.Device, k.ID())
	}
	return k.sign(labelSession, b), nil
}

// VerifySession reports whether sig is the signature over s of a device whose certificate names user and key. It fails with qpq.Denied.
func VerifySession(user qpq.UserID, key PublicKey, s Session, sig Signature) error {
	b, err := s.signed()
	if err != nil || user != s.User || key.DeviceID() != s.Device || !key.verify(labelSession, b, sig) {
		return qpq.Wrap(qpq.Denied, "device-unknown", "the device could not be authenticated: it is unknown here or was revoked", err)
	}
	return nil
}
