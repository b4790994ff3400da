package suite_test

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/quicproquo/qpq/mls/internal/hpke"
	"github.com/quicproquo/qpq/mls/internal/suite"
)

func forEach(t *testing.T, run func(t *testing.T, s *suite.Suite)) {
	for _, id := range suite.All(0) {
		t.Run(fmt.Sprintf("%04x", id), func(t *testing.T) { run(t, suite.Lookup(id, 0)) })
	}
}

func want(t testing.TB, got, target error) {
	t.Helper()
	if !errors.Is(got, target) {
		t.Fatalf("error %v, want %v", got, target)
	}
}

func TestLookup(t *testing.T) {
	if got := suite.All(0); !slices.Equal(got, []uint16{1, 2, 3, 4, 5, 6, 7, suite.DefaultHybrid}) {
		t.Fatalf("suites %v", got)
	}
	for _, hybrid := range []uint16{0, suite.DefaultHybrid, 0xABCD, 5} {
		ids := suite.All(hybrid)
		for i, id := range ids {
			s := suite.Lookup(id, hybrid)
			if s == nil || s.ID() != id || s.Hybrid() != (i == len(ids)-1) {
				t.Fatalf("suite %#04x with hybrid %#04x: %v", id, hybrid, s)
			}
		}
	}
	if suite.Lookup(0, 0) != nil || suite.Lookup(8, 0) != nil || suite.Lookup(suite.DefaultHybrid, 0xABCD) != nil {
		t.Fatal("unknown suite found")
	}
}

// TestDerivationsByHand builds every input of the specification's structs byte by byte, and expands it with crypto/hkdf.
func TestDerivationsByHand(t *testing.T) {
	forEach(t, func(t *testing.T, s *suite.Suite) {
		newHash := map[int]func() hash.Hash{32: sha256.New, 48: sha512.New384, 64: sha512.New}[s.HashSize()]
		secret := bytes.Repeat([]byte{9}, s.HashSize())
		for _, n := range []int{0, 63, 64, 300, 16383, 16384} {
			context := bytes.Repeat([]byte{3}, n)
			info := slices.Concat([]byte{0x01, 0x02, 12}, []byte("MLS 1.0 test"), length(n), context)
			okm := must(hkdf.Expand(newHash, secret, string(info), 0x102))(t)
			equal(t, "ExpandWithLabel", s.ExpandWithLabel(secret, "test", context, 0x102), okm)

			h := newHash()
			h.Write(slices.Concat([]byte{5}, []byte("label"), length(n), context))
			equal(t, "RefHash", s.RefHash("label", context), h.Sum(nil))
			equal(t, "Hash", s.Hash([]byte{5}, []byte("label"), length(n), context), h.Sum(nil))
		}
		long := strings.Repeat("l", 100)
		info := slices.Concat([]byte{0, byte(s.HashSize()), 0x40, 108}, []byte("MLS 1.0 "+long), []byte{0})
		equal(t, "DeriveSecret", s.DeriveSecret(secret, long), must(hkdf.Expand(newHash, secret, string(info), s.HashSize()))(t))
		equal(t, "DeriveTreeSecret", s.DeriveTreeSecret(secret, "key", 0x01020304, 16), s.ExpandWithLabel(secret, "key", []byte{1, 2, 3, 4}, 16))
	})
}

// length is the variable-size length of RFC 9420 section 2.1.2.
func length(n int) []byte {
	switch {
	case n < 64:
		return []byte{byte(n)}
	case n < 16384:
		return binary.BigEndian.AppendUint16(nil, uint16(n)|0x4000)
	default:
		return binary.BigEndian.AppendUint32(nil, uint32(n)|0x80000000)
	}
}

func TestAllocations(t *testing.T) {
	forEach(t, func(t *testing.T, s *suite.Suite) {
		secret, context, dst := make([]byte, s.HashSize()), make([]byte, 200), make([]byte, 0, s.HashSize())
		for name, run := range map[string]func(){
			"ExpandWithLabel":  func() { s.ExpandWithLabel(secret, "application", context, s.HashSize()) },
			"DeriveSecret":     func() { s.DeriveSecret(secret, "membership") },
			"DeriveTreeSecret": func() { s.DeriveTreeSecret(secret, "nonce", 1, s.NonceSize()) },
			"RefHash":          func() { s.RefHash("MLS 1.0 KeyPackage Reference", context) },
			"MAC":              func() { s.MAC(secret, context, context) },
		} {
			if n := testing.AllocsPerRun(20, run); n > 1 {
				t.Errorf("%s allocates %v times", name, n)
			}
		}
		if n := testing.AllocsPerRun(20, func() { s.AppendHash(dst, context, context, context) }); n > 0 {
			t.Errorf("AppendHash allocates %v times", n)
		}
	})
}

func TestSealOpen(t *testing.T) {
	forEach(t, func(t *testing.T, s *suite.Suite) {
		key, nonce, aad, plaintext := make([]byte, s.KeySize()), make([]byte, s.NonceSize()), []byte("aad"), []byte("plaintext")
		ct := must(s.Seal(key, nonce, aad, plaintext))(t)
		if len(ct) != len(plaintext)+hpke.Overhead {
			t.Fatalf("ciphertext of %d bytes", len(ct))
		}
		equal(t, "plaintext", must(s.Open(key, nonce, aad, ct))(t), plaintext)
		_, err := s.Open(key, nonce, nil, ct)
		want(t, err, suite.ErrOpen)
		_, err = s.Open(key, nonce[1:], aad, ct)
		want(t, err, suite.ErrLength)
	})
}

func TestVerifyMAC(t *testing.T) {
	forEach(t, func(t *testing.T, s *suite.Suite) {
		tag := s.MAC([]byte("key"), []byte("mess"), []byte("age"))
		if !s.VerifyMAC([]byte("key"), tag, []byte("message")) {
			t.Fatal("own tag rejected")
		}
		if s.VerifyMAC([]byte("key"), tag[:len(tag)-1], []byte("message")) || s.VerifyMAC([]byte("key"), nil, []byte("message")) {
			t.Fatal("part of a tag accepted")
		}
	})
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
	out.Write(must(json.Marshal(v))(t))
	part := secret[4:8]
	decimal := strings.Trim(fmt.Sprint(part), "[]")
	for _, form := range []string{string(part), fmt.Sprintf("%x", part), fmt.Sprintf("%X", part), decimal, strings.ReplaceAll(decimal, " ", ", ")} {
		if strings.Contains(out.String(), form) {
			t.Fatalf("%T prints its secret as %q", v, form)
		}
	}
}
