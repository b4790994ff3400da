package suite_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/quicproquo/qpq/mls/internal/suite"
)

type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

// cryptoBasics is one case of the official vectors of that kind.
type cryptoBasics struct {
	CipherSuite uint16 `json:"cipher_suite"`
	RefHash     struct {
		Label      string
		Value, Out hexBytes
	} `json:"ref_hash"`
	ExpandWithLabel struct {
		Secret, Context, Out hexBytes
		Label                string
		Length               int
	} `json:"expand_with_label"`
	DeriveSecret struct {
		Secret, Out hexBytes
		Label       string
	} `json:"derive_secret"`
	DeriveTreeSecret struct {
		Secret, Out hexBytes
		Label       string
		Generation  uint32
		Length      int
	} `json:"derive_tree_secret"`
	SignWithLabel struct {
		Priv, Pub, Content, Signature hexBytes
		Label                         string
	} `json:"sign_with_label"`
	EncryptWithLabel struct {
		Priv, Pub, Context, Plaintext, Ciphertext hexBytes
		Label                                     string
		KEMOutput                                 hexBytes `json:"kem_output"`
	} `json:"encrypt_with_label"`
}

// TestCryptoBasics runs the official vectors, from QPQ_MLS_VECTORS or beside the checkout. Where neither exists, the known
// answers of this package have to do.
func TestCryptoBasics(t *testing.T) {
	dir := os.Getenv("QPQ_MLS_VECTORS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared", "mls-vectors")
		if _, err := os.Stat(dir); err != nil {
			t.Log("official vectors absent: set QPQ_MLS_VECTORS to their folder to run them")
			return
		}
	}
	data, err := os.ReadFile(filepath.Join(dir, "crypto-basics.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []cryptoBasics
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) == 0 {
		t.Fatal("no cases")
	}
	for i, c := range cases {
		t.Run(fmt.Sprintf("%d/suite%d", i, c.CipherSuite), func(t *testing.T) {
			s := suite.Lookup(c.CipherSuite, 0)
			if s == nil {
				t.Fatalf("suite %d is not implemented", c.CipherSuite)
			}
			c.derivations(t, s)
			c.signatures(t, s)
			c.encryption(t, s)
		})
	}
}

func (c *cryptoBasics) derivations(t *testing.T, s *suite.Suite) {
	equal(t, "RefHash", s.RefHash(c.RefHash.Label, c.RefHash.Value), c.RefHash.Out)
	e := c.ExpandWithLabel
	equal(t, "ExpandWithLabel", s.ExpandWithLabel(e.Secret, e.Label, e.Context, e.Length), e.Out)
	equal(t, "DeriveSecret", s.DeriveSecret(c.DeriveSecret.Secret, c.DeriveSecret.Label), c.DeriveSecret.Out)
	d := c.DeriveTreeSecret
	equal(t, "DeriveTreeSecret", s.DeriveTreeSecret(d.Secret, d.Label, d.Generation, d.Length), d.Out)
}

func (c *cryptoBasics) signatures(t *testing.T, s *suite.Suite) {
	v := c.SignWithLabel
	ok(t, s.VerifyWithLabel(v.Pub, v.Label, v.Content, v.Signature))
	k := must(s.NewSigner(v.Priv))(t)
	equal(t, "signature public key", k.Public(), v.Pub)
	sig := must(s.SignWithLabel(k, nil, v.Label, v.Content))(t)
	ok(t, s.VerifyWithLabel(v.Pub, v.Label, v.Content, sig))
}

func (c *cryptoBasics) encryption(t *testing.T, s *suite.Suite) {
	v := c.EncryptWithLabel
	ok(t, s.CheckPublicKey(v.Pub))
	for _, pub := range [][]byte{nil, v.Pub} {
		k := must(s.NewKeyPair(v.Priv, pub))(t)
		equal(t, "HPKE public key", k.Public(), v.Pub)
		equal(t, "DecryptWithLabel", must(s.DecryptWithLabel(k, v.Label, v.Context, v.KEMOutput, v.Ciphertext))(t), v.Plaintext)
	}
	enc, ct, err := s.EncryptWithLabel(nil, v.Pub, v.Label, v.Context, v.Plaintext)
	ok(t, err)
	k := must(s.NewKeyPair(v.Priv, nil))(t)
	equal(t, "own ciphertext", must(s.DecryptWithLabel(k, v.Label, v.Context, enc, ct))(t), v.Plaintext)
}

func equal(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Fatalf("%s: got %x, want %x", what, got, want)
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func must[T any](v T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		ok(t, err)
		return v
	}
}
