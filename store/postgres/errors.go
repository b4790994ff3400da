package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/quicproquo/qpq"
)

var errClosed = qpq.E(qpq.Unavailable, "store-closed", "the server is shutting down: try again later")

// cancelled is the error for a call whose context was done before it ran.
func cancelled(ctx context.Context) error {
	return qpq.Wrap(qpq.Unavailable, "cancelled", "the request was given up before it was carried out", context.Cause(ctx))
}

// unreached is the error for a call that got no connection.
func unreached(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return cancelled(ctx)
	}
	return kinded(err)
}

// retryable reports whether PostgreSQL undid the transaction because of another and asks for a retry.
func retryable(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40001" || pg.Code == "40P01")
}

// kinded gives an error of PostgreSQL or the way to it its kind, by SQLSTATE (PostgreSQL's documentation,
// appendix A); nil stays nil.
func kinded(err error) error {
	var known *qpq.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return qpq.Wrap(qpq.Unavailable, "store-unreachable", "the server's database does not answer: try again", err)
	}
	switch {
	case pg.Code == "53100":
		return qpq.Wrap(qpq.Exhausted, "disk-full", "the database's disk is full: its operator must make room", err)
	case pg.Code == "25006":
		return qpq.Wrap(qpq.Unavailable, "disk-read-only", "the database cannot be written: its operator must make it writable", err)
	case pg.Code == "XX001" || pg.Code == "XX002":
		return qpq.Wrap(qpq.Damaged, "store-damaged", "the server's database is damaged: its operator must restore a copy", err)
	case pg.Code == "58030":
		return qpq.Wrap(qpq.Unavailable, "store-failing", "the database's disk reports errors: its operator must look at it", err)
	case retryable(err), pg.Code[:2] == "08", pg.Code[:2] == "53", pg.Code[:2] == "57":
		return qpq.Wrap(qpq.Unavailable, "store-busy", "the server's database is busy or restarting: try again", err)
	}
	return qpq.Wrap(qpq.Internal, "store-error", "the server could not use its database", err)
}
