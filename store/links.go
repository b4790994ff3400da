package store

import (
	"context"
	"time"

	"github.com/quicproquo/qpq"
)

// Link is the meeting of two devices of one account over a short code: one side offers, the other
// fetches the offer once and answers once, and the first takes the answer.
type Link struct {
	Account string // of the side that knows it; deleted with it
	Code    []byte // hash of the code
	Offer   []byte
	Expires time.Time
}

// OfferLink puts an offer under a code. It returns Exists with code "code-in-use" if one is there that
// has not expired.
func (s *Store) OfferLink(ctx context.Context, l Link, now time.Time) error {
	return s.update(ctx, "offer a link", func(tx Tx) error {
		if err := exec(tx, deleteStaleLink, l.Code, millis(now)); err != nil {
			return err
		}
		inUse := qpq.E(qpq.Exists, "code-in-use", "this link code is in use: make a new one")
		return must(tx, inUse, insertLink, l.Account, l.Code, some(l.Offer), millis(l.Expires))
	})
}

// FetchLink returns the offer under a code, to one caller. It returns NotFound with code "no-link" if
// there is none, if it expired, or if it was fetched before.
func (s *Store) FetchLink(ctx context.Context, code []byte, now time.Time) (l Link, err error) {
	err = s.update(ctx, "fetch a link", func(tx Tx) error {
		var expires int64
		found, err := one(tx, into{&l.Account, &l.Code, &l.Offer, &expires}, fetchLink, code, millis(now))
		if err == nil && !found {
			return noLink
		}
		l.Expires = instant(expires)
		return err
	})
	return l, err
}

// AnswerLink leaves the answer to an offer that was fetched. It returns NotFound with code "no-link"
// if there is none or it expired, and Exists with code "link-answered" if it has an answer.
func (s *Store) AnswerLink(ctx context.Context, code, answer []byte, now time.Time) error {
	return s.update(ctx, "answer a link", func(tx Tx) error {
		var answered int64
		found, err := one(tx, into{&answered}, selectAnswered, code, millis(now))
		switch {
		case err != nil:
			return err
		case !found:
			return noLink
		case answered != 0:
			return qpq.E(qpq.Exists, "link-answered", "this link was answered already: start a new one")
		}
		return exec(tx, answerLink, code, some(answer))
	})
}

// TakeLinkAnswer returns the answer and forgets the link. It returns NotFound with code "no-link" if
// there is no such link, and Unavailable with code "no-answer-yet" while nobody has answered.
func (s *Store) TakeLinkAnswer(ctx context.Context, code []byte, now time.Time) (answer []byte, err error) {
	err = s.update(ctx, "take a link's answer", func(tx Tx) error {
		found, err := one(tx, into{&answer}, selectAnswer, code, millis(now))
		switch {
		case err != nil:
			return err
		case !found:
			return noLink
		case answer == nil:
			return qpq.E(qpq.Unavailable, "no-answer-yet", "the other device has not answered yet: wait")
		}
		return exec(tx, deleteLink, code)
	})
	return answer, err
}

var noLink = qpq.E(qpq.NotFound, "no-link", "no device waits under this link code, or not any more: make a new one")

const (
	insertLink      = `INSERT INTO links (account, code, offer, fetched, expires) VALUES ($1, $2, $3, 0, $4) ON CONFLICT (code) DO NOTHING`
	fetchLink       = `UPDATE links SET fetched = 1 WHERE code = $1 AND expires > $2 AND fetched = 0 RETURNING account, code, offer, expires`
	selectAnswered  = `SELECT CASE WHEN answer IS NULL THEN 0 ELSE 1 END FROM links WHERE code = $1 AND expires > $2 AND fetched = 1`
	answerLink      = `UPDATE links SET answer = $2 WHERE code = $1`
	selectAnswer    = `SELECT answer FROM links WHERE code = $1 AND expires > $2`
	deleteLink      = `DELETE FROM links WHERE code = $1`
	deleteStaleLink = `DELETE FROM links WHERE code = $1 AND expires <= $2`
)
