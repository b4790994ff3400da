package profile

import "fmt"

// Schemas is how many versions of the schema there are.
func Schemas() int { return len(migrations) }

// OpenAt opens a database as the release did that knew n versions of the schema, and some that there are not yet.
func OpenAt(c Config, n int, further ...string) (*Profile, error) {
	return open(c, append(migrations[:n:n], further...))
}

// Version returns that of the schema.
func (p *Profile) Version() (int, error) { return p.version() }

// SetSchema pretends that the database has another version of the schema.
func SetSchema(p *Profile, version int) error {
	return p.db.Exec(fmt.Sprintf(`PRAGMA user_version = %d`, version))
}
