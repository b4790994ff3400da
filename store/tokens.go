package store

import (
	"context"
	"time"

	"github.com/quicproquo/qpq"
)

// Token is a registration token: whoever has it may register. Only its hash is kept.
type Token struct {
	Hash    []byte
	Uses    int64 // registrations left
	Created time.Time
	Expires time.Time // zero means never
	Revoked time.Time // zero unless revoked
}

// AddToken keeps a token with t.Uses registrations. It returns Exists if there is one of this hash.
func (s *Store) AddToken(ctx context.Context, t Token) error {
	return s.update(ctx, "add a registration token", func(tx Tx) error {
		exists := qpq.E(qpq.Exists, "token-exists", "there is such a registration token already: make a new one")
		return must(tx, exists, insertToken, t.Hash, t.Uses, millis(t.Created), millis(t.Expires))
	})
}

// Tokens returns all tokens that Sweep has not removed, oldest first.
func (s *Store) Tokens(ctx context.Context) (list []Token, err error) {
	err = s.view(ctx, "list registration tokens", func(tx Tx) error {
		list = nil
		return tx.Query(func(r Row) error {
			t, err := scanToken(r)
			list = append(list, t)
			return err
		}, selectTokens)
	})
	return list, err
}

// CheckToken returns Denied with code "bad-token" unless the token would let somebody register now.
// It is a hint for an early answer; Register decides.
func (s *Store) CheckToken(ctx context.Context, hash []byte, now time.Time) error {
	return s.view(ctx, "check a registration token", func(tx Tx) error {
		return usable(tx, hash, now)
	})
}

// RevokeToken ends a token. It returns NotFound if there is none in use.
func (s *Store) RevokeToken(ctx context.Context, hash []byte, now time.Time) error {
	return s.update(ctx, "revoke a registration token", func(tx Tx) error {
		return must(tx, qpq.E(qpq.NotFound, "no-token", "there is no such registration token"), revokeToken, hash, millis(now))
	})
}

func useToken(tx Tx, hash []byte, now time.Time) error {
	if err := usable(tx, hash, now); err != nil {
		return err
	}
	return exec(tx, spendToken, hash)
}

func usable(tx Tx, hash []byte, now time.Time) error {
	var t Token
	err := tx.Query(func(r Row) (err error) {
		t, err = scanToken(r)
		return err
	}, selectToken, hash)
	if err != nil {
		return err
	}
	expired := !t.Expires.IsZero() && millis(t.Expires) <= millis(now)
	if t.Uses <= 0 || expired || !t.Revoked.IsZero() {
		return qpq.E(qpq.Denied, "bad-token", "this registration token is unknown, expired, revoked or used up: ask for a new one")
	}
	return nil
}

func scanToken(r Row) (t Token, err error) {
	var created, expires, revoked int64
	err = r.Scan(&t.Hash, &t.Uses, &created, &expires, &revoked)
	t.Created, t.Expires, t.Revoked = instant(created), instant(expires), instant(revoked)
	return t, err
}

const (
	columnsOfToken = `hash, uses, created, expires, revoked`

	insertToken  = `INSERT INTO tokens (hash, uses, created, expires, revoked) VALUES ($1, $2, $3, $4, 0) ON CONFLICT (hash) DO NOTHING`
	selectToken  = `SELECT ` + columnsOfToken + ` FROM tokens WHERE hash = $1`
	selectTokens = `SELECT ` + columnsOfToken + ` FROM tokens ORDER BY created, hash`
	spendToken   = `UPDATE tokens SET uses = uses - 1 WHERE hash = $1`
	revokeToken  = `UPDATE tokens SET revoked = $2 WHERE hash = $1 AND revoked = 0`
)
