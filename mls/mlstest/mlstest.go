// Package mlstest makes package mls repeatable, for tests and for test vectors. Nothing of it belongs in a program.
package mlstest

import (
	"io"
	"math/rand/v2"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/quicproquo/qpq/mls"
	"github.com/quicproquo/qpq/mls/internal/codec"
)

// Epoch is when it is in repeatable tests.
var Epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// Anyone accepts all credentials.
type Anyone struct{}

// ValidateCredential implements mls.CredentialValidator.
func (Anyone) ValidateCredential(mls.Credential, []byte) error { return nil }

// ValidateSuccessor implements mls.CredentialValidator.
func (Anyone) ValidateSuccessor(mls.Credential, mls.Credential) error { return nil }

// Deterministic returns c with a clock that stands still and randomness that follows from the seed, and makes what
// the standard library draws by itself follow from it too, for the whole process until the test ends. Such tests
// cannot run in parallel.
func Deterministic(t *testing.T, seed uint64, c mls.Config) mls.Config {
	cryptotest.SetGlobalRandom(t, seed)
	c.Rand = Rand(seed)
	c.Clock = func() time.Time { return Epoch }
	if c.Credentials == nil {
		c.Credentials = Anyone{}
	}
	return c
}

// Rand returns randomness that follows from the seed. It is not safe for use by several goroutines.
func Rand(seed uint64) io.Reader {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	return rand.NewChaCha8(key)
}

// PrivateKeys returns the private keys of a key package, as test vectors have them.
func PrivateKeys(b *mls.KeyPackageBundle) (init, encryption, signature []byte) {
	d := codec.NewDecoder(b.Marshal())
	d.Vec() // the key package
	return d.Vec(), d.Vec(), d.Vec()
}
