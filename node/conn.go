package node

import (
	"sync"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/opaque"
	"github.com/quicproquo/qpq/store"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/wire"
)

// conn is one connection and what it has proved. It serves one account.
type conn struct {
	session session
	address string     // of the peer, as limits count it
	turn    sync.Mutex // held by calls that change what was proved: these come one after another

	mu       sync.Mutex
	user     qpq.UserID // whose account this connection serves; zero until something is proved
	password time.Time  // until when the proof of the password holds
	passes   int        // counts what ends proofs of the password, started ones included
	device   qpq.DeviceID
	admin    bool
	nonce    *[32]byte    // of the latest authChallenge
	start    *start       // the latest OPAQUE exchange that was begun
	ended    bool         // nothing is granted any more
	paying   payingDevice // who paid last, put together once
}

// payingDevice remembers what payer returned for a device.
type payingDevice struct {
	user   string
	device qpq.DeviceID
	payer  string
}

// session is what a connection asks of the transport it came in by.
type session interface {
	// Exporter returns bytes of the TLS exporter, none where the transport has none.
	Exporter(label string, length int) ([]byte, error)
	// Push sends a Push message without ever blocking. It reports whether there was room for it.
	Push(message []byte) bool
	// Waiting returns how many bytes wait to be pushed, because the client reads slowly.
	Waiting() int
	// Close ends the connection after what was pushed.
	Close(transport.Code)
}

// exchange says what an OPAQUE exchange is for.
type exchange int

const (
	registering exchange = iota
	loggingIn
	changingPassword
)

// start is an OPAQUE exchange between its start and its finish.
type start struct {
	purpose exchange
	user    qpq.UserID
	token   []byte // hash of the registration token
	attempt store.Attempt
	login   *opaque.ServerLogin
	known   bool // there is an account; what fails for its lack fails like a wrong password
	passes  int  // conn.passes at the time
}

// who returns whose connection it is, zero values where nothing was proved.
func (c *conn) who() (qpq.UserID, qpq.DeviceID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.user, c.device
}

// payer returns who pays for what the connection asks for: its device, or whoever proved the password; empty for strangers.
func (c *conn) payer(now time.Time) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case now.Before(c.password):
		return c.user.Name + "\x00password"
	case c.device.IsZero():
		return ""
	}
	if c.paying.user != c.user.Name || c.paying.device != c.device {
		c.paying = payingDevice{c.user.Name, c.device, c.user.Name + "\x00" + string(c.device[:])}
	}
	return c.paying.payer
}

// allow fails unless the connection has proved what a method asks for.
func (c *conn) allow(a wire.Access, now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	password, device := now.Before(c.password), !c.device.IsZero()
	switch {
	case a == wire.AccessPublic:
	case a == wire.AccessPassword && password:
	case a == wire.AccessDevice && device:
	case a == wire.AccessEither && (password || device):
	case a == wire.AccessAdmin && device && c.admin:
	case a == wire.AccessPassword:
		return qpq.E(qpq.Unauthorized, wire.CodePasswordNeeded, "this takes the password: log in on this connection first")
	case a == wire.AccessAdmin && device:
		return qpq.E(qpq.Denied, wire.CodeAdminNeeded, "this is for administrators of the server")
	default: // device, either, admin, and whatever may be added
		return qpq.E(qpq.Unauthorized, wire.CodeDeviceNeeded, "this takes an enrolled device: authenticate on this connection first")
	}
	return nil
}

// hasPassword reports whether the password was proved lately.
func (c *conn) hasPassword(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return now.Before(c.password)
}

// prepare returns the start of an exchange, for begin. What ends proofs of the password from here on
// ends it too.
func (c *conn) prepare(purpose exchange, user qpq.UserID) *start {
	c.mu.Lock()
	defer c.mu.Unlock()
	return &start{purpose: purpose, user: user, passes: c.passes}
}

// begin keeps the start of an exchange, in place of any before it.
func (c *conn) begin(s *start) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.start = s
}

// end uses up the start of an exchange. It fails unless the latest one was for this purpose.
func (c *conn) end(purpose exchange) (*start, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.start
	c.start = nil
	if s == nil || s.purpose != purpose || s.passes != c.passes {
		return nil, qpq.E(qpq.Invalid, wire.CodeNoStart, "a finish came without its start on this connection: begin again")
	}
	return s, nil
}

// mayServe fails where the connection serves another account than user's already.
func (c *conn) mayServe(user qpq.UserID) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.user.IsZero() && c.user != user {
		return qpq.E(qpq.Denied, "other-account", "this connection serves another account: open a new one")
	}
	return nil
}

// grantPassword gives the right that s proved, unless something ended it meanwhile.
func (c *conn) grantPassword(s *start, until time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended || s.passes != c.passes || !c.user.IsZero() && c.user != s.user {
		return false
	}
	c.user, c.password = s.user, until
	return true
}

// grantDevice gives the right of an authenticated device, unless it was cut off meanwhile.
func (c *conn) grantDevice(user qpq.UserID, device qpq.DeviceID, admin bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended || !c.user.IsZero() && c.user != user || !c.device.IsZero() && c.device != device {
		return false
	}
	c.user, c.device, c.admin = user, device, admin
	return true
}

// endPassword ends the proof of the password, a started one included.
func (c *conn) endPassword() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.passes++
	c.password, c.start = time.Time{}, nil
}

// strip takes all rights of a connection, for good.
func (c *conn) strip() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.passes++
	c.user, c.device, c.admin, c.password, c.start, c.nonce = qpq.UserID{}, qpq.DeviceID{}, false, time.Time{}, nil, nil
	c.ended = true
}

// challenge keeps a nonce to sign, in place of any before it.
func (c *conn) challenge(nonce [32]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nonce = &nonce
}

// takeChallenge uses up the nonce.
func (c *conn) takeChallenge() (nonce [32]byte, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.nonce == nil {
		return nonce, false
	}
	nonce, c.nonce = *c.nonce, nil
	return nonce, true
}

// exporter returns what binds a session to this connection: 32 bytes, or none where the transport has none.
func (c *conn) exporter() ([]byte, error) { return c.session.Exporter(identity.ExporterLabel, 32) }
