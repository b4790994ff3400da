package profile

import "fmt"

// SetSchema pretends that the database has another version of the schema.
func SetSchema(p *Profile, version int) error {
	return p.db.Exec(fmt.Sprintf(`PRAGMA user_version = %d`, version))
}
