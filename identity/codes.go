package identity

import (
	"fmt"
	"io"
	"strings"

	"github.com/quicproquo/qpq"
)

// codeAlphabet has no characters that are taken for one another.
const codeAlphabet = "abcdefghijkmnpqrstuvwxyz23456789"

// formatCode writes symbols of 5 bits, check symbols behind them, in groups of four.
func formatCode(symbols []byte, checks int) string {
	all := append(symbols[:len(symbols):len(symbols)], checkSymbols(symbols, checks)...)
	var b strings.Builder
	for i, s := range all {
		if i > 0 && i%4 == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(codeAlphabet[s])
	}
	return b.String()
}

// parseCode reads n symbols and their check symbols. Case, hyphens and spaces do not matter.
func parseCode(s, what string, n, checks int) ([]byte, error) {
	s = strings.NewReplacer("-", "", " ", "").Replace(strings.ToLower(strings.TrimSpace(s)))
	if len(s) != n+checks {
		return nil, badCode(what, fmt.Sprintf("it has %d characters, and %d are due", len(s), n+checks))
	}
	symbols := make([]byte, len(s))
	for i := range s {
		v := strings.IndexByte(codeAlphabet, s[i])
		if v < 0 {
			return nil, badCode(what, "there is a character in it that codes do not have (0, 1, l, o among them)")
		}
		symbols[i] = byte(v)
	}
	if string(checkSymbols(symbols[:n], checks)) != string(symbols[n:]) {
		return nil, badCode(what, "a character is wrong, or two are swapped")
	}
	return symbols[:n], nil
}

// badCode never repeats what was typed: it may be one character from a secret.
func badCode(what, why string) error {
	return qpq.E(qpq.Invalid, "bad-code", "this is no "+what+" code: "+why+"; type it again")
}

// checkSymbols returns check symbols over GF(32): the j-th is the sum of symbol i times α^(i·j). One
// tells every single wrong symbol and every swap of two.
func checkSymbols(symbols []byte, checks int) []byte {
	out := make([]byte, checks)
	for j := range out {
		for i, s := range symbols {
			out[j] ^= mul32(s, pow32((i+1)*(j+1)))
		}
	}
	return out
}

// mul32 multiplies in GF(32) = GF(2)[x]/(x^5+x^2+1).
func mul32(a, b byte) byte {
	var p byte
	for range 5 {
		if b&1 == 1 {
			p ^= a
		}
		b >>= 1
		a <<= 1
		if a&32 != 0 {
			a ^= 0b100101
		}
	}
	return p
}

func pow32(n int) byte {
	v := byte(1)
	for range n % 31 {
		v = mul32(v, 2)
	}
	return v
}

// RecoveryCode is 128 random bits that are mixed into a password's key. It is written on paper.
type RecoveryCode struct{ secret }

const recoverySymbols, recoveryChecks = 26, 2 // 130 bits, the last two of them zero

// NewRecoveryCode makes a recovery code.
func NewRecoveryCode(rand io.Reader) (*RecoveryCode, error) {
	b, err := random(rand, 16)
	if err != nil {
		return nil, err
	}
	return &RecoveryCode{secret{b}}, nil
}

// Reveal returns the code as people write it: seven groups of four characters.
func (c *RecoveryCode) Reveal() string {
	return formatCode(toSymbols(c.b, recoverySymbols), recoveryChecks)
}

// Equal reports in constant time whether both are the same code.
func (c *RecoveryCode) Equal(o *RecoveryCode) bool { return c.equal(o.secret) }

// ParseRecoveryCode reads what Reveal wrote. It fails with qpq.Invalid.
func ParseRecoveryCode(s string) (*RecoveryCode, error) {
	symbols, err := parseCode(s, "recovery", recoverySymbols, recoveryChecks)
	if err != nil {
		return nil, err
	}
	b := fromSymbols(symbols)
	if b[16]|symbols[recoverySymbols-1]&3 != 0 {
		return nil, badCode("recovery", "its last characters are impossible")
	}
	return &RecoveryCode{secret{b[:16]}}, nil
}

// toSymbols returns the first n groups of five bits of b, with zeros behind its end.
func toSymbols(b []byte, n int) []byte {
	out := make([]byte, n)
	for i := range n * 5 {
		if i/8 < len(b) && b[i/8]>>(7-i%8)&1 == 1 {
			out[i/5] |= 1 << (4 - i%5)
		}
	}
	return out
}

// fromSymbols is the inverse of toSymbols, with zeros in the last byte's spare bits.
func fromSymbols(symbols []byte) []byte {
	out := make([]byte, (len(symbols)*5+7)/8)
	for i := range len(symbols) * 5 {
		if symbols[i/5]>>(4-i%5)&1 == 1 {
			out[i/8] |= 1 << (7 - i%8)
		}
	}
	return out
}
