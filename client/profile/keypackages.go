package profile

import (
	"fmt"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// KeyPackage is a published key package with its private keys.
type KeyPackage struct {
	Ref        []byte // of the MLS key package
	Suite      uint16
	LastResort bool
	Expires    time.Time
	Bundle     []byte // secret: as package mls marshals it
}

// AddKeyPackages keeps key packages, before they are published.
func (p *Profile) AddKeyPackages(packages []KeyPackage) error {
	return p.change(func() error {
		for _, k := range packages {
			sealed, err := p.seal(bundleName(k.Ref), k.Bundle)
			if err != nil {
				return err
			}
			err = p.exec(`INSERT INTO key_packages VALUES (?, ?, ?, ?, ?)`, k.Ref, int64(k.Suite), k.LastResort, k.Expires.Unix(), sealed)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// KeyPackages returns those that have not been used, with their private keys.
func (p *Profile) KeyPackages() (list []KeyPackage, err error) {
	err = p.read(`SELECT ref, suite, last_resort, expires, bundle FROM key_packages ORDER BY ref`, func(s *sqlite3.Stmt) error {
		k := KeyPackage{Ref: s.ColumnBlob(0, nil), Suite: uint16(s.ColumnInt(1)), LastResort: s.ColumnBool(2), Expires: time.Unix(s.ColumnInt64(3), 0)}
		var err error
		k.Bundle, err = p.open(bundleName(k.Ref), s.ColumnRawBlob(4))
		list = append(list, k)
		return err
	})
	return list, err
}

// DropKeyPackages removes those that expired before t.
func (p *Profile) DropKeyPackages(t time.Time) error {
	return p.change(func() error { return p.exec(`DELETE FROM key_packages WHERE expires < ?`, t.Unix()) })
}

func bundleName(ref []byte) string { return fmt.Sprintf("key package %x", ref) }
