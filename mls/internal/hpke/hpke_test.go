package hpke

import (
	"bytes"
	"crypto/hpke"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	circl "github.com/cloudflare/circl/hpke"
)

var kems = []KEM{P256, P384, P521, X25519, X448, MLKEM768X25519}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	ok(t, err)
	return b
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t testing.TB, got, target error) {
	t.Helper()
	if !errors.Is(got, target) {
		t.Fatalf("error %v, want %v", got, target)
	}
}

func equal(t testing.TB, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Fatalf("%s: got %x, want %x", what, got, want)
	}
}

// TestRFC9180 is appendix A.1.1: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-128-GCM in base mode.
func TestRFC9180(t *testing.T) {
	s := New(X25519, HKDFSHA256, AES128GCM)
	ephemeral, err := s.DeriveKeyPair(unhex(t, "7268600d403fce431561aef583ee1613527cff655c1343f29812e66706df3234"))
	ok(t, err)
	recipient, err := s.DeriveKeyPair(unhex(t, "6db9df30aa07dd42ee5e8181afdb977e538f5e1fec8a06223f33f7013e525037"))
	ok(t, err)
	equal(t, "pkRm", recipient.Public(), unhex(t, "3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d"))
	skRm := unhex(t, "4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8")
	curve25519{}.clamp(skRm)
	equal(t, "skRm", recipient.Bytes(), skRm)

	info := unhex(t, "4f6465206f6e2061204772656369616e2055726e")
	aad := unhex(t, "436f756e742d30")
	plaintext := unhex(t, "4265617574792069732074727574682c20747275746820626561757479")
	enc, ct, err := s.Seal(bytes.NewReader(ephemeral.Bytes()), recipient.Public(), info, aad, plaintext)
	ok(t, err)
	equal(t, "enc", enc, unhex(t, "37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431"))
	equal(t, "ct", ct, unhex(t, "f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a"))
	got, err := s.Open(recipient, enc, info, aad, ct)
	ok(t, err)
	equal(t, "pt", got, plaintext)

	for _, export := range []struct{ context, value string }{
		{"", "3853fe2b4035195a573ffc53856e77058e15d9ea064de3e59f4961d0095250ee"},
		{"00", "2e8f0b54673c7029649d4eb9d5e33bf1872cf76d623ff164ac185da9e88c21a5"},
	} {
		got, err := s.ReceiveExport(recipient, enc, info, unhex(t, export.context), 32)
		ok(t, err)
		equal(t, "export", got, unhex(t, export.value))
	}
}

func TestAgainstStandardLibrary(t *testing.T) {
	for _, id := range []KEM{X25519, MLKEM768X25519} {
		t.Run(fmt.Sprintf("%04x", id), func(t *testing.T) { againstStandardLibrary(t, id, must(hpke.NewKEM(uint16(id)))) })
	}
}

func againstStandardLibrary(t *testing.T, id KEM, kem hpke.KEM) {
	info, aad, plaintext := []byte("info"), []byte("aad"), []byte("plaintext")
	for _, kdf := range []KDF{HKDFSHA256, HKDFSHA384, HKDFSHA512} {
		for _, aead := range []AEAD{AES128GCM, AES256GCM, ChaCha20Poly1305} {
			s := New(id, kdf, aead)
			theirKDF, theirAEAD := must(hpke.NewKDF(uint16(kdf))), must(hpke.NewAEAD(uint16(aead)))
			k, err := s.GenerateKeyPair(nil)
			ok(t, err)
			priv, err := kem.NewPrivateKey(k.Bytes())
			ok(t, err)
			equal(t, "public key", k.Public(), priv.PublicKey().Bytes())

			enc, ct, err := s.Seal(nil, k.Public(), info, aad, plaintext)
			ok(t, err)
			recipient, err := hpke.NewRecipient(enc, priv, theirKDF, theirAEAD, info)
			ok(t, err)
			got, err := recipient.Open(aad, ct)
			ok(t, err)
			equal(t, "own sealed, theirs opened", got, plaintext)

			enc, sender, err := hpke.NewSender(priv.PublicKey(), theirKDF, theirAEAD, info)
			ok(t, err)
			ct, err = sender.Seal(aad, plaintext)
			ok(t, err)
			got, err = s.Open(k, enc, info, aad, ct)
			ok(t, err)
			equal(t, "theirs sealed, own opened", got, plaintext)
			secret, err := sender.Export("context", 70)
			ok(t, err)
			got, err = s.ReceiveExport(k, enc, info, []byte("context"), 70)
			ok(t, err)
			equal(t, "export", got, secret)

			ikm := []byte("thirty-two bytes or more of entropy")
			theirs, err := kem.DeriveKeyPair(ikm)
			ok(t, err)
			own, err := s.DeriveKeyPair(ikm)
			ok(t, err)
			raw, err := theirs.Bytes()
			ok(t, err)
			equal(t, "derived private key", own.Bytes(), raw)
			equal(t, "derived public key", own.Public(), theirs.PublicKey().Bytes())
		}
	}
}

func TestX448AgainstCircl(t *testing.T) {
	s := New(X448, HKDFSHA512, AES256GCM)
	theirs := circl.NewSuite(circl.KEM_X448_HKDF_SHA512, circl.KDF_HKDF_SHA512, circl.AEAD_AES256GCM)
	scheme := circl.KEM_X448_HKDF_SHA512.Scheme()
	info, aad, plaintext := []byte("info"), []byte("aad"), []byte("plaintext")
	seed := bytes.Repeat([]byte{7}, scheme.SeedSize())
	pub, priv := scheme.DeriveKeyPair(seed)
	k, err := s.DeriveKeyPair(seed)
	ok(t, err)
	equal(t, "public key", k.Public(), must(pub.MarshalBinary()))

	enc, ct, err := s.Seal(nil, k.Public(), info, aad, plaintext)
	ok(t, err)
	receiver, err := theirs.NewReceiver(priv, info)
	ok(t, err)
	opener, err := receiver.Setup(enc)
	ok(t, err)
	got, err := opener.Open(ct, aad)
	ok(t, err)
	equal(t, "own sealed, theirs opened", got, plaintext)

	sender, err := theirs.NewSender(pub, info)
	ok(t, err)
	enc, sealer, err := sender.Setup(nil)
	ok(t, err)
	ct, err = sealer.Seal(plaintext, aad)
	ok(t, err)
	got, err = s.Open(k, enc, info, aad, ct)
	ok(t, err)
	equal(t, "theirs sealed, own opened", got, plaintext)
	got, err = s.ReceiveExport(k, enc, info, []byte("context"), 70)
	ok(t, err)
	equal(t, "export", got, sealer.Export([]byte("context"), 70))
}

func TestWrongKeys(t *testing.T) {
	for _, id := range kems {
		t.Run(fmt.Sprintf("%04x", id), func(t *testing.T) {
			s := New(id, HKDFSHA256, AES128GCM)
			k, err := s.GenerateKeyPair(nil)
			ok(t, err)
			enc, ct, err := s.Seal(nil, k.Public(), nil, nil, []byte("secret"))
			ok(t, err)
			if len(enc) != s.EncSize() || len(k.Public()) != s.PublicKeySize() {
				t.Fatalf("sizes %d and %d", len(enc), len(k.Public()))
			}
			_, err = s.NewKeyPair(k.Bytes(), k.Public()[1:])
			want(t, err, ErrPublicKey)
			_, err = s.NewKeyPair(append([]byte{1}, k.Bytes()...), nil)
			want(t, err, ErrPrivateKey)
			other := New(kems[0], HKDFSHA256, AES128GCM)
			if id == kems[0] {
				other = New(kems[1], HKDFSHA256, AES128GCM)
			}
			foreign, err := other.GenerateKeyPair(nil)
			ok(t, err)
			for _, bad := range []*KeyPair{nil, foreign} {
				_, err = s.Open(bad, enc, nil, nil, ct)
				want(t, err, ErrPrivateKey)
			}
			for _, n := range []int{-1, 1 << 16} {
				if _, _, err = s.SendExport(nil, k.Public(), nil, nil, n); err == nil {
					t.Fatalf("exported %d bytes", n)
				}
			}
		})
	}
}

// TestMismatchedPublicKey shows what NewKeyPair promises of a public key that is not the private key's.
func TestMismatchedPublicKey(t *testing.T) {
	for _, id := range kems {
		s := New(id, HKDFSHA256, AES128GCM)
		a, err := s.GenerateKeyPair(nil)
		ok(t, err)
		b, err := s.GenerateKeyPair(nil)
		ok(t, err)
		k, err := s.NewKeyPair(a.Bytes(), b.Public())
		if id != X25519 && id != X448 {
			want(t, err, ErrPrivateKey)
			continue
		}
		ok(t, err)
		enc, ct, err := s.Seal(nil, k.Public(), nil, nil, []byte("secret"))
		ok(t, err)
		_, err = s.Open(k, enc, nil, nil, ct)
		want(t, err, ErrOpen)
	}
}

func TestBrokenRandomness(t *testing.T) {
	for _, id := range []KEM{X25519, X448} {
		s := New(id, HKDFSHA256, AES128GCM)
		_, err := s.GenerateKeyPair(strings.NewReader("short"))
		want(t, err, io.ErrUnexpectedEOF)
		k, err := s.GenerateKeyPair(nil)
		ok(t, err)
		_, _, err = s.Seal(strings.NewReader("short"), k.Public(), nil, nil, nil)
		want(t, err, io.ErrUnexpectedEOF)
	}
}

func TestKeyPairIsSecret(t *testing.T) {
	for _, id := range kems {
		s := New(id, HKDFSHA256, AES128GCM)
		k, err := s.GenerateKeyPair(nil)
		ok(t, err)
		same, err := s.NewKeyPair(k.Bytes(), k.Public())
		ok(t, err)
		other, err := s.GenerateKeyPair(nil)
		ok(t, err)
		if !k.Equal(same) || k.Equal(other) {
			t.Fatal("Equal is wrong")
		}
		unprintable(t, k, k.Bytes())
		unprintable(t, *k, k.Bytes())
		unprintable(t, struct{ inner KeyPair }{*k}, k.Bytes())

		raw := k.secret().raw
		k.Wipe()
		if k.Bytes() != nil || k.secret().parsed != nil || !zero(raw) || k.Equal(same) || k.Equal(k) {
			t.Fatal("private key survives Wipe")
		}
		_, err = s.Open(k, make([]byte, s.EncSize()), nil, nil, nil)
		want(t, err, ErrPrivateKey)
	}
}

// unprintable fails if fmt, slog or encoding/json show the secret in hexadecimal, decimal or raw.
func unprintable(t *testing.T, v any, secret []byte) {
	t.Helper()
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%X", "%d", "%q"} {
		fmt.Fprintf(&out, verb, v)
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("m", "v", v)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "v", v)
	encoded, err := json.Marshal(v)
	ok(t, err)
	out.Write(encoded)
	part := secret[4:8]
	decimal := strings.Trim(fmt.Sprint(part), "[]")
	for _, form := range []string{string(part), fmt.Sprintf("%x", part), fmt.Sprintf("%X", part), decimal, strings.ReplaceAll(decimal, " ", ", ")} {
		if strings.Contains(out.String(), form) {
			t.Fatalf("%T prints its secret as %q", v, form)
		}
	}
}
