package suite_test

import (
	"bytes"
	"testing"

	"github.com/quicproquo/qpq/mls/internal/hpke"
	"github.com/quicproquo/qpq/mls/internal/suite"
)

func TestEncryption(t *testing.T) {
	forEach(t, func(t *testing.T, s *suite.Suite) {
		k := must(s.GenerateKeyPair(nil))(t)
		ok(t, s.CheckPublicKey(k.Public()))
		context, plaintext := []byte("context"), []byte("plaintext")
		enc, ct, err := s.EncryptWithLabel(nil, k.Public(), "label", context, plaintext)
		ok(t, err)
		if len(k.Public()) != s.PublicKeySize() || len(ct) != len(plaintext)+hpke.Overhead {
			t.Fatalf("sizes %d, %d", len(k.Public()), len(ct))
		}
		restored := must(s.NewKeyPair(k.Bytes(), nil))(t)
		equal(t, "public key", restored.Public(), k.Public())
		equal(t, "plaintext", must(s.DecryptWithLabel(restored, "label", context, enc, ct))(t), plaintext)

		fails := func(k *suite.KeyPair, label string, context, enc, ct []byte, target error) {
			t.Helper()
			_, err := s.DecryptWithLabel(k, label, context, enc, ct)
			want(t, err, target)
		}
		fails(must(s.GenerateKeyPair(nil))(t), "label", context, enc, ct, suite.ErrOpen)
		fails(k, "other", context, enc, ct, suite.ErrOpen)
		fails(k, "label", nil, enc, ct, suite.ErrOpen)
		fails(k, "label", context, enc, ct[:len(ct)-1], suite.ErrOpen)
		fails(k, "label", context, enc, nil, suite.ErrOpen)
		fails(k, "label", context, enc[1:], ct, suite.ErrPublicKey)
		fails(k, "label", context, append(bytes.Clone(enc), 0), ct, suite.ErrPublicKey)
		fails(nil, "label", context, enc, ct, suite.ErrPrivateKey)
		for n := range ct {
			bad := bytes.Clone(ct)
			bad[n] ^= 1
			fails(k, "label", context, enc, bad, suite.ErrOpen)
		}
		bad := bytes.Clone(enc)
		bad[len(bad)/2] ^= 1
		if _, err := s.DecryptWithLabel(k, "label", context, bad, ct); err == nil {
			t.Fatal("another KEM output accepted")
		}
	})
}

func TestBadPublicKeys(t *testing.T) {
	forEach(t, func(t *testing.T, s *suite.Suite) {
		pub := must(s.GenerateKeyPair(nil))(t).Public()
		lowest := make([]byte, len(pub)) // no point, or one of low order
		for _, bad := range [][]byte{nil, pub[1:], append(bytes.Clone(pub), 0), lowest} {
			want(t, s.CheckPublicKey(bad), suite.ErrPublicKey)
			_, _, err := s.EncryptWithLabel(nil, bad, "label", nil, nil)
			want(t, err, suite.ErrPublicKey)
			_, _, err = s.EncapExport(nil, bad, nil, nil, 32)
			want(t, err, suite.ErrPublicKey)
		}
	})
}

func TestDeriveKeyPair(t *testing.T) {
	forEach(t, func(t *testing.T, s *suite.Suite) {
		a := must(s.DeriveKeyPair(bytes.Repeat([]byte{1}, s.HashSize())))(t)
		again := must(s.DeriveKeyPair(bytes.Repeat([]byte{1}, s.HashSize())))(t)
		b := must(s.DeriveKeyPair(bytes.Repeat([]byte{2}, s.HashSize())))(t)
		if !a.Equal(again) || a.Equal(b) || bytes.Equal(a.Public(), b.Public()) {
			t.Fatal("derivation is not a function of its input")
		}
		ok(t, s.CheckPublicKey(a.Public()))
	})
}

func TestExport(t *testing.T) {
	forEach(t, func(t *testing.T, s *suite.Suite) {
		k := must(s.GenerateKeyPair(nil))(t)
		label := []byte("MLS 1.0 external init secret")
		enc, secret, err := s.EncapExport(nil, k.Public(), nil, label, s.HashSize())
		ok(t, err)
		if len(secret) != s.HashSize() {
			t.Fatalf("secret of %d bytes", len(secret))
		}
		equal(t, "secret", must(s.DecapExport(k, enc, nil, label, s.HashSize()))(t), secret)
		for _, c := range []struct{ info, label []byte }{{[]byte("info"), label}, {nil, label[1:]}} {
			if bytes.Equal(must(s.DecapExport(k, enc, c.info, c.label, s.HashSize()))(t), secret) {
				t.Fatal("the secret does not depend on all inputs")
			}
		}
		_, err = s.DecapExport(k, enc[1:], nil, label, s.HashSize())
		want(t, err, suite.ErrPublicKey)
		_, err = s.DecapExport(k, enc, nil, label, -1)
		want(t, err, suite.ErrLength)
		_, err = s.DecapExport(k, enc, nil, label, 255*s.HashSize()+1)
		want(t, err, suite.ErrLength)
	})
}
