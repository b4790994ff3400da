package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/transport"
	"github.com/quicproquo/qpq/wire"
)

// How calls are repeated where a connection was lost, and how that is told.

// call sends a request on an authenticated connection. Where the connection was lost, and the request may be repeated, it is, once, on a new one.
func call[Q wire.Request[R], R any, PQ wire.Value[Q], PR wire.Value[R]](ctx context.Context, c *Client, q Q) (R, error) {
	s, err := c.member(ctx)
	if err != nil {
		var none R
		return none, err
	}
	r, err := wire.Call[Q, R, PQ, PR](ctx, s, q)
	if lost(err) && q.Method().Idempotent && ctx.Err() == nil {
		_ = s.Close() // or the next try may get it again, before it is known to have ended
		if s, err = c.member(ctx); err == nil {
			r, err = wire.Call[Q, R, PQ, PR](ctx, s, q)
		}
	}
	return r, unreachable(cmp.Or(addressOf(s), "the server"), err)
}

func addressOf(s *session) string {
	if s == nil {
		return ""
	}
	return s.address
}

// lost reports whether err says that no answer came.
func lost(err error) bool {
	var e *transport.CallError
	return errors.As(err, &e) || qpq.CodeOf(err) == wire.CodeDraining
}

// unreachable turns the loss of a connection into words.
func unreachable(address string, err error) error {
	var e *transport.CallError
	if !errors.As(err, &e) {
		return err
	}
	if errors.Is(err, context.Canceled) {
		return qpq.Wrap(qpq.Unavailable, "cancelled", "given up on request", err)
	}
	text := "the connection to %s was lost: try again"
	code, ok := transport.Refused(err)
	switch {
	case ok && code == transport.CodeSuperseded:
		return errSuperseded
	case ok:
		text = "%s ended the connection (" + code.String() + "): try again later"
	}
	return qpq.Wrap(qpq.Unavailable, "connection-lost", fmt.Sprintf(text, address), err)
}
