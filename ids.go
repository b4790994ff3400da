package qpq

import (
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"strings"
)

// DeviceID names one device of one account: the first 16 bytes of SHA-256 over the device's public
// signature key, so that it cannot be chosen freely or claimed by another key.
type DeviceID [16]byte

// ChannelID names one conversation: 16 random bytes chosen by whoever made it.
type ChannelID [16]byte

// UserID is a normalised user name and the domain of the account's home server. Make one with
// identity.ParseUser; the zero value names nobody.
type UserID struct {
	Name   string // PRECIS UsernameCaseMapped (RFC 8265)
	Domain string // IDNA A-label or address, lower case
}

// String returns name@domain.
func (u UserID) String() string { return u.Name + "@" + u.Domain }

// IsZero reports whether u names nobody.
func (u UserID) IsZero() bool { return u == UserID{} }

// String returns the identifier in lower-case hexadecimal.
func (d DeviceID) String() string { return hex.EncodeToString(d[:]) }

var short = base32.NewEncoding("abcdefghijkmnpqrstuvwxyz23456789").WithPadding(base32.NoPadding)

// Short returns the first eight characters of d in an alphabet without look-alikes, for people.
func (d DeviceID) Short() string { return short.EncodeToString(d[:5]) }

// IsZero reports whether d names no device.
func (d DeviceID) IsZero() bool { return d == DeviceID{} }

// ParseDeviceID reads what String writes.
func ParseDeviceID(s string) (DeviceID, error) {
	var d DeviceID
	err := parseHex(d[:], s, "device")
	return d, err
}

// String returns the identifier in lower-case hexadecimal.
func (c ChannelID) String() string { return hex.EncodeToString(c[:]) }

// IsZero reports whether c names no conversation.
func (c ChannelID) IsZero() bool { return c == ChannelID{} }

// ParseChannelID reads what String writes.
func ParseChannelID(s string) (ChannelID, error) {
	var c ChannelID
	err := parseHex(c[:], s, "conversation")
	return c, err
}

func parseHex(dst []byte, s, what string) error {
	b, err := hex.DecodeString(strings.ToLower(s))
	if err != nil || len(b) != len(dst) {
		return &Error{Kind: Invalid, Code: "bad-" + what + "-id",
			Text: fmt.Sprintf("%q is not a %s id: it takes %d hexadecimal digits", s, what, 2*len(dst))}
	}
	copy(dst, b)
	return nil
}
