package daemon

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/internal/files"
)

// tokenSize is how many random bytes a token has.
const tokenSize = 32

// TokenFile returns the path of the token that HTTP takes.
func TokenFile(dir string) string { return filepath.Join(dir, fileToken) }

// Token returns the token of a profile, made at the first call. Whoever removes its file gets another one.
func Token(dir string) (string, error) {
	path := TokenFile(dir)
	fail := func(what string, err error) (string, error) {
		return "", qpq.Wrap(qpq.Unavailable, "token-unusable", fmt.Sprintf("the token in %s %s: remove that file, and a new one is made", path, what), err)
	}
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		secret := make([]byte, tokenSize)
		rand.Read(secret)
		token := base64.RawURLEncoding.EncodeToString(secret)
		if err = os.MkdirAll(dir, 0o700); err == nil {
			err = files.Write(path, []byte(token+"\n"))
		}
		if err != nil {
			return fail("cannot be written", err)
		}
		return token, nil
	}
	if err != nil {
		return fail("cannot be read", err)
	}
	if !info.Mode().IsRegular() || runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return fail("can be read by others, or is no file", nil)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return fail("cannot be read", err)
	}
	token := strings.TrimSpace(string(text))
	if secret, err := base64.RawURLEncoding.DecodeString(token); err != nil || len(secret) != tokenSize {
		return fail("is damaged", err)
	}
	return token, nil
}

// sameToken compares in a time that tells nothing.
func sameToken(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}
