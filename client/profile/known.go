package profile

import (
	"bytes"

	"github.com/ncruces/go-sqlite3"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/identity"
)

// What is known of others and must not go backwards: servers' keys, contacts' states, versions in the vault.

// Pin returns the fingerprint of the server first met at an address: nil if none was, and empty where an authority vouched for it.
func (p *Profile) Pin(address string) (fingerprint []byte, err error) {
	err = p.read(`SELECT fingerprint FROM servers WHERE address = ?`, func(s *sqlite3.Stmt) error {
		fingerprint = append([]byte{}, s.ColumnRawBlob(0)...)
		return nil
	}, address)
	return fingerprint, err
}

// SetPin notes the fingerprint of the server at an address, empty where an authority vouches for it.
func (p *Profile) SetPin(address string, fingerprint []byte) error {
	return p.change(func() error { return p.exec(`INSERT OR REPLACE INTO servers VALUES (?, ?)`, address, fingerprint) })
}

// Contact returns the newest verified account state of somebody, nil if none is known.
func (p *Profile) Contact(u qpq.UserID) (state *identity.AccountState, err error) {
	err = p.read(`SELECT state FROM contacts WHERE user = ?`, func(s *sqlite3.Stmt) (err error) {
		state, err = identity.ParseAccountState(s.ColumnBlob(0, nil))
		return damaged(err)
	}, u.String())
	return state, err
}

// SetContact notes the newest account state of somebody. An older one than what is known changes nothing.
func (p *Profile) SetContact(s *identity.AccountState) error {
	return p.change(func() error {
		if err := p.exec(`INSERT OR IGNORE INTO changed SELECT user FROM contacts WHERE user = ? AND version < ?`, s.User.String(), int64(s.Version)); err != nil {
			return err
		}
		return p.exec(`INSERT INTO contacts VALUES (?1, ?2, ?3) ON CONFLICT (user) DO UPDATE
			SET version = ?2, state = ?3 WHERE version < ?2`, s.User.String(), int64(s.Version), s.Bytes())
	})
}

// VaultVersion returns the highest version seen of an item of the vault, 0 if none was.
func (p *Profile) VaultVersion(name string) (n uint64, err error) {
	err = p.read(`SELECT version FROM vault WHERE name = ? AND user = (SELECT user FROM account)`, func(s *sqlite3.Stmt) error {
		n = uint64(s.ColumnInt64(0))
		return nil
	}, name)
	return n, err
}

// SetVaultVersion notes the version of an item. A lower one than what was seen changes nothing.
func (p *Profile) SetVaultVersion(name string, version uint64) error {
	return p.change(func() error {
		return p.exec(`INSERT INTO vault SELECT user, ?1, ?2 FROM account WHERE true
			ON CONFLICT (user, name) DO UPDATE SET version = max(version, excluded.version)`, name, int64(version))
	})
}

// Told reports whether the person knows of a device of the own account.
func (p *Profile) Told(id qpq.DeviceID) (told bool, err error) {
	err = p.read(`SELECT 1 FROM told WHERE device = ?`, func(*sqlite3.Stmt) error {
		told = true
		return nil
	}, bytes.Clone(id[:]))
	return told, err
}

// SetTold notes that the person knows of a device.
func (p *Profile) SetTold(id qpq.DeviceID) error {
	return p.change(func() error { return p.exec(`INSERT OR IGNORE INTO told VALUES (?)`, bytes.Clone(id[:])) })
}

// DeviceName returns what a device of the own account was called when it was last seen.
func (p *Profile) DeviceName(id qpq.DeviceID) (name string, err error) {
	err = p.read(`SELECT name FROM device_names WHERE device = ?`, func(s *sqlite3.Stmt) error {
		name = s.ColumnText(0)
		return nil
	}, bytes.Clone(id[:]))
	return name, err
}

// SetDeviceName notes what a device of the own account is called.
func (p *Profile) SetDeviceName(id qpq.DeviceID, name string) error {
	return p.change(func() error {
		return p.exec(`INSERT OR REPLACE INTO device_names VALUES (?, ?)`, bytes.Clone(id[:]), name)
	})
}
