// Package suite is the cipher suites of MLS (RFC 9420 section 5.1 and 17.1) and everything cryptographic above raw
// primitives: labelled derivation, hash references, signatures and public-key encryption.
package suite

import (
	"fmt"

	"github.com/quicproquo/qpq/mls/internal/hpke"
)

// DefaultHybrid is the private-use code point of MLS_128_MLKEM768X25519_AES128GCM_SHA256_Ed25519, the first suite of
// draft-ietf-mls-pq-ciphersuites, until IANA assigns one.
const DefaultHybrid uint16 = 0xF001

// Suite is one cipher suite. It is immutable and safe for concurrent use.
type Suite struct {
	id        uint16
	name      string
	kdf       hpke.KDF // its hash is the suite's hash
	aead      hpke.AEAD
	hpke      hpke.Suite
	signature signature
}

// table has one entry for each suite; the first is the hybrid one, whose code point the application chooses.
var table = [...]*Suite{
	entry(DefaultHybrid, "MLS_128_MLKEM768X25519_AES128GCM_SHA256_Ed25519", hpke.MLKEM768X25519, hpke.HKDFSHA256, hpke.AES128GCM, ed25519Scheme{}),
	entry(1, "MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519", hpke.X25519, hpke.HKDFSHA256, hpke.AES128GCM, ed25519Scheme{}),
	entry(2, "MLS_128_DHKEMP256_AES128GCM_SHA256_P256", hpke.P256, hpke.HKDFSHA256, hpke.AES128GCM, ecdsaP256),
	entry(3, "MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519", hpke.X25519, hpke.HKDFSHA256, hpke.ChaCha20Poly1305, ed25519Scheme{}),
	entry(4, "MLS_256_DHKEMX448_AES256GCM_SHA512_Ed448", hpke.X448, hpke.HKDFSHA512, hpke.AES256GCM, ed448Scheme{}),
	entry(5, "MLS_256_DHKEMP521_AES256GCM_SHA512_P521", hpke.P521, hpke.HKDFSHA512, hpke.AES256GCM, ecdsaP521),
	entry(6, "MLS_256_DHKEMX448_CHACHA20POLY1305_SHA512_Ed448", hpke.X448, hpke.HKDFSHA512, hpke.ChaCha20Poly1305, ed448Scheme{}),
	entry(7, "MLS_256_DHKEMP384_AES256GCM_SHA384_P384", hpke.P384, hpke.HKDFSHA384, hpke.AES256GCM, ecdsaP384),
}

func entry(id uint16, name string, kem hpke.KEM, kdf hpke.KDF, aead hpke.AEAD, sig signature) *Suite {
	return &Suite{id: id, name: name, kdf: kdf, aead: aead, hpke: hpke.New(kem, kdf, aead), signature: sig}
}

// Lookup returns the suite of a code point, nil if there is none. The hybrid suite has the code point hybrid, where 0 means
// [DefaultHybrid]; it hides a suite of the same number.
func Lookup(id, hybrid uint16) *Suite {
	if hybrid == 0 {
		hybrid = DefaultHybrid
	}
	if id == hybrid {
		if hybrid == DefaultHybrid {
			return table[0]
		}
		moved := *table[0]
		moved.id = hybrid
		return &moved
	}
	for _, s := range table[1:] {
		if s.id == id {
			return s
		}
	}
	return nil
}

// All returns the code points of every suite, the hybrid one last; hybrid is as in [Lookup].
func All(hybrid uint16) []uint16 {
	if hybrid == 0 {
		hybrid = DefaultHybrid
	}
	var ids []uint16
	for _, s := range table[1:] {
		if s.id != hybrid {
			ids = append(ids, s.id)
		}
	}
	return append(ids, hybrid)
}

// ID returns the code point.
func (s *Suite) ID() uint16 { return s.id }

// String returns the name in the registry of IANA and the code point.
func (s *Suite) String() string { return fmt.Sprintf("%s (%#04x)", s.name, s.id) }

// Hybrid reports whether the key encapsulation combines a post-quantum with a classical mechanism.
func (s *Suite) Hybrid() bool { return s.name == table[0].name }

// HashSize returns the length in bytes of hashes, MACs and derived secrets, KDF.Nh.
func (s *Suite) HashSize() int { return s.kdf.Size() }

// KeySize returns the length in bytes of an AEAD key, AEAD.Nk.
func (s *Suite) KeySize() int { return s.aead.KeySize() }

// NonceSize returns the length in bytes of an AEAD nonce, AEAD.Nn.
func (s *Suite) NonceSize() int { return hpke.NonceSize }

// Seal encrypts plaintext and authenticates it with aad. It returns [ErrLength] for a key or nonce of the wrong length.
func (s *Suite) Seal(key, nonce, aad, plaintext []byte) ([]byte, error) {
	return s.aead.Seal(key, nonce, aad, plaintext)
}

// Open decrypts what Seal returned. It returns [ErrOpen] if ciphertext and aad are not authentic.
func (s *Suite) Open(key, nonce, aad, ciphertext []byte) ([]byte, error) {
	return s.aead.Open(key, nonce, aad, ciphertext)
}
