package suite_test

import (
	"fmt"
	"testing"

	"github.com/quicproquo/qpq/mls/internal/suite"
)

// each runs a benchmark for every suite.
func each(b *testing.B, run func(b *testing.B, s *suite.Suite)) {
	for _, id := range suite.All(0) {
		b.Run(fmt.Sprintf("%04x", id), func(b *testing.B) {
			b.ReportAllocs()
			run(b, suite.Lookup(id, 0))
		})
	}
}

var sink []byte

func BenchmarkExpandWithLabel(b *testing.B) {
	each(b, func(b *testing.B, s *suite.Suite) {
		secret := make([]byte, s.HashSize())
		for b.Loop() {
			sink = s.ExpandWithLabel(secret, "application", secret, s.HashSize())
		}
	})
}

func BenchmarkDeriveTreeSecret(b *testing.B) {
	each(b, func(b *testing.B, s *suite.Suite) {
		secret := make([]byte, s.HashSize())
		for b.Loop() {
			sink = s.DeriveTreeSecret(secret, "key", 7, s.KeySize())
		}
	})
}

func BenchmarkAppendHash200(b *testing.B) {
	each(b, func(b *testing.B, s *suite.Suite) {
		part := make([]byte, 100)
		dst := make([]byte, 0, s.HashSize())
		for b.Loop() {
			sink = s.AppendHash(dst, part, part)
		}
	})
}

func BenchmarkDeriveKeyPair(b *testing.B) {
	each(b, func(b *testing.B, s *suite.Suite) {
		secret := make([]byte, s.HashSize())
		for b.Loop() {
			must(s.DeriveKeyPair(secret))(b)
		}
	})
}

func BenchmarkNewKeyPair(b *testing.B) {
	each(b, func(b *testing.B, s *suite.Suite) {
		k := must(s.GenerateKeyPair(nil))(b)
		priv := k.Bytes()
		for b.Loop() {
			must(s.NewKeyPair(priv, k.Public()))(b)
		}
	})
}

func BenchmarkCheckPublicKey(b *testing.B) {
	each(b, func(b *testing.B, s *suite.Suite) {
		k := must(s.GenerateKeyPair(nil))(b)
		for b.Loop() {
			ok(b, s.CheckPublicKey(k.Public()))
		}
	})
}

func BenchmarkEncryptWithLabel(b *testing.B) {
	each(b, func(b *testing.B, s *suite.Suite) {
		k := must(s.GenerateKeyPair(nil))(b)
		context, plaintext := make([]byte, 200), make([]byte, s.HashSize())
		for b.Loop() {
			_, _, err := s.EncryptWithLabel(nil, k.Public(), "UpdatePathNode", context, plaintext)
			ok(b, err)
		}
	})
}

func BenchmarkDecryptWithLabel(b *testing.B) {
	each(b, func(b *testing.B, s *suite.Suite) {
		k := must(s.GenerateKeyPair(nil))(b)
		context, plaintext := make([]byte, 200), make([]byte, s.HashSize())
		enc, ct, err := s.EncryptWithLabel(nil, k.Public(), "UpdatePathNode", context, plaintext)
		ok(b, err)
		for b.Loop() {
			sink = must(s.DecryptWithLabel(k, "UpdatePathNode", context, enc, ct))(b)
		}
	})
}

func BenchmarkSignWithLabel(b *testing.B) {
	each(b, func(b *testing.B, s *suite.Suite) {
		k := must(s.GenerateSigner(nil))(b)
		content := make([]byte, 300)
		for b.Loop() {
			sink = must(s.SignWithLabel(k, nil, "FramedContentTBS", content))(b)
		}
	})
}

func BenchmarkVerifyWithLabel(b *testing.B) {
	each(b, func(b *testing.B, s *suite.Suite) {
		k := must(s.GenerateSigner(nil))(b)
		content := make([]byte, 300)
		sig := must(s.SignWithLabel(k, nil, "FramedContentTBS", content))(b)
		for b.Loop() {
			ok(b, s.VerifyWithLabel(k.Public(), "FramedContentTBS", content, sig))
		}
	})
}

func BenchmarkSeal1KiB(b *testing.B) {
	each(b, func(b *testing.B, s *suite.Suite) {
		key, nonce, plaintext := make([]byte, s.KeySize()), make([]byte, s.NonceSize()), make([]byte, 1024)
		for b.Loop() {
			sink = must(s.Seal(key, nonce, nonce, plaintext))(b)
		}
	})
}

func BenchmarkOpen1KiB(b *testing.B) {
	each(b, func(b *testing.B, s *suite.Suite) {
		key, nonce, plaintext := make([]byte, s.KeySize()), make([]byte, s.NonceSize()), make([]byte, 1024)
		ct := must(s.Seal(key, nonce, nonce, plaintext))(b)
		for b.Loop() {
			sink = must(s.Open(key, nonce, nonce, ct))(b)
		}
	})
}
