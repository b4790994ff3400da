package store

import (
	"context"
	"time"

	"github.com/quicproquo/qpq"
)

// Reset is an announced reset of an account whose owner lost everything. It counts once it is due;
// until then the account's old key can cancel it.
type Reset struct {
	Account   string
	Request   []byte // what shall replace the account, as announced
	Announced time.Time
	Due       time.Time
}

// AnnounceReset keeps a reset. It returns NotFound if there is no such account and Exists with code
// "reset-announced" if it has one pending.
func (s *Store) AnnounceReset(ctx context.Context, r Reset) error {
	return s.update(ctx, "announce a reset", func(tx Tx) error {
		if err := needAccount(tx, r.Account); err != nil {
			return err
		}
		pending := qpq.E(qpq.Exists, "reset-announced", "a reset of this account is pending: wait for it or cancel it")
		return must(tx, pending, insertReset, r.Account, some(r.Request), millis(r.Announced), millis(r.Due))
	})
}

// PendingReset returns the account's reset, NotFound with code "no-reset" if none is pending.
func (s *Store) PendingReset(ctx context.Context, name string) (r Reset, err error) {
	err = s.view(ctx, "look up a reset", func(tx Tx) error {
		found := false
		err := tx.Query(func(row Row) (err error) {
			found = true
			r, err = scanReset(row)
			return err
		}, selectReset, name)
		if err == nil && !found {
			return noReset
		}
		return err
	})
	return r, err
}

// DueResets returns up to limit resets that are due, those due first at the front. ChangeAccount with
// Reset carries one out.
func (s *Store) DueResets(ctx context.Context, now time.Time, limit int64) (list []Reset, err error) {
	err = s.view(ctx, "list due resets", func(tx Tx) error {
		list = nil
		return tx.Query(func(row Row) error {
			r, err := scanReset(row)
			list = append(list, r)
			return err
		}, selectDueResets, millis(now), limit)
	})
	return list, err
}

// CancelReset forgets a reset. It returns NotFound with code "no-reset" if none is pending.
func (s *Store) CancelReset(ctx context.Context, name string) error {
	return s.update(ctx, "cancel a reset", func(tx Tx) error {
		return must(tx, noReset, deleteReset, name)
	})
}

func endReset(tx Tx, c AccountChange) error {
	if !c.Reset {
		return nil
	}
	notDue := qpq.E(qpq.Denied, "no-reset-due", "no reset of this account is due: announce one and wait until it is")
	return must(tx, notDue, deleteDueReset, c.Name, millis(c.Now))
}

func scanReset(row Row) (r Reset, err error) {
	var announced, due int64
	err = row.Scan(&r.Account, &r.Request, &announced, &due)
	r.Announced, r.Due = instant(announced), instant(due)
	return r, err
}

var noReset = qpq.E(qpq.NotFound, "no-reset", "no reset of this account is pending")

const (
	columnsOfReset = `account, request, announced, due`

	insertReset     = `INSERT INTO account_resets (account, request, announced, due) VALUES ($1, $2, $3, $4) ON CONFLICT (account) DO NOTHING`
	selectReset     = `SELECT ` + columnsOfReset + ` FROM account_resets WHERE account = $1`
	selectDueResets = `SELECT ` + columnsOfReset + ` FROM account_resets WHERE due <= $1 ORDER BY due, account LIMIT $2`
	deleteReset     = `DELETE FROM account_resets WHERE account = $1`
	deleteDueReset  = `DELETE FROM account_resets WHERE account = $1 AND due <= $2`
)
