package identity

import (
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// secret holds bytes that fmt, log/slog and encoding/json cannot reach.
type secret struct{ b []byte }

const redacted = "[secret]"

// Format implements fmt.Formatter without the bytes.
func (secret) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// LogValue implements slog.LogValuer without the bytes.
func (secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements encoding.TextMarshaler: it always fails.
func (secret) MarshalText() ([]byte, error) {
	return nil, errors.New("identity: a secret cannot be written as text")
}

// Wipe overwrites the secret, which cannot be used afterwards.
func (s secret) Wipe() { clear(s.b) }

func (s secret) equal(o secret) bool { return subtle.ConstantTimeCompare(s.b, o.b) == 1 }

// derive returns n bytes that depend on the secret and on what they are for (HKDF-SHA256, RFC 5869).
func (s secret) derive(label string, n int) []byte {
	out, err := hkdf.Key(sha256.New, s.b, nil, label, n)
	if err != nil {
		panic("identity: derive " + label + ": " + err.Error())
	}
	return out
}

func random(rand io.Reader, n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(rand, b); err != nil {
		return nil, fmt.Errorf("draw %d random bytes: %w", n, err)
	}
	return b, nil
}
