package profile

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/ncruces/go-sqlite3"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/identity"
)

// Status says how far a device is in becoming part of its account, or in ending it.
type Status int64

// The values of Status.
const (
	Enrolled Status = 1
	// Enrolling is a device that was sent to the server, which may or may not have taken it.
	Enrolling Status = 2
	// Linking is a device that waits for another one to take it in.
	Linking Status = 3
	// Deleting is a device whose account the server was asked to delete, which it may or may not have done.
	Deleting Status = 4
)

// Account is the account that this profile is for.
type Account struct {
	User    qpq.UserID
	Server  string // address of the home server
	Device  *identity.DeviceKey
	Counter uint64                 // of sessions, as last used
	State   *identity.AccountState // the newest one verified; nil while Linking
	Status  Status
	Link    *Link // while Linking
	Replace bool  // the server still has key packages whose private keys this profile has not
}

// Link is what a device that waits to be linked must not forget.
type Link struct {
	Code   *identity.LinkCode
	Sealed []byte // its request, as it was sent
}

// ErrNoAccount says that nobody has signed in.
var ErrNoAccount = qpq.E(qpq.NotFound, "not-signed-in", "nobody is signed in with this profile: use register or login first (login --link for a code of another device)")

// Account returns the account of this profile. It fails with ErrNoAccount.
func (p *Profile) Account() (*Account, error) {
	var a *Account
	err := p.read(`SELECT user, server, device, counter, status, state, link, replace FROM account`, func(s *sqlite3.Stmt) (err error) {
		a, err = p.scanAccount(s)
		return err
	})
	if err == nil && a == nil {
		err = ErrNoAccount
	}
	return a, err
}

// accountState parses and verifies an account state, once for as long as it stays the same; nil where there is none. The caller holds mu.
func (p *Profile) accountState(b []byte) (*identity.AccountState, error) {
	if len(b) == 0 {
		return nil, nil
	}
	if p.state == nil || !bytes.Equal(p.state.Bytes(), b) {
		state, err := identity.ParseAccountState(bytes.Clone(b))
		if err != nil {
			return nil, err
		}
		p.state = state
	}
	return p.state, nil
}

// deviceKey opens and parses the key of the device, once for as long as it stays the same. The caller holds mu.
func (p *Profile) deviceKey(sealed []byte) (*identity.DeviceKey, error) {
	if p.device != nil && bytes.Equal(p.sealed, sealed) {
		return p.device, nil
	}
	secret, err := p.open("device key", sealed)
	if err != nil {
		return nil, err
	}
	key, err := identity.ParseDeviceKey(secret)
	if err != nil {
		return nil, damaged(err)
	}
	p.device, p.sealed = key, bytes.Clone(sealed)
	return key, nil
}

func (p *Profile) scanAccount(s *sqlite3.Stmt) (*Account, error) {
	a := &Account{Server: s.ColumnText(1), Counter: uint64(s.ColumnInt64(3)), Status: Status(s.ColumnInt64(4)), Replace: s.ColumnBool(7)}
	var err error
	if a.User, err = identity.ParseUser(s.ColumnText(0)); err != nil {
		return nil, damaged(err)
	}
	if a.Device, err = p.deviceKey(s.ColumnRawBlob(2)); err != nil {
		return nil, err
	}
	if a.State, err = p.accountState(s.ColumnRawBlob(5)); err != nil {
		return nil, damaged(err)
	}
	if sealed := s.ColumnRawBlob(6); len(sealed) > 0 {
		if a.Link, err = p.openLink(sealed); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// storedLink is a Link as it is sealed.
type storedLink struct {
	Code   string
	Sealed []byte
}

func (p *Profile) openLink(sealed []byte) (*Link, error) {
	b, err := p.open("link", sealed)
	if err != nil {
		return nil, err
	}
	defer clear(b)
	var l storedLink
	if err := json.Unmarshal(b, &l); err != nil {
		return nil, damaged(err)
	}
	code, err := identity.ParseLinkCode(l.Code)
	return &Link{code, l.Sealed}, damaged(err)
}

func (p *Profile) sealLink(l *Link) ([]byte, error) {
	if l == nil {
		return []byte{}, nil
	}
	b, err := json.Marshal(storedLink{l.Code.Reveal(), l.Sealed})
	if err != nil {
		return nil, err
	}
	defer clear(b)
	return p.seal("link", b)
}

func damaged(err error) error {
	if err == nil {
		return nil
	}
	return qpq.Wrap(qpq.Damaged, "profile-damaged", textDamaged, err)
}

// SetAccount keeps an account, in place of the one before. What was learnt of the same user stays.
func (p *Profile) SetAccount(a *Account) error {
	device, err := p.seal("device key", a.Device.Bytes())
	if err != nil {
		return err
	}
	link, err := p.sealLink(a.Link)
	if err != nil {
		return err
	}
	state, version := []byte{}, uint64(0)
	if a.State != nil {
		state, version = a.State.Bytes(), a.State.Version
	}
	return p.change(func() error {
		if err := errors.Join(p.leave(), p.own(a.User)); err != nil {
			return err
		}
		return p.exec(`INSERT INTO account VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			a.User.String(), a.Server, device, int64(a.Counter), int64(a.Status), int64(version), state, link, a.Replace)
	})
}

// Confirm notes that the device is part of the account, whose newest state is s.
func (p *Profile) Confirm(s *identity.AccountState) error {
	return p.change(func() error {
		if err := p.changed(s); err != nil {
			return err
		}
		return p.exec(`UPDATE account SET status = ?1, version = ?2, state = ?3, link = x'' WHERE version <= ?2`, int64(Enrolled), int64(s.Version), s.Bytes())
	})
}

// SetStatus notes how far the device is.
func (p *Profile) SetStatus(s Status) error {
	return p.change(func() error { return p.exec(`UPDATE account SET status = ?`, int64(s)) })
}

// SetState notes the newest state of the own account. The caller has verified that it follows the one before. An older one than
// what is known changes nothing.
func (p *Profile) SetState(s *identity.AccountState) error {
	return p.change(func() error {
		if err := p.changed(s); err != nil {
			return err
		}
		return p.exec(`UPDATE account SET version = ?1, state = ?2 WHERE version < ?1`, int64(s.Version), s.Bytes())
	})
}

// changed notes that conversations have to be looked after by a state of the own account, where that is newer than the one known. The caller holds mu.
func (p *Profile) changed(s *identity.AccountState) error {
	return p.exec(`INSERT OR IGNORE INTO changed SELECT user FROM account WHERE version < ?`, int64(s.Version))
}

// SetServer notes that the account's server is reached at another address.
func (p *Profile) SetServer(address string) error {
	return p.change(func() error { return p.exec(`UPDATE account SET server = ?`, address) })
}

// Advance returns the next session counter, which is durable by then: no counter is ever used twice by one state.
func (p *Profile) Advance() (n uint64, err error) {
	err = p.change(func() error {
		return p.query(`UPDATE account SET counter = counter + 1 RETURNING counter`, func(s *sqlite3.Stmt) error {
			n = uint64(s.ColumnInt64(0))
			return nil
		})
	})
	if err == nil && n == 0 {
		err = ErrNoAccount
	}
	return n, err
}

// Rewind adopts the server's session counter after this state turned out to be an old copy, and drops what
// the newer one may have used since: all key packages, and the state of all groups. Account says so until Replaced.
func (p *Profile) Rewind(counter uint64) error {
	return p.change(func() error {
		return errors.Join(
			p.exec(`UPDATE account SET counter = ?, replace = 1`, int64(counter)),
			p.exec(`DELETE FROM key_packages`), p.disownGroups(Healing))
	})
}

// Replaced notes that the server has no key packages but those of this profile.
func (p *Profile) Replaced() error {
	return p.change(func() error { return p.exec(`UPDATE account SET replace = 0`) })
}

// Leave removes this device's part in the account. What must not go backwards stays for the next device of this profile: the newest
// state of the account among those of contacts, and the versions in the vault.
func (p *Profile) Leave() error { return p.change(p.leave) }

func (p *Profile) leave() error {
	return errors.Join(
		p.exec(`INSERT INTO contacts SELECT user, version, state FROM account WHERE version > 0 AND status = ?1
			ON CONFLICT (user) DO UPDATE SET version = excluded.version, state = excluded.state WHERE version < excluded.version`, int64(Enrolled)),
		p.exec(`DELETE FROM account`), p.exec(`DELETE FROM told`), p.exec(`DELETE FROM key_packages`),
		p.disownGroups(Joining), p.exec(`DELETE FROM inbox`))
}

// Forget removes the account and all that belongs to it, also from the copies made before upgrades. Which servers were seen stays.
func (p *Profile) Forget() error {
	if err := p.copies.remove(len(migrations)); err != nil { // first: what is cut off here is begun again
		return kinded(err)
	}
	return p.change(func() error {
		return errors.Join(p.leave(), p.exec(`DELETE FROM contacts`), p.exec(`DELETE FROM device_names`), p.exec(`DELETE FROM vault`), p.forgetChannels())
	})
}
