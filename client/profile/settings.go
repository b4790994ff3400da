package profile

import (
	"github.com/ncruces/go-sqlite3"

	"github.com/quicproquo/qpq"
)

// What a person chose.

// Setting returns what was chosen for a conversation, or, where the id is zero, for all; empty where nothing was.
func (p *Profile) Setting(id qpq.ChannelID, name string) (value string, err error) {
	err = p.read(`SELECT value FROM settings WHERE channel = ? AND name = ?`, func(s *sqlite3.Stmt) error {
		value = s.ColumnText(0)
		return nil
	}, scope(id), name)
	return value, err
}

// Settings returns what was chosen for each conversation for which something was.
func (p *Profile) Settings(name string) (map[qpq.ChannelID]string, error) {
	found := map[qpq.ChannelID]string{}
	err := p.read(`SELECT channel, value FROM settings WHERE name = ? AND length(channel) > 0`, func(s *sqlite3.Stmt) error {
		found[qpq.ChannelID(s.ColumnRawBlob(0))] = s.ColumnText(1)
		return nil
	}, name)
	return found, err
}

// SetSetting keeps a choice; an empty value forgets it.
func (t *Tx) SetSetting(id qpq.ChannelID, name, value string) error {
	if value == "" {
		return t.p.exec(`DELETE FROM settings WHERE channel = ? AND name = ?`, scope(id), name)
	}
	return t.p.exec(`INSERT OR REPLACE INTO settings VALUES (?, ?, ?)`, scope(id), name, value)
}

// scope is a conversation in the table of settings.
func scope(id qpq.ChannelID) []byte {
	if id.IsZero() {
		return []byte{}
	}
	return id[:]
}
