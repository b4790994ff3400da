package suite_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/elliptic"
	"io"
	"strings"
	"testing"

	"github.com/quicproquo/qpq/mls/internal/suite"
)

func TestSignatures(t *testing.T) {
	forEach(t, func(t *testing.T, s *suite.Suite) {
		k := must(s.GenerateSigner(nil))(t)
		content := bytes.Repeat([]byte("content"), 100)
		sig := must(s.SignWithLabel(k, nil, "label", content))(t)
		ok(t, s.VerifyWithLabel(k.Public(), "label", content, sig))

		restored := must(s.NewSigner(k.Bytes()))(t)
		equal(t, "public key", restored.Public(), k.Public())
		ok(t, s.VerifyWithLabel(k.Public(), "label", content, must(s.SignWithLabel(restored, nil, "label", content))(t)))

		other := must(s.GenerateSigner(nil))(t)
		want(t, s.VerifyWithLabel(other.Public(), "label", content, sig), suite.ErrSignature)
		want(t, s.VerifyWithLabel(k.Public(), "other", content, sig), suite.ErrSignature)
		want(t, s.VerifyWithLabel(k.Public(), "label", content[1:], sig), suite.ErrSignature)
		for n := range sig {
			bad := bytes.Clone(sig)
			bad[n] ^= 1
			if n%8 == 0 {
				want(t, s.VerifyWithLabel(k.Public(), "label", content, bad), suite.ErrSignature)
			}
			want(t, s.VerifyWithLabel(k.Public(), "label", content, sig[:n]), suite.ErrSignature)
		}
		want(t, s.VerifyWithLabel(k.Public(), "label", content, append(bytes.Clone(sig), 0)), suite.ErrSignature)
	})
}

func TestBadSignatureKeys(t *testing.T) {
	forEach(t, func(t *testing.T, s *suite.Suite) {
		k := must(s.GenerateSigner(nil))(t)
		sig := must(s.SignWithLabel(k, nil, "label", nil))(t)
		pub := k.Public()
		for _, bad := range [][]byte{nil, pub[1:], append(bytes.Clone(pub), 0)} {
			want(t, s.VerifyWithLabel(bad, "label", nil, sig), suite.ErrSignatureKey)
		}
		for _, bad := range [][]byte{nil, bytes.Repeat([]byte{1}, 200)} {
			_, err := s.NewSigner(bad)
			want(t, err, suite.ErrSignatureKey)
		}
		_, err := s.SignWithLabel(nil, nil, "label", nil)
		want(t, err, suite.ErrSignatureKey)
		_, err = s.GenerateSigner(strings.NewReader("short"))
		want(t, err, io.ErrUnexpectedEOF)
	})
}

func TestEdDSAKeyWithPublicKey(t *testing.T) {
	for _, id := range []uint16{1, 4} {
		s := suite.Lookup(id, 0)
		k, other := must(s.GenerateSigner(nil))(t), must(s.GenerateSigner(nil))(t)
		both := must(s.NewSigner(append(k.Bytes(), k.Public()...)))(t)
		if !both.Equal(k) {
			t.Fatal("another key")
		}
		_, err := s.NewSigner(append(k.Bytes(), other.Public()...))
		want(t, err, suite.ErrSignatureKey)
	}
}

func TestECDSAScalars(t *testing.T) {
	for id, curve := range map[uint16]elliptic.Curve{2: elliptic.P256(), 5: elliptic.P521(), 7: elliptic.P384()} {
		s := suite.Lookup(id, 0)
		one := must(s.NewSigner([]byte{1}))(t)
		g := curve.Params()
		point := bytes.Join([][]byte{{4}, g.Gx.FillBytes(make([]byte, (g.BitSize+7)/8)), g.Gy.FillBytes(make([]byte, (g.BitSize+7)/8))}, nil)
		equal(t, "public key of 1", one.Public(), point)
		padded := must(s.NewSigner(append(make([]byte, 9), one.Bytes()...)))(t)
		if !padded.Equal(one) {
			t.Fatal("another key with leading zeros")
		}
		for _, bad := range [][]byte{{}, make([]byte, 66), g.N.Bytes(), bytes.Repeat([]byte{0xff}, (g.BitSize+7)/8)} {
			_, err := s.NewSigner(bad)
			want(t, err, suite.ErrSignatureKey)
		}
		_, err := s.GenerateSigner(zeros{}) // no scalar in range: must end
		want(t, err, suite.ErrSignatureKey)
		first := must(s.GenerateSigner(strings.NewReader(strings.Repeat("seed", 20))))(t)
		again := must(s.GenerateSigner(strings.NewReader(strings.Repeat("seed", 20))))(t)
		if !first.Equal(again) {
			t.Fatal("rand is ignored")
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestSignerIsSecret(t *testing.T) {
	forEach(t, func(t *testing.T, s *suite.Suite) {
		k := must(s.GenerateSigner(nil))(t)
		same, other := must(s.NewSigner(k.Bytes()))(t), must(s.GenerateSigner(nil))(t)
		if !k.Equal(same) || k.Equal(other) {
			t.Fatal("Equal is wrong")
		}
		unprintable(t, k, k.Bytes())
		unprintable(t, *k, k.Bytes())
		unprintable(t, struct{ inner suite.Signer }{*k}, k.Bytes())
		k.Wipe()
		if k.Bytes() != nil || k.Equal(same) || k.Equal(k) {
			t.Fatal("private key survives Wipe")
		}
		_, err := s.SignWithLabel(k, nil, "label", nil)
		want(t, err, suite.ErrSignatureKey)
	})
}

// TestRFC8032 is the first test of section 7.1 for the key derivation.
func TestRFC8032(t *testing.T) {
	seed := hexBytes{}
	ok(t, seed.UnmarshalText([]byte("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")))
	pub := hexBytes{}
	ok(t, pub.UnmarshalText([]byte("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")))
	k := must(suite.Lookup(1, 0).NewSigner(seed))(t)
	equal(t, "public key", k.Public(), pub)
	sig := must(suite.Lookup(1, 0).SignWithLabel(k, nil, "L", []byte("c")))(t)
	if !ed25519.Verify(ed25519.PublicKey(pub), []byte("\x09MLS 1.0 L\x01c"), sig) {
		t.Fatal("the signed content is not SignContent")
	}
}
