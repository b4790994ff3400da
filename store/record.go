package store

import (
	"fmt"
	"io"
	"log/slog"
)

// Record is an OPAQUE registration record (RFC 9807 section 5): whoever has it and the server's seed
// can try passwords. It does not print, log or marshal.
type Record []byte

// Format implements fmt.Formatter for every verb.
func (Record) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[record]") }

// LogValue implements slog.LogValuer.
func (Record) LogValue() slog.Value { return slog.StringValue("[record]") }

// MarshalText implements encoding.TextMarshaler, for JSON.
func (Record) MarshalText() ([]byte, error) { return []byte("[record]"), nil }
