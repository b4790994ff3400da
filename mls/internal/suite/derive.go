package suite

import (
	"encoding/binary"

	"github.com/quicproquo/qpq/mls/internal/codec"
)

// prefix of every label (RFC 9420 sections 5.1 and 8).
const prefix = "MLS 1.0 "

// Hash returns the hash of the concatenated parts.
func (s *Suite) Hash(parts ...[]byte) []byte {
	return s.kdf.AppendHash(make([]byte, 0, s.HashSize()), parts...)
}

// AppendHash appends the hash of the concatenated parts to dst. It allocates little, and only if dst lacks room or several parts
// are longer than 4 KiB together.
func (s *Suite) AppendHash(dst []byte, parts ...[]byte) []byte {
	return s.kdf.AppendHash(dst, parts...)
}

// MAC returns the HMAC of the concatenated parts (RFC 9420 section 5.1).
func (s *Suite) MAC(key []byte, parts ...[]byte) []byte {
	return s.kdf.AppendMAC(make([]byte, 0, s.HashSize()), key, parts...)
}

// VerifyMAC reports in constant time whether tag is the whole HMAC of the concatenated parts, never a part of it.
func (s *Suite) VerifyMAC(key, tag []byte, parts ...[]byte) bool {
	return s.kdf.VerifyMAC(key, tag, parts...)
}

// Extract is KDF.Extract.
func (s *Suite) Extract(salt, ikm []byte) []byte { return s.kdf.Extract(salt, ikm) }

// ExpandWithLabel derives n bytes from a secret (RFC 9420 section 8). It panics if n exceeds 255 hashes, or if label or
// context exceed 2^30-1 bytes.
func (s *Suite) ExpandWithLabel(secret []byte, label string, context []byte, n int) []byte {
	var head, mid [4 + maxLabel]byte
	info := append(head[:0], byte(n>>8), byte(n))
	info = appendLabel(info, prefix, label)
	return s.kdf.Expand(secret, n, info, codec.AppendVarint(mid[:0], len(context)), context)
}

// DeriveSecret derives a secret of HashSize bytes (RFC 9420 section 8).
func (s *Suite) DeriveSecret(secret []byte, label string) []byte {
	return s.ExpandWithLabel(secret, label, nil, s.HashSize())
}

// DeriveTreeSecret derives n bytes for one generation of a ratchet (RFC 9420 section 9).
func (s *Suite) DeriveTreeSecret(secret []byte, label string, generation uint32, n int) []byte {
	var context [4]byte
	binary.BigEndian.PutUint32(context[:], generation)
	return s.ExpandWithLabel(secret, label, context[:], n)
}

// RefHash is the hash that names a value, such as a KeyPackage, under the full label (RFC 9420 section 5.2). It panics if
// either exceeds 2^30-1 bytes.
func (s *Suite) RefHash(label string, value []byte) []byte {
	var head [maxLabel]byte
	return s.Hash(codec.AppendVarint(appendLabel(head[:0], label, ""), len(value)), value)
}

// labelled is the content under its prefixed label: the structs SignContent and EncryptContext (RFC 9420 section 5.1).
func labelled(label string, content []byte) []byte {
	return appendLabelled(make([]byte, 0, len(prefix)+len(label)+8+len(content)), label, content)
}

func appendLabelled(dst []byte, label string, content []byte) []byte {
	return codec.AppendVec(appendLabel(dst, prefix, label), content)
}

// maxLabel is the room for a label with its length that spares an allocation: no label of RFC 9420 is longer.
const maxLabel = 64

func appendLabel(dst []byte, first, second string) []byte {
	dst = codec.AppendVarint(dst, len(first)+len(second))
	return append(append(dst, first...), second...)
}
