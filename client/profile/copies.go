package profile

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"

	"github.com/ncruces/go-sqlite3/vfs"
)

// copies are what the database was before upgrades, each in a file beside it that is named after its schema: "profile.db" is
// kept as "profile.db.schema-1". They are encrypted with the same key.
type copies struct {
	path string
	vfs  vfs.VFS
}

func (c copies) of(schema int) string { return fmt.Sprintf("%s.schema-%d", c.path, schema) }

// remove removes the copies of the schemas from 1 to newest.
func (c copies) remove(newest int) (err error) {
	for schema := 1; schema <= newest; schema++ {
		if there, e := c.vfs.Access(c.of(schema), vfs.ACCESS_EXISTS); e != nil || there {
			err = errors.Join(err, e, c.vfs.Delete(c.of(schema), true))
		}
	}
	return err
}

// keepOld copies the database, in place of older copies: what was deleted since they were made should not be found there for
// ever. The copy is durable when keepOld returns.
func (p *Profile) keepOld(c Config, schema int) error {
	if err := p.copies.remove(schema); err != nil {
		return err
	}
	err := p.db.Backup("main", c.uri(p.copies.of(schema), url.Values{"hexkey": {hex.EncodeToString(c.Key)}}))
	if err != nil {
		return errors.Join(fmt.Errorf("copy the profile before its upgrade from schema %d: %w", schema, err), p.copies.remove(schema))
	}
	return nil
}
