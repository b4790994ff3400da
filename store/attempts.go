package store

import (
	"context"
	"fmt"
	"time"

	"github.com/quicproquo/qpq"
)

// Budget bounds attempts: Limit of them in a window that the first one opens.
type Budget struct {
	Limit  int64
	Window time.Duration
}

// Attempt is one attempt that was counted.
type Attempt struct {
	Subject []byte    // whose budget: a hash of a name or an address
	Opened  time.Time // when the window opened
	Closes  time.Time // when it closes and all attempts are free again
	Left    int64     // attempts left in it
}

// CountAttempt takes one attempt from the subject's budget: at the first message of a login, before
// anything is learnt from it. It returns RateLimited with code "too-many-attempts" if none is left; the
// Attempt then says until when.
func (s *Store) CountAttempt(ctx context.Context, subject []byte, b Budget, now time.Time) (a Attempt, err error) {
	err = s.update(ctx, "count an attempt", func(tx Tx) error {
		var opened, closes, used int64
		if _, err := one(tx, into{&opened, &closes, &used}, selectAttempts, subject); err != nil {
			return err
		}
		if closes <= millis(now) {
			opened, closes, used = millis(now), millis(now.Add(b.Window)), 0
		}
		a = Attempt{Subject: subject, Opened: instant(opened), Closes: instant(closes), Left: max(0, b.Limit-used-1)}
		if used >= b.Limit {
			return qpq.E(qpq.RateLimited, "too-many-attempts",
				fmt.Sprintf("too many attempts: wait %s and try again", a.Closes.Sub(now).Round(time.Second)))
		}
		return exec(tx, upsertAttempts, subject, opened, closes, used+1)
	})
	return a, err
}

// ForgiveAttempt gives back an attempt that ended well, unless its window is over.
func (s *Store) ForgiveAttempt(ctx context.Context, a Attempt) error {
	return s.update(ctx, "forgive an attempt", func(tx Tx) error {
		return exec(tx, forgiveAttempt, a.Subject, millis(a.Opened))
	})
}

const (
	selectAttempts = `SELECT opened, closes, used FROM attempts WHERE subject = $1`
	upsertAttempts = `INSERT INTO attempts (subject, opened, closes, used) VALUES ($1, $2, $3, $4)
		ON CONFLICT (subject) DO UPDATE SET opened = excluded.opened, closes = excluded.closes, used = excluded.used`
	forgiveAttempt = `UPDATE attempts SET used = used - 1 WHERE subject = $1 AND opened = $2 AND used > 0`
)
