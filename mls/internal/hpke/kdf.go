package hpke

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"hash"
)

// KDF is a key derivation function, HKDF (RFC 5869) over a SHA-2 hash, by its number in the HPKE registry of IANA.
//
// Its methods compute HMAC (RFC 2104) over the one-shot hashes of the standard library in a buffer on the stack: without the
// five allocations of crypto/hmac, in two thirds of its time.
type KDF uint16

// The functions of RFC 9180 section 7.2.
const (
	HKDFSHA256 KDF = 1
	HKDFSHA384 KDF = 2
	HKDFSHA512 KDF = 3
)

const (
	maxSize  = sha512.Size
	maxBlock = sha512.BlockSize
	onStack  = 512 // bytes of input that need no allocation
)

// Size returns the output length of the hash, Nh.
func (k KDF) Size() int {
	switch k {
	case HKDFSHA256:
		return sha256.Size
	case HKDFSHA384:
		return sha512.Size384
	default:
		return sha512.Size
	}
}

func (k KDF) blockSize() int {
	if k == HKDFSHA256 {
		return sha256.BlockSize
	}
	return sha512.BlockSize
}

// AppendHash appends the hash of the concatenated parts to dst.
func (k KDF) AppendHash(dst []byte, parts ...[]byte) []byte {
	if len(parts) == 1 {
		return k.appendHash(dst, parts[0])
	}
	if n := length(parts); n > onStack {
		return k.appendHashLarge(dst, parts, n)
	}
	var scratch [onStack]byte
	return k.appendHash(dst, join(scratch[:0], parts))
}

// appendHashLarge has a frame of its own, because clearing its buffer costs as much as a short hash.
func (k KDF) appendHashLarge(dst []byte, parts [][]byte, total int) []byte {
	var scratch [8 * onStack]byte
	if total > len(scratch) {
		return k.appendHashes(dst, nil, parts)
	}
	return k.appendHash(dst, join(scratch[:0], parts))
}

// appendHashes hashes a block and parts that are too long to put together first. They pass through a buffer: what is handed to a hash.Hash
// counts as escaping, and so would every buffer on a caller's stack.
func (k KDF) appendHashes(dst, block []byte, parts [][]byte) []byte {
	var h hash.Hash
	switch k {
	case HKDFSHA256:
		h = sha256.New()
	case HKDFSHA384:
		h = sha512.New384()
	default:
		h = sha512.New()
	}
	buf := make([]byte, 8*onStack)
	h.Write(buf[:copy(buf, block)])
	for _, p := range parts {
		for len(p) > 0 {
			n := copy(buf, p)
			h.Write(buf[:n])
			p = p[n:]
		}
	}
	clear(buf)
	return append(dst, h.Sum(buf[:0])...)
}

func (k KDF) appendHash(dst, data []byte) []byte {
	switch k {
	case HKDFSHA256:
		h := sha256.Sum256(data)
		return append(dst, h[:]...)
	case HKDFSHA384:
		h := sha512.Sum384(data)
		return append(dst, h[:]...)
	default:
		h := sha512.Sum512(data)
		return append(dst, h[:]...)
	}
}

// AppendMAC appends the HMAC of the concatenated parts to dst.
func (k KDF) AppendMAC(dst, key []byte, parts ...[]byte) []byte {
	var scratch [maxBlock + onStack]byte
	var pad [maxBlock]byte
	block := pad[:k.blockSize()]
	if len(key) > len(block) {
		k.appendHash(block[:0], key)
	} else {
		copy(block, key)
	}
	for i := range block {
		block[i] ^= 0x36
	}
	var outer [maxBlock + maxSize]byte
	sum := outer[:len(block)] // what follows is the hash of the inner message
	if length(parts) > 8*onStack {
		sum = k.appendHashes(sum, block, parts)
	} else {
		inner := join(append(scratch[:0], block...), parts)
		sum = k.appendHash(sum, inner)
		clear(inner) // with key and message
	}
	for i := range block {
		outer[i] = block[i] ^ 0x36 ^ 0x5c
	}
	return k.appendHash(dst, sum)
}

// VerifyMAC reports in constant time whether tag is the whole HMAC of the concatenated parts.
func (k KDF) VerifyMAC(key, tag []byte, parts ...[]byte) bool {
	var want [maxSize]byte
	return hmac.Equal(tag, k.AppendMAC(want[:0], key, parts...))
}

// Extract returns the pseudorandom key of the concatenated input keying material.
func (k KDF) Extract(salt []byte, ikm ...[]byte) []byte {
	return k.AppendMAC(make([]byte, 0, k.Size()), salt, ikm...)
}

// Expand returns n bytes of output keying material. The info is the concatenation of its parts. It panics if n is more than
// 255 times the hash's length, which is what the function can give.
func (k KDF) Expand(prk []byte, n int, info ...[]byte) []byte {
	if n < 0 || n > 255*k.Size() {
		panic("hpke: expand beyond 255 blocks")
	}
	out := make([]byte, 0, (n+k.Size()-1)/k.Size()*k.Size())
	var scratch [onStack]byte
	joined := join(scratch[:0], info)
	var previous []byte
	for counter := byte(1); len(out) < n; counter++ {
		out = k.AppendMAC(out, prk, previous, joined, []byte{counter})
		previous = out[len(out)-k.Size():]
	}
	clear(out[n:])
	return out[:n:n]
}

func length(parts [][]byte) (n int) {
	for _, p := range parts {
		n += len(p)
	}
	return n
}

func join(dst []byte, parts [][]byte) []byte {
	for _, p := range parts {
		dst = append(dst, p...)
	}
	return dst
}
