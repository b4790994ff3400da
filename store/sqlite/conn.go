package sqlite

import (
	"context"
	"fmt"
	"strings"

	"github.com/ncruces/go-sqlite3"

	"github.com/quicproquo/qpq/store"
)

// conn is one connection with its prepared statements: a store.Tx while a transaction is open. One
// goroutine uses it at a time.
type conn struct {
	db         *sqlite3.Conn
	statements map[string]*sqlite3.Stmt
	receipts   store.Receipts // of the transaction that is open
}

// Receipts implements store.Tx.
func (c *conn) Receipts() *store.Receipts { return &c.receipts }

// Exec implements store.Tx.
func (c *conn) Exec(query string, args ...any) (int64, error) {
	s, err := c.prepare(query, args)
	if err != nil {
		return 0, kinded(err)
	}
	if err := s.Exec(); err != nil {
		return 0, kinded(err)
	}
	return c.db.Changes(), nil
}

// Query implements store.Tx.
func (c *conn) Query(each func(store.Row) error, query string, args ...any) error {
	s, err := c.prepare(query, args)
	if err != nil {
		return kinded(err)
	}
	defer s.Reset() // its error is that of Step, returned below
	for s.Step() {
		if err := each(row{s}); err != nil {
			return err
		}
	}
	return kinded(s.Err())
}

// run executes a statement without arguments, prepared like any other.
func (c *conn) run(query string) error {
	_, err := c.Exec(query)
	return err
}

// prepare returns the statement, compiled at its first use, with its arguments bound.
func (c *conn) prepare(query string, args []any) (*sqlite3.Stmt, error) {
	s, ok := c.statements[query]
	if !ok {
		var err error
		if s, _, err = c.db.PrepareFlags(rebind(query), sqlite3.PREPARE_PERSISTENT); err != nil {
			return nil, fmt.Errorf("prepare %q: %w", query, err)
		}
		c.statements[query] = s
	}
	for i, arg := range args {
		if err := bind(s, i+1, arg); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// rebind turns the placeholders $1, $2, … into SQLite's ?1, ?2, …. The contract's SQL has no other $.
func rebind(query string) string { return strings.ReplaceAll(query, "$", "?") }

func bind(s *sqlite3.Stmt, i int, arg any) error {
	switch v := arg.(type) {
	case int64:
		return s.BindInt64(i, v)
	case string:
		return s.BindText(i, v)
	case []byte:
		return s.BindBlob(i, v)
	}
	return fmt.Errorf("argument %d is a %T: the contract allows int64, string and []byte", i, arg)
}

// row is the present row of a statement.
type row struct{ s *sqlite3.Stmt }

// Scan implements store.Row.
func (r row) Scan(dest ...any) error {
	for i, d := range dest {
		switch p := d.(type) {
		case *int64:
			*p = r.s.ColumnInt64(i)
		case *string:
			*p = r.s.ColumnText(i)
		case *[]byte:
			if r.s.ColumnType(i) == sqlite3.NULL {
				*p = nil
			} else {
				*p = append([]byte{}, r.s.ColumnRawBlob(i)...)
			}
		default:
			return fmt.Errorf("column %d goes into a %T: the contract allows *int64, *string and *[]byte", i, d)
		}
	}
	return nil
}

// view runs fn on a snapshot that ends with it, even by a panic.
func (c *conn) view(ctx context.Context, fn func(store.Tx) error) (err error) {
	if ctx.Err() != nil {
		return cancelled(ctx)
	}
	if err := c.run(`BEGIN`); err != nil {
		return err
	}
	c.db.SetInterrupt(ctx)
	defer func() {
		c.db.SetInterrupt(context.Background())
		if end := c.run(`ROLLBACK`); err == nil && !c.db.GetAutocommit() {
			err = end
		}
		if err != nil && ctx.Err() != nil {
			err = cancelled(ctx)
		}
	}()
	return fn(c)
}

func (c *conn) close() {
	for _, s := range c.statements {
		_ = s.Close() // repeats the error of the last Step
	}
	_ = c.db.Close() // nothing is lost here: all commits are on the disk
}
