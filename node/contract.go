package node

import (
	"errors"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/wire"
)

// contract turns the store's codes into those that clients know. Kind, text and cause stay.
func contract(err error) error {
	code, ok := codes[qpq.CodeOf(err)]
	if !ok {
		return err
	}
	if code == wire.CodeDeviceUnknown {
		return errDevice
	}
	var safe *qpq.Error
	errors.As(err, &safe)
	return qpq.Wrap(safe.Kind, code, safe.Text, err)
}

var codes = map[string]string{
	"state-moved":     wire.CodeVersionConflict,
	"vault-moved":     wire.CodeVaultConflict,
	"bad-token":       wire.CodeTokenInvalid,
	"no-account":      wire.CodeDeviceUnknown, // that of the connection: deleted meanwhile
	"account-erased":  wire.CodeDeviceUnknown,
	"no-device":       wire.CodeDeviceUnknown,
	"device-revoked":  wire.CodeDeviceUnknown,
	"device-enrolled": wire.CodeBadState,
}
