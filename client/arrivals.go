package client

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/quicproquo/qpq/client/arrivals"
	"github.com/quicproquo/qpq/client/profile"
	"github.com/quicproquo/qpq/wire"
)

// Small messages come with the push that tells of them. Where those that came follow one another nothing is fetched, and they are
// acknowledged now and then. Whatever else is in the inbox is fetched.

// arrived is what was pushed on a connection, until a round takes it.
type arrived struct {
	arrivals.Queue
	acknowledged atomic.Uint64 // up to where, on this connection
	asking       atomic.Bool   // an acknowledgement is under way: one at a time
	failed       atomic.Bool   // one had no answer
	asked        uint64        // up to where the last one is; held by chatting, as is since
	since        time.Time     // when it was seen that rows are not acknowledged yet
}

// arrive takes what has come. All that the inbox holds is fetched where it is not known to have been pushed. The caller holds chatting.
func (c *Client) arrive(ctx context.Context, s *session, fetch bool) error {
	known, err := c.cfg.Profile.Inbox()
	if err != nil {
		return err
	}
	if known != nil && !fetch {
		rows, whole := s.arrived.Take(known.Processed)
		if whole {
			err := c.takeArrived(ctx, s, rows, *known)
			if err != nil {
				s.arrived.Miss() // they are not taken
			}
			if !errors.Is(err, errOutdated) {
				return err
			}
		}
	}
	s.arrived.Take(0)
	err = c.receive(ctx, s)
	if err != nil {
		s.arrived.Miss()
	}
	return err
}

// takeArrived takes rows that follow what was read, and acknowledges all that was read if it is time to.
func (c *Client) takeArrived(ctx context.Context, s *session, rows []wire.InboxRow, at profile.Inbox) error {
	if err := c.load(); err != nil {
		return err
	}
	if err := c.finishJoins(ctx, s); err != nil {
		return err
	}
	at.Acknowledged = max(at.Acknowledged, s.arrived.acknowledged.Load()) // it becomes durable with what comes next: to acknowledge again does no harm
	if err := c.takeRows(ctx, s, rows, &at); err != nil {
		return err
	}
	if wait, n := c.noteUnacknowledged(s, at); (wait == 0 || n >= arrivals.AckEach) && s.arrived.asking.CompareAndSwap(false, true) {
		s.arrived.asked, s.arrived.since = at.Processed, time.Time{}
		go s.acknowledge(at.Processed) // it ends with the connection at the latest
	}
	return nil
}

// acknowledge tells the server what was read. Nobody waits for it: the server answers once that is durable, for which it waits for others.
func (s *session) acknowledge(upTo uint64) {
	defer s.arrived.asking.Store(false)
	if _, err := wire.Call(context.Background(), s, wire.InboxAck{Sequence: upTo}); err != nil {
		s.arrived.failed.Store(true) // a later round tries it again
		return
	}
	s.arrived.acknowledged.Store(upTo)
}

// noteUnacknowledged notes since when rows are not acknowledged, and returns how many those are, and how long until they are to be: less than 0 where there are none. Those
// for which it is under way are.
func (c *Client) noteUnacknowledged(s *session, at profile.Inbox) (wait time.Duration, rows uint64) {
	if s.arrived.failed.Swap(false) {
		s.arrived.asked = 0
	}
	done := max(at.Acknowledged, s.arrived.acknowledged.Load(), s.arrived.asked)
	if at.Processed <= done {
		s.arrived.since = time.Time{}
		return -1, 0
	}
	if s.arrived.since.IsZero() || s.arrived.asking.Load() {
		s.arrived.since = c.cfg.Clock()
	}
	return max(s.arrived.since.Add(arrivals.AckWithin).Sub(c.cfg.Clock()), 0), at.Processed - done
}

// ackIn returns how long until rows are to be acknowledged, less than 0 where none are.
func (c *Client) ackIn(s *session) (time.Duration, error) {
	known, err := c.cfg.Profile.Inbox()
	if err != nil || known == nil {
		return -1, err
	}
	wait, _ := c.noteUnacknowledged(s, *known)
	return wait, nil
}

// takeOwn notes the row of a message of this device, which is not pushed to it, and reports whether that follows what was read.
func takeOwn(tx *profile.Tx, ch *chat, id [16]byte, reply wire.SendReply) (bool, error) {
	known, err := tx.Inbox()
	if err != nil || known == nil || ch == nil || reply.Inbox != known.Processed+1 || reply.Sequence != ch.Sequence+1 {
		return false, err
	}
	known.Processed, known.Last = reply.Inbox, id
	return true, errors.Join(tx.SetSequence(ch.ID, reply.Sequence), tx.SetInbox(*known))
}
