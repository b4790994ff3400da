package hpke

import (
	"bytes"
	"crypto/ecdh"
	"crypto/mlkem"
	"crypto/rand"
	"testing"

	"github.com/cloudflare/circl/dh/x448"
)

func TestEdwardsKeysEqualECDH(t *testing.T) {
	for range 300 {
		priv, peer := make([]byte, 32), make([]byte, 32)
		rand.Read(priv)
		rand.Read(peer)
		theirs, err := ecdh.X25519().NewPrivateKey(priv)
		ok(t, err)
		clamped := bytes.Clone(priv)
		curve25519{}.clamp(clamped)
		equal(t, "public key", curve25519{}.public(nil, clamped), theirs.PublicKey().Bytes())

		pub, err := ecdh.X25519().NewPublicKey(peer)
		ok(t, err)
		secret, err := theirs.ECDH(pub)
		ok(t, err)
		own, nonzero := curve25519{}.shared(nil, clamped, peer)
		if !nonzero {
			t.Fatal("random point taken for one of low order")
		}
		equal(t, "shared secret", own, secret)
	}
}

// TestLowOrder tries the points of low order in every encoding: the shared secret is zero, and nothing is sealed to them,
// opened from them or accepted as a key.
func TestLowOrder(t *testing.T) {
	var points25519, points448 [][]byte
	for _, u := range lowOrder25519 {
		high := u
		high[31] |= 0x80
		points25519 = append(points25519, u[:], high[:])
	}
	for _, u := range lowOrder448 {
		points448 = append(points448, u[:])
	}
	rejectAll(t, X25519, points25519)
	rejectAll(t, X448, points448)

	theirs, err := ecdh.X25519().GenerateKey(nil)
	ok(t, err)
	for _, u := range points25519 {
		pub, err := ecdh.X25519().NewPublicKey(u)
		ok(t, err)
		if _, err := theirs.ECDH(pub); err == nil {
			t.Fatalf("%x is not of low order", u)
		}
	}
	for _, u := range points448 {
		secret, priv := x448.Key{}, x448.Key{1, 2, 3}
		if x448.Shared(&secret, &priv, (*x448.Key)(u)) {
			t.Fatalf("%x is not of low order", u)
		}
	}
}

func rejectAll(t *testing.T, id KEM, points [][]byte) {
	t.Helper()
	s := New(id, HKDFSHA256, AES128GCM)
	k, err := s.GenerateKeyPair(nil)
	ok(t, err)
	ok(t, s.Check(k.Public()))
	for _, u := range points {
		want(t, s.Check(u), ErrPublicKey)
		_, _, err := s.Seal(nil, u, nil, nil, nil)
		want(t, err, ErrPublicKey)
		_, err = s.Open(k, u, nil, nil, make([]byte, Overhead))
		want(t, err, ErrPublicKey)
	}
}

// TestHybridCheck holds the cheap check against the standard library's parsing, with each coefficient around the modulus.
func TestHybridCheck(t *testing.T) {
	s := New(MLKEM768X25519, HKDFSHA256, AES128GCM)
	k, err := s.GenerateKeyPair(nil)
	ok(t, err)
	for i := range 768 {
		for _, v := range []uint16{0, 3328, 3329, 4095} {
			pub := bytes.Clone(k.Public())
			if p := pub[i/2*3:]; i%2 == 0 {
				p[0], p[1] = byte(v), p[1]&0xf0|byte(v>>8)
			} else {
				p[1], p[2] = p[1]&0x0f|byte(v<<4), byte(v>>4)
			}
			if own, in := s.Check(pub), v < 3329; (own == nil) != in {
				t.Fatalf("coefficient %d of %d: %v", i, v, own)
			}
			if i%97 == 0 { // parsing is slow
				_, theirs := mlkem.NewEncapsulationKey768(pub[:mlkem.EncapsulationKeySize768])
				if (theirs == nil) != (v < 3329) {
					t.Fatalf("coefficient %d of %d: the standard library says %v", i, v, theirs)
				}
			}
		}
	}
	for _, u := range lowOrder25519 {
		pub := append(bytes.Clone(k.Public()[:mlkem.EncapsulationKeySize768]), u[:]...)
		want(t, s.Check(pub), ErrPublicKey)
		_, _, err := s.Seal(nil, pub, nil, nil, nil)
		want(t, err, ErrPublicKey)
	}
}
