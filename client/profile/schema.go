package profile

import (
	"fmt"

	"github.com/ncruces/go-sqlite3"

	"github.com/quicproquo/qpq"
)

// migrations bring a database from each version of the schema to the next. Those that were released never
// change; new ones go to the end.
var migrations = []string{
	`CREATE TABLE servers ( -- whose certificates were seen
		address TEXT PRIMARY KEY, fingerprint BLOB NOT NULL
	 ) STRICT;
	 CREATE TABLE account ( -- that this device belongs to, or asked to
		one INTEGER PRIMARY KEY CHECK (one = 1),
		user TEXT NOT NULL, server TEXT NOT NULL, device BLOB NOT NULL, -- sealed
		counter INTEGER NOT NULL, status INTEGER NOT NULL,
		version INTEGER NOT NULL, state BLOB NOT NULL, -- newest one verified; 0 and empty while a link waits
		link BLOB NOT NULL, -- sealed: what a link that waits has to know
		replace INTEGER NOT NULL -- 1 while the server has key packages that have to be replaced
	 ) STRICT;
	 CREATE TABLE contacts ( -- newest account state verified of others
		user TEXT PRIMARY KEY, version INTEGER NOT NULL, state BLOB NOT NULL
	 ) STRICT;
	 CREATE TABLE told (device BLOB PRIMARY KEY) STRICT; -- devices of the account that the person knows of
	 CREATE TABLE device_names (device BLOB PRIMARY KEY, name TEXT NOT NULL) STRICT;
	 CREATE TABLE vault ( -- highest version seen of items
		user TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL, PRIMARY KEY (user, name)
	 ) STRICT;
	 CREATE TABLE key_packages ( -- published, not used yet
		ref BLOB PRIMARY KEY, suite INTEGER NOT NULL, last_resort INTEGER NOT NULL, expires INTEGER NOT NULL,
		bundle BLOB NOT NULL -- sealed
	 ) STRICT;`,
}

// version returns that of the schema.
func (p *Profile) version() (n int, err error) {
	err = p.query(`PRAGMA user_version`, func(s *sqlite3.Stmt) error {
		n = s.ColumnInt(0)
		return nil
	})
	return n, err
}

func (p *Profile) migrate() error {
	at, err := p.version()
	if err != nil {
		return err
	}
	if at > len(migrations) {
		return qpq.E(qpq.Unsupported, "profile-newer", fmt.Sprintf(
			"the profile was written by a newer release of qpq (schema %d, this one knows %d): install that one", at, len(migrations)))
	}
	for ; at < len(migrations); at++ {
		err := p.transact(func() error {
			if err := p.db.Exec(migrations[at]); err != nil {
				return err
			}
			return p.db.Exec(fmt.Sprintf(`PRAGMA user_version = %d`, at+1))
		})
		if err != nil {
			return err
		}
	}
	return nil
}
