package client

import (
	"context"

	"github.com/quicproquo/qpq"
)

// turn is held by one at a time, also while it waits for the network: so whoever waits for it can give up.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

// take waits for the turn. It fails where ctx ends first.
func (t turn) take(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return qpq.Wrap(qpq.Unavailable, "cancelled", "given up on request", ctx.Err())
	}
}

// try takes the turn if nobody has it.
func (t turn) try() bool {
	select {
	case t <- struct{}{}:
		return true
	default:
		return false
	}
}

// taken reports whether somebody has the turn.
func (t turn) taken() bool { return len(t) > 0 }

// give lets the next one have it.
func (t turn) give() { <-t }
