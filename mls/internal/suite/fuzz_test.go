package suite_test

import (
	"bytes"
	"testing"

	"github.com/quicproquo/qpq/mls/internal/hpke"
	"github.com/quicproquo/qpq/mls/internal/suite"
)

// pick returns the suite that a byte of fuzz input stands for.
func pick(n byte) *suite.Suite {
	ids := suite.All(0)
	return suite.Lookup(ids[int(n)%len(ids)], 0)
}

func FuzzCheckPublicKey(f *testing.F) {
	for n := range suite.All(0) {
		s := pick(byte(n))
		k := must(s.GenerateKeyPair(nil))(f)
		f.Add(byte(n), k.Public())
		f.Add(byte(n), make([]byte, s.PublicKeySize()))
		f.Add(byte(n), bytes.Repeat([]byte{0xff}, s.PublicKeySize()))
	}
	f.Fuzz(func(t *testing.T, n byte, pub []byte) {
		s := pick(n)
		checked := s.CheckPublicKey(pub)
		_, _, err := s.EncryptWithLabel(nil, pub, "label", nil, nil)
		if (checked == nil) != (err == nil) {
			t.Fatalf("check says %v, encryption %v", checked, err)
		}
	})
}

func FuzzDecryptWithLabel(f *testing.F) {
	var keys []*suite.KeyPair
	for n := range suite.All(0) {
		s := pick(byte(n))
		k := must(s.DeriveKeyPair(bytes.Repeat([]byte{1}, 64)))(f)
		keys = append(keys, k)
		enc, ct, err := s.EncryptWithLabel(nil, k.Public(), "label", nil, []byte("secret"))
		ok(f, err)
		f.Add(byte(n), enc, ct)
		f.Add(byte(n), make([]byte, len(enc)), ct)
		f.Add(byte(n), enc[:len(enc)-1], ct[:15])
	}
	f.Fuzz(func(t *testing.T, n byte, enc, ct []byte) {
		s, k := pick(n), keys[int(n)%len(keys)]
		plaintext, err := s.DecryptWithLabel(k, "label", nil, enc, ct)
		if err == nil && len(plaintext) != len(ct)-hpke.Overhead {
			t.Fatalf("%d bytes of plaintext from %d of ciphertext", len(plaintext), len(ct))
		}
		if secret, err := s.DecapExport(k, enc, nil, nil, 32); err == nil && len(secret) != 32 {
			t.Fatalf("secret of %d bytes", len(secret))
		}
	})
}

func FuzzVerifyWithLabel(f *testing.F) {
	for n := range suite.All(0) {
		s := pick(byte(n))
		k := must(s.GenerateSigner(nil))(f)
		content := []byte("content")
		sig := must(s.SignWithLabel(k, nil, "label", content))(f)
		f.Add(byte(n), k.Public(), content, sig)
		f.Add(byte(n), make([]byte, len(k.Public())), content, make([]byte, len(sig)))
		f.Add(byte(n), k.Public()[1:], content, sig[1:])
	}
	f.Fuzz(func(t *testing.T, n byte, pub, content, sig []byte) {
		if s := pick(n); s.VerifyWithLabel(pub, "label", content, sig) == nil && len(pub) != len(must(s.GenerateSigner(nil))(t).Public()) {
			t.Fatal("signature accepted under a key of another length")
		}
	})
}

func FuzzNewSigner(f *testing.F) {
	for n := range suite.All(0) {
		k := must(pick(byte(n)).GenerateSigner(nil))(f)
		f.Add(byte(n), k.Bytes())
		f.Add(byte(n), append(k.Bytes(), k.Public()...))
		f.Add(byte(n), bytes.Repeat([]byte{0xff}, len(k.Bytes())))
	}
	f.Fuzz(func(t *testing.T, n byte, key []byte) {
		s := pick(n)
		if k, err := s.NewSigner(key); err == nil {
			ok(t, s.VerifyWithLabel(k.Public(), "label", key, must(s.SignWithLabel(k, nil, "label", key))(t)))
		}
	})
}

func FuzzOpen(f *testing.F) {
	for n := range suite.All(0) {
		s := pick(byte(n))
		key, nonce := make([]byte, s.KeySize()), make([]byte, s.NonceSize())
		f.Add(byte(n), key, nonce, must(s.Seal(key, nonce, nil, []byte("plaintext")))(f))
		f.Add(byte(n), key, []byte{}, []byte{})
	}
	f.Fuzz(func(t *testing.T, n byte, key, nonce, ct []byte) {
		if plaintext, err := pick(n).Open(key, nonce, nil, ct); err == nil && len(plaintext)+hpke.Overhead != len(ct) {
			t.Fatal("plaintext of another length")
		}
	})
}
