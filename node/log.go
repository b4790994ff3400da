package node

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"

	"github.com/quicproquo/qpq"
)

// redactor writes names and addresses to the log as keyed hashes: the same one gives the same hash, so
// that an operator can follow one, and without the server's key nobody can try names.
type redactor struct {
	key   []byte
	plain bool
}

func newRedactor(secret []byte, plain bool) redactor {
	key, err := hkdf.Key(sha256.New, secret, nil, "quicproquo log redaction v1", 32)
	if err != nil {
		panic("node: derive the key of the log: " + err.Error())
	}
	clear(secret)
	return redactor{key, plain}
}

func (r redactor) user(u qpq.UserID) string { return r.hash("u-", u.String()) }

func (r redactor) address(a string) string { return r.hash("a-", a) }

func (r redactor) hash(kind, text string) string {
	if r.plain {
		return text
	}
	m := hmac.New(sha256.New, r.key)
	m.Write([]byte(kind + text))
	return kind + hex.EncodeToString(m.Sum(nil)[:6])
}
