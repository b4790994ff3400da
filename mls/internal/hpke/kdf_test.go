package hpke

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"testing"
)

var kdfs = map[KDF]func() hash.Hash{HKDFSHA256: sha256.New, HKDFSHA384: sha512.New384, HKDFSHA512: sha512.New}

// TestKDFAgainstStandardLibrary tries lengths on both sides of every block and buffer.
func TestKDFAgainstStandardLibrary(t *testing.T) {
	lengths := []int{0, 1, 31, 32, 63, 64, 65, 127, 128, 129, 383, 384, 447, 448, 449, 511, 512, 513, 4095, 4096, 4097, 9000}
	data := make([]byte, 10000)
	for i := range data {
		data[i] = byte(i * 7)
	}
	for kdf, newHash := range kdfs {
		for _, n := range lengths {
			message, key := data[:n], data[n:n+n%200]
			h := newHash()
			h.Write(message)
			equal(t, "hash", kdf.AppendHash(nil, message), h.Sum(nil))
			equal(t, "hash of parts", kdf.AppendHash(nil, message[:n/3], nil, message[n/3:]), h.Sum(nil))
			m := hmac.New(newHash, key)
			m.Write(message)
			tag := m.Sum(nil)
			equal(t, "MAC", kdf.AppendMAC([]byte("before"), key, message[:n/2], message[n/2:]), append([]byte("before"), tag...))
			prk, err := hkdf.Extract(newHash, message, key)
			ok(t, err)
			equal(t, "extract", kdf.Extract(key, message), prk)
			for _, out := range []int{0, 1, 16, kdf.Size(), kdf.Size() + 1, 255 * kdf.Size()} {
				okm, err := hkdf.Expand(newHash, prk, string(message), out)
				ok(t, err)
				equal(t, fmt.Sprintf("expand to %d", out), kdf.Expand(prk, out, message[:n/2], message[n/2:]), okm)
			}
		}
	}
}

func TestVerifyMAC(t *testing.T) {
	for kdf := range kdfs {
		key, message := []byte("key"), []byte("message")
		tag := kdf.AppendMAC(nil, key, message)
		if !kdf.VerifyMAC(key, tag, message) || !kdf.VerifyMAC(key, tag, message[:2], message[2:]) {
			t.Fatal("own tag rejected")
		}
		for n := range tag {
			if kdf.VerifyMAC(key, tag[:n], message) {
				t.Fatalf("tag of %d bytes accepted", n)
			}
			bad := bytes.Clone(tag)
			bad[n] ^= 1
			if kdf.VerifyMAC(key, bad, message) {
				t.Fatalf("tag with byte %d changed accepted", n)
			}
		}
		if kdf.VerifyMAC(key, append(bytes.Clone(tag), 0), message) || kdf.VerifyMAC(nil, tag, message) {
			t.Fatal("wrong tag accepted")
		}
	}
}

func TestExpandTooLong(t *testing.T) {
	for kdf := range kdfs {
		func() {
			defer func() {
				if recover() == nil {
					t.Fatal("expanded beyond 255 blocks")
				}
			}()
			kdf.Expand(nil, 255*kdf.Size()+1)
		}()
	}
}

func TestAllocations(t *testing.T) {
	for kdf := range kdfs {
		key, part, dst := make([]byte, 64), make([]byte, 150), make([]byte, 0, 64)
		for _, c := range []struct {
			name string
			max  float64
			run  func()
		}{
			{"hash", 0, func() { kdf.AppendHash(dst, part, part) }},
			{"long hash", 0, func() { kdf.AppendHash(dst, part, part, part, part, part, part) }},
			{"MAC", 0, func() { kdf.AppendMAC(dst, key, part, part) }},
			{"extract", 1, func() { kdf.Extract(key, part) }},
			{"expand", 1, func() { kdf.Expand(key, 32, part) }},
		} {
			if n := testing.AllocsPerRun(20, c.run); n > c.max {
				t.Errorf("%s allocates %v times, want %v", c.name, n, c.max)
			}
		}
	}
}

func TestAEADLengths(t *testing.T) {
	for _, a := range []AEAD{AES128GCM, AES256GCM, ChaCha20Poly1305} {
		key, nonce := make([]byte, a.KeySize()), make([]byte, NonceSize)
		ct, err := a.Seal(key, nonce, []byte("aad"), []byte("plaintext"))
		ok(t, err)
		if len(ct) != len("plaintext")+Overhead {
			t.Fatalf("ciphertext of %d bytes", len(ct))
		}
		for n := range 64 {
			if n != len(key) {
				_, err := a.Seal(make([]byte, n), nonce, nil, nil)
				want(t, err, ErrLength)
				_, err = a.Open(make([]byte, n), nonce, nil, ct)
				want(t, err, ErrLength)
			}
			if n != len(nonce) {
				_, err := a.Seal(key, make([]byte, n), nil, nil)
				want(t, err, ErrLength)
				_, err = a.Open(key, make([]byte, n), nil, ct)
				want(t, err, ErrLength)
			}
			_, err := a.Open(key, nonce, []byte("aad"), ct[:n%len(ct)])
			want(t, err, ErrOpen)
		}
	}
}
