package identity

import (
	"crypto/sha256"
	"io"

	"github.com/quicproquo/qpq"
)

// LinkCode links a new device: 95 random bits that an existing device shows and a person types into
// the new one. The rendezvous at the server and the keys that seal both messages are derived from
// it; at this length the server can neither guess it nor put a device of its own in between. It is
// used once and holds for minutes.
type LinkCode struct{ secret }

const linkSymbols, linkChecks = 19, 1

// NewLinkCode makes a link code.
func NewLinkCode(rand io.Reader) (*LinkCode, error) {
	b, err := random(rand, linkSymbols)
	if err != nil {
		return nil, err
	}
	for i := range b {
		b[i] &= 31
	}
	return &LinkCode{secret{b}}, nil
}

// Reveal returns the code as people type it: five groups of four characters.
func (c *LinkCode) Reveal() string { return formatCode(c.b, linkChecks) }

// ParseLinkCode reads what Reveal wrote. It fails with qpq.Invalid.
func ParseLinkCode(s string) (*LinkCode, error) {
	symbols, err := parseCode(s, "link", linkSymbols, linkChecks)
	if err != nil {
		return nil, err
	}
	return &LinkCode{secret{symbols}}, nil
}

// Rendezvous returns the place at the server where the two devices meet.
func (c *LinkCode) Rendezvous() [16]byte {
	return [16]byte(c.derive("quicproquo link rendezvous v1", 16))
}

const (
	labelLinkRequest = "quicproquo link request v1"
	labelLinkAnswer  = "quicproquo link answer v1"
)

// SealRequest seals the new device's request for the existing device.
func (c *LinkCode) SealRequest(rand io.Reader, q *DeviceRequest) ([]byte, error) {
	return c.sealItem(rand, labelLinkRequest, nil, q.Bytes())
}

// OpenRequest opens it on the existing device, whose user the request must be for. Whoever made it
// knows the code. It fails with qpq.Denied or qpq.Invalid.
func (c *LinkCode) OpenRequest(user qpq.UserID, sealed []byte) (*DeviceRequest, error) {
	b, err := c.openItem(labelLinkRequest, nil, sealed)
	if err != nil {
		return nil, err
	}
	q, err := ParseDeviceRequest(b)
	if err == nil && q.User != user {
		err = qpq.E(qpq.Invalid, "wrong-user", "the new device asks to be linked to "+q.User.String()+", and this is "+user.String())
	}
	if err != nil {
		return nil, err
	}
	return q, nil
}

// SealAnswer seals the account state that lists the new device, in answer to its sealed request.
func (c *LinkCode) SealAnswer(rand io.Reader, request []byte, s *AccountState) ([]byte, error) {
	sum := sha256.Sum256(request)
	return c.sealItem(rand, labelLinkAnswer, sum[:], s.Bytes())
}

// OpenAnswer opens the answer to a sealed request on the new device, and checks that the state lists
// the device as it asked. The account key in it is the true one: no server could have sealed it. It
// fails with qpq.Denied or qpq.Invalid.
func (c *LinkCode) OpenAnswer(request []byte, q *DeviceRequest, sealed []byte) (*AccountState, error) {
	sum := sha256.Sum256(request)
	b, err := c.openItem(labelLinkAnswer, sum[:], sealed)
	if err != nil {
		return nil, err
	}
	s, err := ParseAccountState(b)
	if err != nil {
		return nil, err
	}
	d := s.Device(q.ID())
	if s.User != q.User || d == nil || string(d.DeviceRequest.Bytes()) != string(q.Bytes()) {
		return nil, qpq.E(qpq.Invalid, "bad-answer", "the other device did not link this one: begin anew with a new code")
	}
	return s, nil
}
