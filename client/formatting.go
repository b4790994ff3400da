package client

import (
	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/profile"
)

const settingFormat = "format"

// Formatting reports whether the person wants texts to be shown as their marks say, bold where they say bold: as SetFormatting chose, and otherwise yes.
func (c *Client) Formatting() (bool, error) {
	value, err := c.cfg.Profile.Setting(qpq.ChannelID{}, settingFormat)
	return value != "off", err
}

// SetFormatting chooses whether texts are shown as their marks say. It is kept in the profile.
func (c *Client) SetFormatting(on bool) error {
	value := "off"
	if on {
		value = ""
	}
	return c.cfg.Profile.Change(func(tx *profile.Tx) error { return tx.SetSetting(qpq.ChannelID{}, settingFormat, value) })
}
