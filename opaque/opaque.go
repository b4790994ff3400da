// Package opaque is the OPAQUE password-authenticated key exchange (RFC 9807) with ristretto255,
// SHA-512 and 3DH: a client proves that it knows a password without the server ever seeing it, and both
// sides end with a shared session key. The client also gets an export key, which depends on the password and
// which the server cannot know: a key for things that are stored with the server.
//
// Registration is [StartRegistration] at the client, [Server.RegistrationResponse], [ClientRegistration.Finish],
// and the record that it returns stored at the server. Login is [StartLogin], [Server.StartLogin],
// [ClientLogin.Finish] and [ServerLogin.Finish].
//
// # What is protected
//
// Whoever watches the network, or acts as a false server, learns nothing that helps to guess passwords. A
// server answers for names that it does not know exactly as it does for those that it knows. Nothing of the
// password can be computed before a server's database is stolen.
//
// # What is not
//
// Whoever has the [ServerSetup] and a record can guess that record's password, each guess at the cost of the
// key-stretching function: keep the setup apart from the database, and let people add a recovery code to what
// the export key opens. Whether a name is taken shows at registration. Guessing online is for the server to
// limit: a login that was started and not finished is a guess.
//
// The package does no I/O and has no global state.
package opaque

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
)

var (
	// ErrMessage says that a message or a stored value is malformed: a wrong length, a point that is not on
	// the curve, not in its one encoding, or the identity.
	ErrMessage = errors.New("malformed OPAQUE message")
	// ErrPassword says that a login failed: the password is wrong, the name is unknown, the identities differ,
	// or somebody changed the messages. Which of these it is cannot be told.
	ErrPassword = errors.New("OPAQUE login failed")
	// ErrState says that a state was used a second time.
	ErrState = errors.New("OPAQUE state was used already")
)

// KSF is a key-stretching function: what makes each guess of a password expensive. It returns 64 bytes.
type KSF func(input []byte) []byte

// Configuration is what client and server must agree on. The zero value is the one to use, with a Context.
type Configuration struct {
	// Context names the application and its version; it is part of the exchange.
	Context []byte
	// KSF is used by clients only. Nil is Argon2id(3, 64<<10, 4).
	KSF KSF
	// Rand is where randomness is drawn. Nil is crypto/rand.
	Rand io.Reader

	suite *suite // nil is ristretto255; others exist to be tested with the vectors of the RFC
	blind []byte // fixed by tests
}

// Identities are the names that the two sides go by. A nil one stands for that side's public key.
type Identities struct {
	Client, Server []byte
}

// filled returns c with all defaults in place.
func (c Configuration) filled() *Configuration {
	if c.KSF == nil {
		c.KSF = Argon2id(3, 64<<10, 4)
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.suite == nil {
		c.suite = ristretto255
	}
	return &c
}

func (c *Configuration) random(n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(c.Rand, b); err != nil {
		return nil, fmt.Errorf("draw randomness: %w", err)
	}
	return b, nil
}

// nonceSize and seedSize are Nn and Nseed of RFC 9807, section 2.1.
const (
	nonceSize = 32
	seedSize  = 32
)

// split cuts data into parts of the given sizes, which must use it up.
func split(data []byte, what string, sizes ...int) ([][]byte, error) {
	parts := make([][]byte, len(sizes))
	rest := data
	for i, n := range sizes {
		if n > len(rest) {
			return nil, fmt.Errorf("%w: %s of %d bytes", ErrMessage, what, len(data))
		}
		parts[i], rest = rest[:n:n], rest[n:]
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("%w: %s of %d bytes", ErrMessage, what, len(data))
	}
	return parts, nil
}

func concat(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// vector returns data with its length in two bytes before it.
func vector(data []byte) []byte {
	return append([]byte{byte(len(data) >> 8), byte(len(data))}, data...)
}

// checkIdentities verifies that the names and the context can be encoded.
func (c *Configuration) checkIdentities(ids Identities) error {
	for _, b := range [][]byte{ids.Client, ids.Server, c.Context} {
		if len(b) > 65535 {
			return fmt.Errorf("%w: identity or context of %d bytes", ErrMessage, len(b))
		}
	}
	return nil
}
