package hpke

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"testing"
)

// TestLongInputs: hashes and MACs are those of the standard library, whichever way their parts are put together.
func TestLongInputs(t *testing.T) {
	key, data := []byte("key"), make([]byte, 20_000)
	for i := range data {
		data[i] = byte(i * 7)
	}
	for k, std := range map[KDF]func() hash.Hash{HKDFSHA256: sha256.New, HKDFSHA384: sha512.New384, HKDFSHA512: sha512.New} {
		for _, n := range []int{0, 1, 511, 512, 513, 4095, 4096, 4097, 8193, 20_000} {
			for _, at := range []int{0, n / 3, n} {
				t.Run(fmt.Sprintf("KDF %d, %d bytes and %d", k, at, n-at), func(t *testing.T) {
					parts := [][]byte{data[:at], data[at:n]}
					h := std()
					h.Write(data[:n])
					if got := k.AppendHash([]byte("x"), parts...); !bytes.Equal(got, h.Sum([]byte("x"))) {
						t.Errorf("hash %x", got)
					}
					m := hmac.New(std, key)
					m.Write(data[:n])
					if got := k.AppendMAC([]byte("x"), key, parts...); !bytes.Equal(got, m.Sum([]byte("x"))) {
						t.Errorf("MAC %x", got)
					}
				})
			}
		}
	}
}

// TestInfoIsHashedOnce: an Info is hashed when it is made. If a seal hashed it again, it would find other bytes.
func TestInfoIsHashedOnce(t *testing.T) {
	for _, id := range []KEM{X25519, X448, MLKEM768X25519} {
		s := New(id, HKDFSHA256, AES128GCM)
		k, err := s.GenerateKeyPair(nil)
		if err != nil {
			t.Fatal(err)
		}
		raw := []byte("about the message")
		info := s.Info(raw)
		clear(raw)
		for range 2 {
			enc, ct, err := s.SealInfo(nil, k.Public(), info, nil, []byte("message"))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := s.Open(k, enc, []byte("about the message"), nil, ct); err != nil || string(got) != "message" {
				t.Errorf("KEM %#x: %q, %v", id, got, err)
			}
		}
	}
}
