package store

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/quicproquo/qpq"
)

// Meta is what a store knows about itself.
type Meta struct {
	Domain  string    // the server's domain
	Created time.Time // when the store was first opened
	Schema  int64     // version of the schema
}

// Domain returns the domain this store belongs to.
func (s *Store) Domain() string { return s.domain }

// Meta reads what the store knows about itself.
func (s *Store) Meta(ctx context.Context) (m Meta, err error) {
	err = s.view(ctx, "read the store's description", func(tx Tx) error {
		var created int64
		if _, err := one(tx, into{&m.Domain, &created}, selectMeta); err != nil {
			return err
		}
		m.Created = instant(created)
		_, err := one(tx, into{&m.Schema}, selectSchema)
		return err
	})
	return m, err
}

func (s *Store) fixDomain(ctx context.Context, cfg Config) error {
	return s.update(ctx, "open the store", func(tx Tx) error {
		if cfg.Domain != "" {
			if err := exec(tx, insertMeta, cfg.Domain, millis(cfg.Now)); err != nil {
				return err
			}
		}
		var domain string
		var created int64
		if _, err := one(tx, into{&domain, &created}, selectMeta); err != nil {
			return err
		}
		s.domain = cmp.Or(cfg.Domain, domain)
		switch {
		case s.domain == "":
			return qpq.E(qpq.Invalid, "no-domain", "a new store needs the server's domain")
		case domain != s.domain:
			return qpq.E(qpq.Invalid, "domain-changed", fmt.Sprintf("this store belongs to the domain %q and "+
				"cannot serve %q: start with the old domain, or with an empty data directory", domain, cfg.Domain))
		}
		return nil
	})
}

const (
	insertMeta   = `INSERT INTO meta (id, domain, created) VALUES (1, $1, $2) ON CONFLICT (id) DO NOTHING`
	selectMeta   = `SELECT domain, created FROM meta WHERE id = 1`
	selectSchema = `SELECT max(version_id) FROM schema_version`
)
