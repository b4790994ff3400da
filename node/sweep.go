package node

import (
	"context"
	"time"
)

// sweepBatch is how many rows of a kind one transaction removes, so that none holds up the others.
const sweepBatch = 500

// sweep removes what expired, until ctx is done.
func (s *Server) sweep(ctx context.Context) {
	ticker := time.NewTicker(s.limits.Sweep)
	defer ticker.Stop()
	contents := time.NewTicker(day)
	defer contents.Stop()
	s.sweepContents(ctx)
	for {
		select {
		case <-ticker.C:
			s.sweepOnce(ctx, time.Now())
		case <-contents.C:
			s.sweepContents(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// sweepContents drops files of which no row knows.
func (s *Server) sweepContents(ctx context.Context) {
	removed, err := s.cfg.Store.SweepContents(ctx)
	s.metrics.swept.Add(float64(removed))
	if err != nil && ctx.Err() == nil {
		s.log.Error("files that nobody knows could not be removed", "cause", err.Error())
	}
}

func (s *Server) sweepOnce(ctx context.Context, now time.Time) {
	s.links.sweep(now)
	s.frozen.sweep(now)
	for _, b := range []*buckets{&s.rates.addresses, &s.rates.accounts, &s.rates.claims} {
		b.sweep(now)
	}
	s.sweepInboxes(ctx, now)
	notices, err := s.cfg.Store.SweepLeaving(ctx, now, s.limits.Retention)
	if err != nil && ctx.Err() == nil {
		s.log.Error("devices and accounts that ended could not be taken out of their conversations", "cause", err.Error())
	}
	s.announce(notices, nil)
	if s.orphans.Swap(false) {
		s.sweepContents(ctx)
	}
	if err := s.sweepBlobs(ctx, now); err != nil && ctx.Err() == nil {
		s.log.Error("files that nobody needs could not be removed", "cause", err.Error())
	}
	for ctx.Err() == nil {
		removed, err := s.cfg.Store.Sweep(ctx, now, sweepBatch)
		if err != nil {
			if ctx.Err() == nil {
				s.log.Error("what expired could not be removed", "cause", err.Error())
			}
			return
		}
		s.metrics.swept.Add(float64(removed))
		if removed == 0 {
			return
		}
	}
}

// Mailboxes that one sweep looks at, in batches: it goes on where the one before ended.
const (
	mailboxBatch = 2000
	mailboxTurns = 5
)

// sweepInboxes drops the rows of inboxes that nobody fetched in time.
func (s *Server) sweepInboxes(ctx context.Context, now time.Time) {
	for range mailboxTurns {
		next, removed, err := s.cfg.Store.SweepInboxes(ctx, s.swept, now.Add(-s.limits.Retention), mailboxBatch)
		if err != nil {
			if ctx.Err() == nil {
				s.log.Error("old rows of inboxes could not be removed", "cause", err.Error())
			}
			return
		}
		s.metrics.swept.Add(float64(removed))
		if s.swept = next; next == "" {
			return
		}
	}
}
