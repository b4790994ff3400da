// Package keyring keeps the keys of profiles in the keyring of the system: Keychain, Credential Manager, or the
// Secret Service of a desktop.
package keyring

import (
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"github.com/zalando/go-keyring"
)

const service = "qpq"

// Keys is the keyring of the system.
type Keys struct{}

// Present reports whether there is a keyring to ask. On systems with D-Bus, asking where none runs would start one.
func Present() bool {
	switch runtime.GOOS {
	case "darwin", "windows":
		return true
	}
	if os.Getenv("DBUS_SESSION_BUS_ADDRESS") != "" {
		return true
	}
	_, err := os.Stat(filepath.Join("/run/user", strconv.Itoa(os.Getuid()), "bus"))
	return err == nil
}

// Load returns the key of the profile in dir, nil if there is none.
func (Keys) Load(dir string) ([]byte, error) {
	text, err := keyring.Get(service, dir)
	if errors.Is(err, keyring.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return base64.StdEncoding.DecodeString(text)
}

// Store keeps a key.
func (Keys) Store(dir string, key []byte) error {
	return keyring.Set(service, dir, base64.StdEncoding.EncodeToString(key))
}
