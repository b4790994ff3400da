package store

import (
	"context"
	"time"
)

// Sweep removes up to limit rows of each kind that are past their time: key packages, attempt windows
// and registration tokens. It returns how many went; call it again until that is 0.
func (s *Store) Sweep(ctx context.Context, now time.Time, limit int64) (removed int64, err error) {
	err = s.update(ctx, "sweep expired rows", func(tx Tx) error {
		removed = 0
		for _, statement := range sweeps {
			n, err := tx.Exec(statement, millis(now), limit)
			if err != nil {
				return err
			}
			removed += n
		}
		return nil
	})
	return removed, err
}

var sweeps = []string{
	`DELETE FROM key_packages WHERE (account, ref) IN (SELECT account, ref FROM key_packages WHERE expires <= $1 LIMIT $2)`,
	`DELETE FROM attempts WHERE subject IN (SELECT subject FROM attempts WHERE closes <= $1 LIMIT $2)`,
	`DELETE FROM tokens WHERE hash IN (SELECT hash FROM tokens WHERE expires > 0 AND expires <= $1 LIMIT $2)`,
}
