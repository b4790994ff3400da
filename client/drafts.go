package client

import (
	"fmt"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/client/profile"
)

// maxDraft bounds what is kept of a text that is not sent yet, in bytes. It is more than a message takes.
const maxDraft = 1 << 20

const settingDraft = "draft"

// Draft returns what the person has begun to write in a conversation, empty where that is nothing.
func (c *Client) Draft(id qpq.ChannelID) (string, error) {
	return c.cfg.Profile.Setting(id, settingDraft)
}

// SetDraft keeps what the person has begun to write in a conversation, on this device only, in place of what was there. An empty text drops that.
func (c *Client) SetDraft(id qpq.ChannelID, text string) error {
	if len(text) > maxDraft {
		return qpq.E(qpq.TooLarge, "draft-too-large", fmt.Sprintf("a draft of %d bytes is not kept: it takes %d at most", len(text), maxDraft))
	}
	return c.cfg.Profile.Change(func(tx *profile.Tx) error { return tx.SetSetting(id, settingDraft, text) })
}
