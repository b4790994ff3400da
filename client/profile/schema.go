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
	`CREATE TABLE channels (
		id BLOB PRIMARY KEY, founding BLOB NOT NULL, conversation BLOB NOT NULL, standing INTEGER NOT NULL,
		slot INTEGER NOT NULL, access_slot INTEGER NOT NULL, access BLOB NOT NULL, -- sealed
		head BLOB NOT NULL, sequence INTEGER NOT NULL, epoch INTEGER NOT NULL, read INTEGER NOT NULL, updated INTEGER NOT NULL,
		welcomed INTEGER NOT NULL, joined INTEGER NOT NULL,
		seen INTEGER NOT NULL DEFAULT 0 -- position of the last entry that was read on whatever device of the account
	 ) STRICT;
	 CREATE TABLE group_records ( -- MLS state
		channel BLOB NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, -- sealed
		PRIMARY KEY (channel, key)
	 ) STRICT;
	 CREATE TABLE commits ( -- the newest of each channel
		channel BLOB NOT NULL, slot INTEGER NOT NULL, "commit" BLOB NOT NULL, receipt BLOB NOT NULL, user TEXT NOT NULL, device BLOB NOT NULL,
		PRIMARY KEY (channel, slot)
	 ) STRICT;
	 CREATE TABLE removals ( -- accounts known as removed
		channel BLOB NOT NULL, user TEXT NOT NULL, PRIMARY KEY (channel, user)
	 ) STRICT;
	 CREATE TABLE departures ( -- accounts that ended their membership, as the hub says, and are in the group still
		channel BLOB NOT NULL, user TEXT NOT NULL, PRIMARY KEY (channel, user)
	 ) STRICT;
	 CREATE TABLE owner ( -- whose conversations these are, also while nobody is signed in
		one INTEGER PRIMARY KEY CHECK (one = 1), user TEXT NOT NULL
	 ) STRICT;
	 CREATE TABLE inbox (
		one INTEGER PRIMARY KEY CHECK (one = 1), processed INTEGER NOT NULL, acknowledged INTEGER NOT NULL
	 ) STRICT;
	 CREATE TABLE entries ( -- history; times in milliseconds
		position INTEGER PRIMARY KEY AUTOINCREMENT, channel BLOB NOT NULL, time INTEGER NOT NULL, state INTEGER NOT NULL, kind INTEGER NOT NULL,
		sender TEXT NOT NULL, device BLOB NOT NULL, id BLOB NOT NULL, content BLOB NOT NULL, code TEXT NOT NULL,
		target INTEGER NOT NULL, -- position of the entry that this one is about, 0 for none
		root INTEGER NOT NULL, -- position of the entry that its thread began with, 0 for none
		edit INTEGER NOT NULL, -- position of the edit in force, 0 for none
		gone INTEGER NOT NULL, -- why there is no content any more
		timer INTEGER NOT NULL, -- seconds from when it is read until it is forgotten, 0 for never
		expires INTEGER NOT NULL -- when it is forgotten, 0 while that is not known
	 ) STRICT;
	 CREATE UNIQUE INDEX entries_once ON entries (channel, sender, id) WHERE sender <> '';
	 CREATE INDEX entries_channel ON entries (channel, position);
	 CREATE INDEX entries_target ON entries (target, kind) WHERE target > 0;
	 CREATE INDEX entries_root ON entries (root, position) WHERE root > 0;
	 CREATE INDEX entries_threads ON entries (channel, root) WHERE root > 0;
	 CREATE INDEX entries_hidden ON entries (time) WHERE kind >= 32;
	 CREATE INDEX entries_expires ON entries (expires) WHERE expires > 0;
	 CREATE TABLE reactions ( -- that are in force
		target INTEGER NOT NULL, sender TEXT NOT NULL, emoji TEXT NOT NULL, position INTEGER NOT NULL, PRIMARY KEY (target, sender, emoji)
	 ) STRICT;
	 CREATE TABLE receipts ( -- of messages of this account: when others had and read them, 0 where that is not known
		target INTEGER NOT NULL, user TEXT NOT NULL, delivered INTEGER NOT NULL, read INTEGER NOT NULL, PRIMARY KEY (target, user)
	 ) STRICT;
	 CREATE TABLE due ( -- messages of others whose receipt was not sent yet
		position INTEGER PRIMARY KEY, read INTEGER NOT NULL
	 ) STRICT;
	 CREATE TABLE thread_reads ( -- how far threads were read apart from their conversations
		root INTEGER PRIMARY KEY, read INTEGER NOT NULL
	 ) STRICT;
	 CREATE TABLE settings ( -- what a person chose: for a conversation, or, with no channel, for all
		channel BLOB NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (channel, name)
	 ) STRICT;
	 CREATE TABLE outbox ( -- messages that their hub has not accepted yet
		position INTEGER PRIMARY KEY REFERENCES entries (position) ON DELETE CASCADE, epoch INTEGER NOT NULL, ciphertext BLOB NOT NULL
	 ) STRICT;`,
	`CREATE TABLE transfers ( -- files on their way, and those that were fetched
		id INTEGER PRIMARY KEY AUTOINCREMENT, channel BLOB NOT NULL, upload INTEGER NOT NULL, position INTEGER NOT NULL,
		path TEXT NOT NULL, part TEXT NOT NULL, content BLOB NOT NULL, pieces BLOB NOT NULL, total INTEGER NOT NULL,
		state INTEGER NOT NULL, problem TEXT NOT NULL, begun INTEGER NOT NULL
	 ) STRICT;
	 CREATE INDEX transfers_position ON transfers (position) WHERE position > 0;
	 CREATE INDEX entries_files ON entries (channel, position) WHERE kind IN (3, 4);`,
	`ALTER TABLE channels ADD COLUMN settled INTEGER NOT NULL DEFAULT 0; -- 1 where nothing was to do when it was looked after last
	 ALTER TABLE channels ADD COLUMN gap INTEGER NOT NULL DEFAULT 0; -- 1 where what was dropped may have told that somebody left
	 CREATE TABLE changed (user TEXT PRIMARY KEY) STRICT; -- accounts whose state changed since conversations were looked after`,
	`CREATE VIRTUAL TABLE words USING fts5 ( -- an index of what messages say; its rowids are their positions
		terms, content = '', columnsize = 0, detail = none, tokenize = qpq
	 );
	 INSERT INTO words (words, rank) VALUES ('secure-delete', 1);
	 CREATE TABLE blocks ( -- of messages in the index: times of the oldest and the newest of those whose positions have the same high bits
		block INTEGER PRIMARY KEY, oldest INTEGER NOT NULL, newest INTEGER NOT NULL
	 ) STRICT;
	 CREATE TABLE indexed ( -- how far the index is
		one INTEGER PRIMARY KEY CHECK (one = 1), position INTEGER NOT NULL
	 ) STRICT;
	 INSERT INTO indexed VALUES (1, 0);`,
	`CREATE TABLE amendments ( -- changes of conversations that were asked for and are not known to be made
		id INTEGER PRIMARY KEY AUTOINCREMENT, channel BLOB NOT NULL, kind INTEGER NOT NULL,
		user TEXT NOT NULL, role INTEGER NOT NULL, title TEXT NOT NULL, timer INTEGER NOT NULL, -- what is to be so; the timer in seconds
		asked INTEGER NOT NULL, -- when, in milliseconds
		after INTEGER NOT NULL, -- position of the newest entry then
		slot INTEGER NOT NULL, -- of the commit that makes it, 0 while none was handed in
		problem TEXT NOT NULL -- why it waits
	 ) STRICT;`,
	`ALTER TABLE inbox ADD COLUMN last BLOB NOT NULL DEFAULT x''; -- id of the message of the last row that is done`,
	`CREATE TABLE unread ( -- how many entries of a conversation are new: see isNew
		channel BLOB PRIMARY KEY, number INTEGER NOT NULL
	 ) STRICT;
	 INSERT INTO unread SELECT c.id, count(*) FROM channels c CROSS JOIN entries e ON e.channel = c.id AND e.position > c.seen
		WHERE e.state = 1 AND e.kind <= 15 AND e.gone = 0 AND e.sender <> coalesce((SELECT user FROM owner), '')
			AND (e.root = 0 OR e.position > coalesce((SELECT t.read FROM thread_reads t WHERE t.root = e.root), 0))
		GROUP BY c.id;`,
	`INSERT INTO words (words) VALUES ('delete-all'); -- it is made anew, with terms for two words in a row
	 DELETE FROM blocks;
	 UPDATE indexed SET position = 0;`,
	`ALTER TABLE entries ADD COLUMN placed INTEGER NOT NULL DEFAULT 0; -- of an edit or a reaction of this device: position of the newest entry when it was learnt where it came in its conversation, 0 before
	 UPDATE entries SET placed = position WHERE kind IN (16, 17) AND state = 3;`,
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
