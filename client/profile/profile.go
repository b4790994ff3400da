// Package profile is one person's state on this machine: an encrypted database that one process at a time
// holds. Every change is durable when the call that made it returns.
//
// The database is encrypted and each page carries a checksum. Whoever has the key reads all of it; whoever
// has not can delete it, or put back an older copy, which the session counter at the server tells
// (docs/protocol.md, section 5.4). Private keys are sealed once more, each
// under its own name, so that an altered or exchanged one is noticed.
package profile

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"sync"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"
	_ "github.com/ncruces/go-sqlite3/vfs/adiantum" // encrypts files

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/identity"
	"github.com/quicproquo/qpq/internal/wal"
	"golang.org/x/crypto/chacha20poly1305"
)

// KeySize is the length of a profile's key, in bytes.
const KeySize = 32

// Config says where the database of a profile is.
type Config struct {
	Path string // of the file
	Key  []byte // KeySize random bytes
	VFS  string // what SQLite reaches files by; empty encrypts those of the operating system
}

// uri is the name by which SQLite opens a file that is as private as the database.
func (c Config) uri(path string, further url.Values) string {
	query := url.Values{"vfs": {c.VFS}, "modeof": {c.Path}}
	maps.Copy(query, further)
	return (&url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: query.Encode()}).String()
}

// Profile is an open profile. It is safe for use by several goroutines.
type Profile struct {
	mu       sync.Mutex
	db       *sqlite3.Conn
	sealing  []byte
	copies   copies
	prepared map[string]*sqlite3.Stmt // statements that nobody uses just now
	state    *identity.AccountState   // of the own account, as it was read last
	device   *identity.DeviceKey      // likewise: to make it of what is stored takes as long as to send a message
	sealed   []byte                   // of which device was made
	wiped    bool                     // what was removed since the last checkpoint is in the journal still
	ended    bool                     // by Close
	closed   func()                   // told when the database is closed; nil tells nobody
	asked    int64                    // how many statements were run
	dropped  int64                    // how often the state of all groups was dropped, or may have been
}

// ErrClosed says that a profile was used after it was closed.
var ErrClosed = qpq.E(qpq.Unavailable, "profile-closed", "the profile was closed meanwhile: what was asked of it did not take place")

// Open opens the database, making it if there is none, and brings its schema up to date, after copying it. It fails with
// qpq.Damaged where the key does not fit or the file is damaged, and with qpq.Unsupported where a newer release wrote it.
func Open(c Config) (*Profile, error) { return open(c, migrations) }

func open(c Config, schema []string) (*Profile, error) {
	if len(c.Key) != KeySize {
		return nil, qpq.E(qpq.Invalid, "bad-key", fmt.Sprintf("the key of a profile has %d bytes, not %d", KeySize, len(c.Key)))
	}
	if c.VFS == "" {
		c.VFS = "adiantum"
	}
	sealing, err := hkdf.Key(sha256.New, c.Key, nil, "quicproquo profile rows v1", chacha20poly1305.KeySize)
	if err != nil {
		return nil, err
	}
	gathering := c
	gathering.VFS = wal.VFS(c.VFS)
	db, err := sqlite3.Open(gathering.uri(c.Path, nil))
	if err != nil {
		return nil, kinded(err)
	}
	p := &Profile{db: db, sealing: sealing, copies: copies{path: c.Path, vfs: vfs.Find(c.VFS)}}
	if err = p.prepare(c.Key); err == nil {
		err = p.migrate(c, schema)
	}
	if err != nil {
		return nil, errors.Join(kinded(err), p.shut())
	}
	p.wiped = true // perhaps, before a crash
	p.scrub()
	return p, nil
}

func (p *Profile) prepare(key []byte) error {
	if err := p.db.Exec(`PRAGMA hexkey = '` + hex.EncodeToString(key) + `'`); err != nil {
		return err
	}
	// One process holds the profile, so that nothing needs to be shared with others, nor a file for it.
	err := p.db.Exec(`PRAGMA locking_mode = EXCLUSIVE; PRAGMA temp_store = MEMORY; PRAGMA secure_delete = ON;
		PRAGMA busy_timeout = 5000; PRAGMA foreign_keys = ON; PRAGMA cache_size = -16384`)
	if err != nil {
		return err
	}
	// Else SQLite plans anew at each use whatever it could plan better for some values, which takes longer than to carry it out.
	if _, err := p.db.Config(sqlite3.DBCONFIG_ENABLE_QPSG, true); err != nil {
		return err
	}
	if err := registerIndex(p.db); err != nil {
		return err
	}
	if _, err := p.version(); err != nil { // the schema is read first, or checksums would be made anew each time
		return err
	}
	if err := p.db.EnableChecksums("main"); err != nil {
		return err
	}
	return p.db.Exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL`)
}

// Close closes the database. What uses the profile afterwards fails with ErrClosed.
func (p *Profile) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	clear(p.sealing)
	err := p.shut()
	if p.closed != nil {
		p.closed()
	}
	return kinded(err)
}

// shut closes the database with its statements.
func (p *Profile) shut() (err error) {
	for _, s := range p.prepared {
		err = errors.Join(err, s.Close())
	}
	p.prepared = nil
	return errors.Join(err, p.db.Close())
}

// change runs f in a transaction: all of it happens and is durable, or nothing.
func (p *Profile) change(f func() error) (err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.transact(f); err != nil {
		return err
	}
	p.scrub()
	return nil
}

// scrub empties the journal after something was wiped: it has pages as they were before. What was changed is durable already: where this fails, it is
// tried again after the next change, and when the database is opened.
func (p *Profile) scrub() {
	if p.wiped && p.db.Exec(`PRAGMA wal_checkpoint(TRUNCATE)`) == nil {
		p.wiped = false
	}
}

func (p *Profile) transact(f func() error) error {
	if p.ended {
		return ErrClosed
	}
	if err := p.exec(`BEGIN IMMEDIATE`); err != nil {
		return kinded(err)
	}
	err := f()
	if err == nil {
		err = p.exec(`COMMIT`)
	}
	if err != nil {
		if !p.db.GetAutocommit() {
			err = errors.Join(err, p.db.Exec(`ROLLBACK`))
		}
		return kinded(err)
	}
	return nil
}

// exec runs one statement. The caller holds mu.
func (p *Profile) exec(query string, args ...any) error {
	return p.query(query, func(*sqlite3.Stmt) error { return nil }, args...)
}

// query calls each for every row. The caller holds mu.
func (p *Profile) query(query string, each func(*sqlite3.Stmt) error, args ...any) error {
	s, err := p.bind(query, args)
	if err != nil {
		return err
	}
	for s.Step() {
		if err := each(s); err != nil {
			return errors.Join(err, s.Close())
		}
	}
	if err := s.Err(); err != nil {
		return errors.Join(err, s.Close())
	}
	return p.keep(query, s)
}

// maxPrepared is how many statements are kept for the next time that they are wanted.
const maxPrepared = 100

// keep keeps a statement that came to its end, without the values that it had.
func (p *Profile) keep(query string, s *sqlite3.Stmt) error {
	if p.prepared[query] != nil || len(p.prepared) >= maxPrepared {
		return s.Close()
	}
	if err := errors.Join(s.Reset(), s.ClearBindings()); err != nil {
		return errors.Join(err, s.Close())
	}
	if p.prepared == nil {
		p.prepared = map[string]*sqlite3.Stmt{}
	}
	p.prepared[query] = s
	return nil
}

// statement returns one, which the caller closes or keeps.
func (p *Profile) statement(query string) (*sqlite3.Stmt, error) {
	if s := p.prepared[query]; s != nil {
		delete(p.prepared, query)
		return s, nil
	}
	s, _, err := p.db.Prepare(query)
	if err != nil {
		return nil, fmt.Errorf("prepare %q: %w", query, err)
	}
	return s, nil
}

// read is query for those that hold no lock.
func (p *Profile) read(query string, each func(*sqlite3.Stmt) error, args ...any) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return kinded(p.query(query, each, args...))
}

func (p *Profile) bind(query string, args []any) (*sqlite3.Stmt, error) {
	if p.ended {
		return nil, ErrClosed
	}
	s, err := p.statement(query)
	if err != nil {
		return nil, err
	}
	p.asked++
	for i, arg := range args {
		switch v := arg.(type) {
		case int64:
			err = s.BindInt64(i+1, v)
		case bool:
			err = s.BindBool(i+1, v)
		case string:
			err = s.BindText(i+1, v)
		case []byte:
			err = s.BindBlob(i+1, v)
		default:
			err = fmt.Errorf("argument %d is a %T", i, arg)
		}
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

// Statements returns how many statements were run since the profile was opened: what something costs, where time is no measure.
func (p *Profile) Statements() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

// seal encrypts what is secret even within the database; name says which value it is.
func (p *Profile) seal(name string, plaintext []byte) ([]byte, error) {
	aead, err := chacha20poly1305.NewX(p.sealing)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(plaintext)+aead.Overhead())
	rand.Read(nonce)
	return aead.Seal(nonce, nonce, plaintext, []byte(name)), nil
}

// open decrypts what seal sealed under the same name. It fails with qpq.Damaged.
func (p *Profile) open(name string, sealed []byte) ([]byte, error) {
	aead, err := chacha20poly1305.NewX(p.sealing)
	if err != nil {
		return nil, err
	}
	if len(sealed) >= aead.NonceSize() {
		if b, err := aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], []byte(name)); err == nil {
			return b, nil
		}
	}
	return nil, qpq.E(qpq.Damaged, "profile-damaged", textDamaged+" ("+name+" was altered)")
}
