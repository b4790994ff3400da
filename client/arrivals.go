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
	acknowledging turn                  // of the acknowledgement under way, if there is one
	acknowledged  atomic.Uint64         // up to where, on this connection
	failed        atomic.Pointer[error] // why one was not taken, until a round says so
	asked         uint64                // up to where the last one is; held by chatting, as is since
	since         time.Time             // when it was seen that rows are not acknowledged yet
}

// settle waits until no acknowledgement is under way, and forgets how far they came. The caller holds chatting, so that none begins.
func (a *arrived) settle(ctx context.Context) error {
	if err := a.acknowledging.take(ctx); err != nil {
		return err
	}
	a.asked, a.since = 0, time.Time{}
	a.acknowledged.Store(0)
	a.failed.Store(nil)
	a.acknowledging.give()
	return nil
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

// takeArrived takes rows that follow what was read, and has all that was read be acknowledged if it is time to. It fails where the last acknowledgement did.
func (c *Client) takeArrived(ctx context.Context, s *session, rows []wire.InboxRow, at profile.Inbox) error {
	if why := s.arrived.failed.Swap(nil); why != nil {
		s.arrived.asked = 0
		return *why
	}
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
	if wait, n := c.noteUnacknowledged(s, at); (wait == 0 || n >= arrivals.AckEach) && s.arrived.acknowledging.try() {
		s.arrived.asked, s.arrived.since = at.Processed, time.Time{}
		go s.acknowledge(at.Processed) // it ends with the connection at the latest
	}
	return nil
}

// acknowledge tells the server what was read. No round waits for it: the server answers once that is durable, and what makes it so may come after it.
func (s *session) acknowledge(upTo uint64) {
	_, err := wire.Call(context.Background(), s, wire.InboxAck{Sequence: upTo})
	if err == nil {
		s.arrived.acknowledged.Store(upTo)
	} else {
		s.arrived.failed.Store(&err)
	}
	s.arrived.acknowledging.give()
	if err != nil {
		s.kick()
	}
}

// noteUnacknowledged notes since when rows are not acknowledged, and returns how many those are, and how long until they are to be: less than 0 where there are none. Those
// of which the acknowledgement is under way count as acknowledged.
func (c *Client) noteUnacknowledged(s *session, at profile.Inbox) (wait time.Duration, rows uint64) {
	done := max(at.Acknowledged, s.arrived.acknowledged.Load(), s.arrived.asked)
	if at.Processed <= done {
		s.arrived.since = time.Time{}
		return -1, 0
	}
	if s.arrived.since.IsZero() || s.arrived.acknowledging.taken() { // it waits for the one under way
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
