package opaque

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/subtle"
	"fmt"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/oprf"
	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/hkdf"

	// The hashes of the suites.
	_ "crypto/sha256"
	_ "crypto/sha512"
)

// suite is a choice of primitives (RFC 9807, section 7).
type suite struct {
	oprf oprf.Suite
	hash crypto.Hash
	ake  akeGroup
	size sizes
}

// sizes are lengths in bytes, by their names in RFC 9807, section 2.1.
type sizes struct {
	noe int // an OPRF element
	npk int // a public key
	nsk int // a private key
	nh  int // the output of the hash, the MAC and the KDF's extraction
}

// akeGroup is the Diffie-Hellman group of the key exchange (RFC 9807, section 6.4.1).
type akeGroup interface {
	derive(seed []byte) (private []byte, err error)
	public(private []byte) ([]byte, error)
	diffieHellman(private, public []byte) ([]byte, error)
}

var (
	ristretto255 = newSuite(oprf.SuiteRistretto255, crypto.SHA512, primeGroup{oprf.SuiteRistretto255}, 32, 32)
	curve25519   = newSuite(oprf.SuiteRistretto255, crypto.SHA512, x25519{}, 32, 32)
	p256         = newSuite(oprf.SuiteP256, crypto.SHA256, primeGroup{oprf.SuiteP256}, 33, 33)
)

func newSuite(o oprf.Suite, h crypto.Hash, ake akeGroup, noe, npk int) *suite {
	return &suite{o, h, ake, sizes{noe: noe, npk: npk, nsk: 32, nh: h.Size()}}
}

func (s *suite) envelopeSize() int { return nonceSize + s.size.nh }

func (s *suite) extract(ikm []byte) []byte { return hkdf.Extract(s.hash.New, ikm, nil) }

func (s *suite) expand(secret []byte, n int, info ...[]byte) []byte {
	out := make([]byte, n)
	if _, err := hkdf.Expand(s.hash.New, secret, concat(info...)).Read(out); err != nil {
		panic(err) // n is a constant far below the limit
	}
	return out
}

func (s *suite) mac(key []byte, data ...[]byte) []byte {
	m := hmac.New(s.hash.New, key)
	for _, d := range data {
		m.Write(d)
	}
	return m.Sum(nil)
}

func (s *suite) digest(data ...[]byte) []byte {
	h := s.hash.New()
	for _, d := range data {
		h.Write(d)
	}
	return h.Sum(nil)
}

// deriveSecret is Derive-Secret of RFC 9807, section 6.4.2.1.
func (s *suite) deriveSecret(secret []byte, label string, transcript []byte) []byte {
	label = "OPAQUE-" + label
	return s.expand(secret, s.size.nh, []byte{byte(s.size.nh >> 8), byte(s.size.nh), byte(len(label))}, []byte(label),
		[]byte{byte(len(transcript))}, transcript)
}

// element decodes a point: one that is on the curve, in its one encoding, and not the identity.
func (s *suite) element(data []byte) (group.Element, error) {
	return decodeElement(s.oprf.Group(), data)
}

func decodeElement(g group.Group, data []byte) (group.Element, error) {
	e := g.NewElement()
	if err := e.UnmarshalBinary(data); err != nil {
		return nil, fmt.Errorf("%w: not a point", ErrMessage)
	}
	if e.IsIdentity() {
		return nil, fmt.Errorf("%w: the identity", ErrMessage)
	}
	again, err := e.MarshalBinaryCompress()
	if err != nil || !bytes.Equal(again, data) {
		return nil, fmt.Errorf("%w: a point in another than its one encoding", ErrMessage)
	}
	return e, nil
}

func encodeElement(e group.Element) []byte {
	b, err := e.MarshalBinaryCompress()
	if err != nil {
		panic(err) // an element of the group always has an encoding
	}
	return b
}

// primeGroup is the group of an OPRF suite, used for the key exchange too.
type primeGroup struct{ suite oprf.Suite }

func (p primeGroup) derive(seed []byte) ([]byte, error) {
	k, err := oprf.DeriveKey(p.suite, oprf.BaseMode, seed, []byte("OPAQUE-DeriveDiffieHellmanKeyPair"))
	if err != nil {
		return nil, fmt.Errorf("derive a key pair: %w", err)
	}
	return k.MarshalBinary()
}

func (p primeGroup) scalar(private []byte) (group.Scalar, error) {
	k := p.suite.Group().NewScalar()
	if err := k.UnmarshalBinary(private); err != nil || k.IsZero() {
		return nil, fmt.Errorf("%w: not a private key", ErrMessage)
	}
	again, err := k.MarshalBinary()
	if err != nil || subtle.ConstantTimeCompare(again, private) != 1 {
		return nil, fmt.Errorf("%w: not a private key in its one encoding", ErrMessage)
	}
	return k, nil
}

func (p primeGroup) public(private []byte) ([]byte, error) {
	k, err := p.scalar(private)
	if err != nil {
		return nil, err
	}
	return encodeElement(p.suite.Group().NewElement().MulGen(k)), nil
}

func (p primeGroup) diffieHellman(private, public []byte) ([]byte, error) {
	k, err := p.scalar(private)
	if err != nil {
		return nil, err
	}
	e, err := decodeElement(p.suite.Group(), public)
	if err != nil {
		return nil, err
	}
	return encodeElement(p.suite.Group().NewElement().Mul(e, k)), nil
}

// x25519 is the key exchange of RFC 7748, section 5.
type x25519 struct{}

func (x25519) derive(seed []byte) ([]byte, error) { return bytes.Clone(seed), nil }

func (x25519) public(private []byte) ([]byte, error) {
	k, err := ecdh.X25519().NewPrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMessage, err)
	}
	return k.PublicKey().Bytes(), nil
}

func (x25519) diffieHellman(private, public []byte) ([]byte, error) {
	k, err := ecdh.X25519().NewPrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMessage, err)
	}
	p, err := ecdh.X25519().NewPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMessage, err)
	}
	shared, err := k.ECDH(p)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMessage, err)
	}
	return shared, nil
}

// deriveKeyPair is DeriveDiffieHellmanKeyPair of RFC 9807, section 6.4.1.
func (s *suite) deriveKeyPair(seed []byte) (private, public []byte, err error) {
	if private, err = s.ake.derive(seed); err != nil {
		return nil, nil, err
	}
	public, err = s.ake.public(private)
	return private, public, err
}

// Argon2id returns a key-stretching function: Argon2id (RFC 9106) with so many passes over so many KiB of
// memory on so many lanes, an all-zero salt of 16 bytes and 64 bytes of output. The salt is zero because
// what is stretched is different for each name and server already.
func Argon2id(passes, memoryKiB uint32, lanes uint8) KSF {
	return func(input []byte) []byte {
		return argon2.IDKey(input, make([]byte, 16), passes, memoryKiB, lanes, 64)
	}
}

// Identity is a key-stretching function that does nothing: for test vectors, and where the password is a
// key of full entropy already.
func Identity(input []byte) []byte { return bytes.Clone(input) }
