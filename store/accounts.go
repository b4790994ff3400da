package store

import (
	"context"
	"fmt"
	"time"

	"github.com/quicproquo/qpq"
)

// Account is one person's account at this server. Name is the normalised part before the @.
type Account struct {
	Name    string
	Admin   bool
	Record  Record // what OPAQUE registration left (RFC 9807 section 5)
	Created time.Time
}

// AccountState is one link of an account's chain of signed states. The store orders them and knows
// nothing of what is in them.
type AccountState struct {
	Version int64  // 1 for the first, then without gaps
	Hash    []byte // of State, as the next state names it
	State   []byte // encoded and signed
}

// Registration is a new account, whole.
type Registration struct {
	Name   string
	Record Record
	State  AccountState // version 1
	Device Device       // the first one
	Vault  []VaultItem  // each of version 0
	Token  []byte       // hash of the registration token to use up; nil if registration is open
	Now    time.Time
}

// Register makes an account, uses up its token and returns it; the first account of a store becomes
// its administrator. It returns Exists with code "name-taken" if the name is or was in use, and Denied
// with code "bad-token" if the token is unknown, expired, revoked or used up.
func (s *Store) Register(ctx context.Context, r Registration) (a Account, err error) {
	err = s.update(ctx, "register an account", func(tx Tx) error {
		if r.Token != nil { // before the name, so that only the invited learn which are taken
			if err := useToken(tx, r.Token, r.Now); err != nil {
				return err
			}
		}
		var accounts int64
		if _, err := one(tx, into{&accounts}, countNames); err != nil {
			return err
		}
		a = Account{Name: r.Name, Admin: accounts == 0, Record: r.Record, Created: instant(millis(r.Now))}
		taken := qpq.E(qpq.Exists, "name-taken", fmt.Sprintf("the name %q is taken: choose another", r.Name))
		if err := must(tx, taken, insertAccount, r.Name, flag(a.Admin), []byte(r.Record), millis(r.Now)); err != nil {
			return err
		}
		if err := appendState(tx, r.Name, r.State); err != nil {
			return err
		}
		if err := exec(tx, openMailbox, r.Name); err != nil {
			return err
		}
		if err := putDevice(tx, r.Name, r.Device, r.Now); err != nil {
			return err
		}
		return putVault(tx, r.Name, r.Vault)
	})
	return a, err
}

// AccountChange is what one transaction does to an account: all that is set, or nothing. Enrolment,
// password change, revocation and rotation are each one of these.
type AccountChange struct {
	Name         string
	Record       Record                  // nil keeps the present one
	State        *AccountState           // the next state; its version must be the newest plus one
	Revoke       []qpq.DeviceID          // devices that lose their access, key packages and session
	Enrol        *Device                 // a device to add
	Certificates map[qpq.DeviceID][]byte // new certificates of devices that stay
	Vault        []VaultItem             // items to replace, add or remove
	MaxDevices   int64                   // devices not revoked that an account may have afterwards; 0 means any number
	Now          time.Time
}

// ChangeAccount applies c. It returns NotFound for an unknown account or device, Conflict with code
// "state-moved" or "vault-moved" if somebody was faster (read again and retry), Exists if the device
// is enrolled already and Exhausted with code "too-many-devices". A revoked device is off the rosters of its channels, or will be by
// SweepLeaving where they are many.
func (s *Store) ChangeAccount(ctx context.Context, c AccountChange) error {
	err := s.update(ctx, "change an account", func(tx Tx) error {
		if err := needAccount(tx, c.Name); err != nil {
			return err
		}
		steps := []func(Tx, AccountChange) error{
			replaceRecord, appendNext, revokeDevices, enrol, replaceCertificates,
			func(tx Tx, c AccountChange) error { return putVault(tx, c.Name, c.Vault) },
		}
		for _, step := range steps {
			if err := step(tx, c); err != nil {
				return err
			}
		}
		return nil
	})
	for _, id := range c.Revoke {
		if err == nil { // what fails from here on is made good by SweepLeaving
			_, _ = s.keepLeaving(ctx, sender{c.Name, id}, c.Now, 0)
		}
	}
	return err
}

func replaceRecord(tx Tx, c AccountChange) error {
	if c.Record == nil {
		return nil
	}
	return exec(tx, updateRecord, c.Name, []byte(c.Record))
}

// Account returns an account that can be used. It returns NotFound with code "no-account", or
// "account-erased" if only its tombstone is left.
func (s *Store) Account(ctx context.Context, name string) (a Account, err error) {
	err = s.view(ctx, "look up an account", func(tx Tx) (err error) {
		a, err = account(tx, name)
		return err
	})
	return a, err
}

// CountAccounts returns the number of accounts that can be used.
func (s *Store) CountAccounts(ctx context.Context) (n int64, err error) {
	err = s.view(ctx, "count accounts", func(tx Tx) error {
		_, err := one(tx, into{&n}, countAccounts)
		return err
	})
	return n, err
}

// DeleteAccount erases all that the store holds of an account but its name and the time, so that the
// name is never given out again. Members of its channels get a row that says so; the notices are theirs. It returns NotFound if there
// is no account to erase. From the first transaction on nobody can use the account; where it is in many channels, others take it out
// of them, and a failure of these leaves the rest to SweepLeaving.
func (s *Store) DeleteAccount(ctx context.Context, name string, now time.Time, retention time.Duration) (notices []Notice, err error) {
	err = s.update(ctx, "delete an account", func(tx Tx) (err error) {
		if err := must(tx, noAccount, eraseAccount, name, millis(now)); err != nil {
			return err
		}
		for _, statement := range eraseFirst {
			if err := exec(tx, statement, name); err != nil {
				return err
			}
		}
		notices, err = beginLeaving(tx, sender{account: name}, now, retention)
		return err
	})
	if err != nil {
		return nil, err
	}
	more, _ := s.keepLeaving(ctx, sender{account: name}, now, retention)
	return newest(append(notices, more...)), nil
}

// States returns up to limit states of the account, from the version given on, oldest first. It
// returns NotFound if there is no such account.
func (s *Store) States(ctx context.Context, name string, from, limit int64) (list []AccountState, err error) {
	err = s.view(ctx, "read account states", func(tx Tx) error {
		if err := needAccount(tx, name); err != nil {
			return err
		}
		list = nil
		return tx.Query(func(r Row) error {
			var st AccountState
			err := r.Scan(&st.Version, &st.Hash, &st.State)
			list = append(list, st)
			return err
		}, selectStates, name, from, limit)
	})
	return list, err
}

// LatestState returns the newest state of the account, NotFound if there is no such account.
func (s *Store) LatestState(ctx context.Context, name string) (st AccountState, err error) {
	err = s.view(ctx, "read the newest account state", func(tx Tx) error {
		found, err := one(tx, into{&st.Version, &st.Hash, &st.State}, selectLatestState, name)
		if err == nil && !found {
			return noAccount
		}
		return err
	})
	return st, err
}

func appendNext(tx Tx, c AccountChange) error {
	if c.State == nil {
		return nil
	}
	return appendState(tx, c.Name, *c.State)
}

// appendState is the compare-and-swap that orders the states of an account.
func appendState(tx Tx, name string, st AccountState) error {
	var newest int64
	if _, err := one(tx, into{&newest}, selectStateVersion, name); err != nil {
		return err
	}
	if st.Version != newest+1 {
		return qpq.E(qpq.Conflict, "state-moved", fmt.Sprintf("account state %d cannot follow %d: "+
			"read the newest state and build on it", st.Version, newest))
	}
	return exec(tx, insertState, name, st.Version, some(st.Hash), some(st.State))
}

var (
	noAccount = qpq.E(qpq.NotFound, "no-account", "there is no account of this name")
	erased    = qpq.E(qpq.NotFound, "account-erased", "the account of this name was deleted")
)

func needAccount(tx Tx, name string) error {
	_, err := account(tx, name)
	return err
}

func account(tx Tx, name string) (a Account, err error) {
	tombstone, found := int64(0), false
	err = tx.Query(func(r Row) (err error) {
		found = true
		a, tombstone, err = scanAccount(r)
		return err
	}, selectAccount, name)
	switch {
	case err != nil:
		return Account{}, err
	case !found:
		return Account{}, noAccount
	case tombstone != 0:
		return Account{}, erased
	}
	return a, nil
}

func scanAccount(r Row) (a Account, tombstone int64, err error) {
	var admin, created int64
	err = r.Scan(&a.Name, &admin, (*[]byte)(&a.Record), &created, &tombstone)
	a.Admin, a.Created = admin != 0, instant(created)
	return a, tombstone, err
}

const (
	columnsOfAccount = `name, admin, record, created, erased`

	countNames    = `SELECT count(*) FROM (SELECT 1 FROM accounts LIMIT 1) AS first`
	countAccounts = `SELECT count(*) FROM accounts WHERE erased = 0`
	insertAccount = `INSERT INTO accounts (name, admin, record, created, erased) VALUES ($1, $2, $3, $4, 0) ON CONFLICT (name) DO NOTHING`
	updateRecord  = `UPDATE accounts SET record = $2 WHERE name = $1`
	selectAccount = `SELECT ` + columnsOfAccount + ` FROM accounts WHERE name = $1`
	eraseAccount  = `UPDATE accounts SET admin = 0, record = NULL, created = 0, erased = $2 WHERE name = $1 AND erased = 0`

	insertState        = `INSERT INTO account_states (account, version, hash, state) VALUES ($1, $2, $3, $4)`
	selectStateVersion = `SELECT coalesce(max(version), 0) FROM account_states WHERE account = $1`
	selectStates       = `SELECT version, hash, state FROM account_states WHERE account = $1 AND version >= $2 ORDER BY version LIMIT $3`
	selectLatestState  = `SELECT version, hash, state FROM account_states WHERE account = $1 ORDER BY version DESC LIMIT 1`
)

// eraseFirst and eraseRest empty every table that has a column account; the suite compares them with the schema. The first ones are what
// an account is used by.
var eraseFirst = []string{
	`DELETE FROM account_states WHERE account = $1`,
	`DELETE FROM devices WHERE account = $1`,
	`DELETE FROM vault_items WHERE account = $1`,
	`DELETE FROM key_packages WHERE account = $1`,
	`DELETE FROM cursors WHERE account = $1`,
	`DELETE FROM leaving WHERE account = $1`,
	`DELETE FROM blobs WHERE account = $1`,
}

var eraseRest = []string{
	`DELETE FROM channel_members WHERE account = $1`,
	`DELETE FROM channel_keys WHERE account = $1`,
	`DELETE FROM inbox WHERE account = $1`,
	`DELETE FROM mailboxes WHERE account = $1`,
	`DELETE FROM leaving WHERE account = $1`,
}
