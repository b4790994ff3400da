package profile

import (
	"errors"
	"fmt"

	"github.com/ncruces/go-sqlite3"

	"github.com/quicproquo/qpq"
)

// migrations bring a database from each version of the schema to the next: the first makes version 1. Those that were
// released never change; new ones go to the end.
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

// migrate brings the database to the newest schema, one version after the other, each in a transaction. What was there before is
// copied first.
func (p *Profile) migrate(c Config, schema []string) error {
	at, err := p.version()
	if err != nil {
		return err
	}
	if at > len(schema) {
		return qpq.E(qpq.Unsupported, "profile-newer", fmt.Sprintf(
			"the profile was written by a newer release of qpq: it has schema %d, and this release knows schemas up to %d: "+
				"install a release that knows schema %d, or restore the copy made before the upgrade", at, len(schema), at))
	}
	if at > 0 && at < len(schema) {
		if err := p.keepOld(c, at); err != nil {
			return err
		}
	}
	for ; at < len(schema); at++ {
		err := p.transact(func() error {
			return errors.Join(p.db.Exec(schema[at]), p.db.Exec(fmt.Sprintf(`PRAGMA user_version = %d`, at+1)))
		})
		if err != nil {
			return err
		}
	}
	return nil
}
