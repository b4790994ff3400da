package store

import (
	"context"
	"time"
)

// Sweep removes up to limit rows of each kind that are past their time: key packages, attempt windows, registration
// tokens, payloads of messages, what remembers them, and slots out of the window. It returns how many went; call it again until that is 0.
func (s *Store) Sweep(ctx context.Context, now time.Time, limit int64) (removed int64, err error) {
	err = s.later(ctx, "sweep expired rows", func(tx Tx) error {
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
	`DELETE FROM payloads WHERE (channel, message) IN (SELECT channel, message FROM messages WHERE due <= $1 AND waiting >= 0 ORDER BY due LIMIT $2)`,
	`UPDATE messages SET waiting = -1, payload = NULL, due = due + ` + remembered + ` WHERE (channel, message) IN
		(SELECT channel, message FROM messages WHERE due <= $1 AND waiting >= 0 ORDER BY due LIMIT $2)`,
	`DELETE FROM messages WHERE (channel, message) IN (SELECT channel, message FROM messages WHERE due <= $1 AND waiting < 0 ORDER BY due LIMIT $2)`,
	`DELETE FROM channel_slots WHERE (channel, slot) IN (SELECT channel, slot FROM channel_slots WHERE forget > 0 AND forget <= $1 LIMIT $2)`,
}

// remembered is forgetAfter as the statements have it, in milliseconds.
const remembered = `2592000000`
