package hpke

import (
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"testing"

	"github.com/cloudflare/circl/dh/x25519"
)

// BenchmarkX25519 compares the parts of a seal, and the whole, with their counterparts elsewhere.
func BenchmarkX25519(b *testing.B) {
	suite := New(X25519, HKDFSHA256, AES128GCM)
	pair, err := suite.GenerateKeyPair(nil)
	if err != nil {
		b.Fatal(err)
	}
	priv, pub, info, plaintext := pair.Bytes(), pair.Public(), make([]byte, 200), make([]byte, 32)
	std := ecdh.X25519()
	stdPriv, _ := std.NewPrivateKey(priv)
	stdPub, _ := hpke.DHKEM(std).NewPublicKey(pub)
	run := func(name string, f func()) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f()
			}
		})
	}
	var key x25519.Key
	buf := make([]byte, 0, 64)
	run("public/edwards", func() { curve25519{}.public(buf, priv) })
	run("public/circl", func() { x25519.KeyGen(&key, (*x25519.Key)(priv)) })
	run("public/ecdh", func() { std.NewPrivateKey(priv) })
	run("shared/circl", func() { curve25519{}.shared(buf, priv, pub) })
	run("shared/ecdh", func() { stdPriv.ECDH(stdPriv.PublicKey()) })
	run("check", func() { suite.Check(pub) })
	run("mac/own", func() { HKDFSHA256.AppendMAC(buf, priv, info) })
	run("mac/std", func() {
		m := hmac.New(sha256.New, priv)
		m.Write(info)
		m.Sum(buf)
	})
	run("random", func() { rand.Read(buf[:32]) })
	run("seal/own", func() { suite.Seal(nil, pub, info, nil, plaintext) })
	run("seal/std", func() { hpke.Seal(stdPub, hpke.HKDFSHA256(), hpke.AES128GCM(), info, plaintext) })
}

// BenchmarkHybrid compares the hybrid with that of the standard library.
func BenchmarkHybrid(b *testing.B) {
	suite, kdf, aead := New(MLKEM768X25519, HKDFSHA256, AES128GCM), hpke.HKDFSHA256(), hpke.AES128GCM()
	pair, err := suite.GenerateKeyPair(nil)
	if err != nil {
		b.Fatal(err)
	}
	priv, pub, info, plaintext := pair.Bytes(), pair.Public(), make([]byte, 200), make([]byte, 32)
	std := hpke.MLKEM768X25519()
	stdPriv, _ := std.NewPrivateKey(priv)
	enc, ct, _ := suite.Seal(nil, pub, info, nil, plaintext)
	joined := append(enc[:len(enc):len(enc)], ct...)
	run := func(name string, f func()) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f()
			}
		})
	}
	run("derive/own", func() { suite.DeriveKeyPair(plaintext) })
	run("derive/std", func() { std.DeriveKeyPair(plaintext) })
	run("check/own", func() { suite.Check(pub) })
	run("check/std", func() { std.NewPublicKey(pub) })
	run("seal/own", func() { suite.Seal(nil, pub, info, nil, plaintext) })
	run("seal/std", func() {
		k, _ := std.NewPublicKey(pub)
		hpke.Seal(k, kdf, aead, info, plaintext)
	})
	run("open/own", func() { suite.Open(pair, enc, info, nil, ct) })
	run("open/std", func() { hpke.Open(stdPriv, kdf, aead, info, joined) })
}
