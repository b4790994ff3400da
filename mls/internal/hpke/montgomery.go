package hpke

import (
	"bytes"
	"crypto/subtle"

	"filippo.io/edwards25519"
	"github.com/cloudflare/circl/dh/x25519"
	"github.com/cloudflare/circl/dh/x448"
)

// curve25519 takes public keys from the birationally equivalent Edwards curve, whose precomputed multiples of the base point
// make that the cheapest way, and shared secrets from circl, whose ladder is the fastest constant-time one.
type curve25519 struct{}

func (curve25519) size() int { return x25519.Size }

func (curve25519) clamp(priv []byte) {
	priv[0] &= 248
	priv[31] = priv[31]&127 | 64
}

func (curve25519) public(dst, priv []byte) []byte {
	var wide edwards25519.Scalar
	scalar, err := wide.SetBytesWithClamping(priv)
	if err != nil {
		panic(err) // the length is the caller's invariant
	}
	var point edwards25519.Point
	return append(dst, point.ScalarBaseMult(scalar).BytesMontgomery()...)
}

func (curve25519) shared(dst, priv, pub []byte) ([]byte, bool) {
	var secret x25519.Key
	ok := x25519.Shared(&secret, (*x25519.Key)(priv), (*x25519.Key)(pub))
	return append(dst, secret[:]...), ok && !zero(secret[:])
}

func (curve25519) lowOrder(pub []byte) bool {
	u := x25519.Key(pub)
	u[31] &= 127
	for i := range lowOrder25519 {
		if u == lowOrder25519[i] {
			return true
		}
	}
	return false
}

type curve448 struct{}

func (curve448) size() int { return x448.Size }

func (curve448) clamp(priv []byte) {
	priv[0] &= 252
	priv[55] |= 128
}

func (curve448) public(dst, priv []byte) []byte {
	var pub x448.Key
	x448.KeyGen(&pub, (*x448.Key)(priv))
	return append(dst, pub[:]...)
}

func (curve448) shared(dst, priv, pub []byte) ([]byte, bool) {
	var secret x448.Key
	ok := x448.Shared(&secret, (*x448.Key)(priv), (*x448.Key)(pub))
	return append(dst, secret[:]...), ok && !zero(secret[:])
}

func (curve448) lowOrder(pub []byte) bool {
	u := x448.Key(pub)
	for i := range lowOrder448 {
		if u == lowOrder448[i] {
			return true
		}
	}
	return false
}

func zero(b []byte) bool {
	var acc byte
	for _, v := range b {
		acc |= v
	}
	return subtle.ConstantTimeByteEq(acc, 0) == 1
}

// lowOrder25519 has every encoding, with the unused top bit clear, of the u-coordinates whose points have an order that
// divides the cofactor: 0, 1 and p-1, 0 and 1 again as p and p+1, and the two of order eight.
var lowOrder25519 = [...]x25519.Key{
	{},
	{1},
	little25519(0xec),
	little25519(0xed),
	little25519(0xee),
	{0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a,
		0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00},
	{0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b,
		0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57},
}

// little25519 is 2^255-256+low; p is 2^255-19.
func little25519(low byte) (u x25519.Key) {
	copy(u[:], bytes.Repeat([]byte{0xff}, len(u)))
	u[0], u[31] = low, 0x7f
	return u
}

// lowOrder448 has every encoding of the u-coordinates 0, 1 and p-1; p is 2^448-2^224-1.
var lowOrder448 = [...]x448.Key{
	{},
	{1},
	little448(0xfe, 0xff, 0xfe),
	little448(0xff, 0xff, 0xfe),
	little448(0x00, 0x00, 0xff),
}

// little448 has its lowest byte, the other 27 of its lower half, the lowest byte of its upper half, and ones above.
func little448(low, rest, high byte) (u x448.Key) {
	copy(u[:28], bytes.Repeat([]byte{rest}, 28))
	copy(u[28:], bytes.Repeat([]byte{0xff}, 28))
	u[0], u[28] = low, high
	return u
}
