package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/quicproquo/qpq"
	"github.com/quicproquo/qpq/wire"
)

// dispatch answers one call: the way that all calls of all edges take.
func (s *Server) dispatch(ctx context.Context, c *conn, ordinal uint16, request []byte) (status uint16, reply []byte) {
	start := time.Now()
	name := "unknown"
	reply, err := func() ([]byte, error) {
		h, r, err := s.find(ordinal)
		if err != nil {
			return nil, err
		}
		name = h.Method.Name
		if err := s.admit(c, h.Method, r, len(request), start); err != nil {
			return nil, err
		}
		reply, err := s.contained(ctx, c, h, r, request)
		s.limits.wait(ctx, r.floor, start)
		return reply, err
	}()
	if err != nil {
		status, reply = wire.EncodeError(err)
	}
	s.record(c, name, err, start)
	return status, reply
}

// find returns handler and rule of a method. What has none is refused.
func (s *Server) find(ordinal uint16) (wire.Handler[*conn], rule, error) {
	h, err := s.methods.Find(ordinal)
	if err != nil {
		return h, rule{}, err
	}
	r, ok := rules[h.Method.Name]
	if !ok {
		return h, r, fmt.Errorf("no rule for %s", h.Method.Name)
	}
	return h, r, nil
}

// admit checks all that is checked before a request is looked at.
func (s *Server) admit(c *conn, m wire.Method, r rule, size int, now time.Time) error {
	if s.draining() {
		return qpq.E(qpq.Unavailable, wire.CodeDraining, "the server is stopping: connect again")
	}
	if err := s.rates.take(c, r.cost, now); err != nil {
		return err
	}
	return s.fits(c, m, r, size, now)
}

// fits checks a request by its method and size alone.
func (s *Server) fits(c *conn, m wire.Method, r rule, size int, now time.Time) error {
	if size > r.size {
		return qpq.E(qpq.TooLarge, "request-too-large", fmt.Sprintf("a request of %d bytes came in, and %s takes at most %d", size, m.Name, r.size))
	}
	return c.allow(m.Access, now)
}

// contained runs a handler; a panic costs its call and nothing else.
func (s *Server) contained(ctx context.Context, c *conn, h wire.Handler[*conn], r rule, request []byte) (reply []byte, err error) {
	if r.turn {
		c.turn.Lock()
		defer c.turn.Unlock()
	}
	defer func() {
		if p := recover(); p != nil {
			s.metrics.panics.Inc()
			reply, err = nil, fmt.Errorf("panic in %s: %v\n%s", h.Method.Name, p, debug.Stack())
		}
	}()
	return h.Serve(ctx, c, request)
}

// record counts and logs a call. Only what is the server's own fault is worth a line of its own.
func (s *Server) record(c *conn, name string, err error, start time.Time) {
	took := time.Since(start)
	kind := qpq.KindOf(err)
	s.metrics.call(name, kind, took)
	level, cause := slog.LevelDebug, causeOf(err)
	if cause != nil && ownFault(kind) {
		level = slog.LevelError
	}
	if !s.log.Enabled(context.Background(), level) { // names and addresses are redacted only for who reads them: it takes two hashes
		return
	}
	attrs := []slog.Attr{slog.String("method", name), slog.String("address", s.redact.address(c.address)), slog.Duration("took", took)}
	if user, _ := c.who(); !user.IsZero() {
		attrs = append(attrs, slog.String("user", s.redact.user(user)))
	}
	if err != nil {
		attrs = append(attrs, slog.String("kind", kind.String()), slog.String("code", qpq.CodeOf(err)))
	}
	if level == slog.LevelError {
		attrs = append(attrs, slog.String("cause", cause.Error()))
	}
	s.log.LogAttrs(context.Background(), level, "call", attrs...)
}

// ownFault reports whether an operator must know of errors of a kind.
func ownFault(k qpq.Kind) bool {
	return k == qpq.Internal || k == qpq.Damaged || k == qpq.Unavailable || k == qpq.Exhausted
}

// causeOf returns what an error's sentence leaves out: its cause, or all of one without a sentence; nil where there is no error.
// Calls that were given up have none worth telling.
func causeOf(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || qpq.CodeOf(err) == wire.CodeDraining || qpq.CodeOf(err) == "cancelled" {
		return nil
	}
	var safe *qpq.Error
	if errors.As(err, &safe) {
		return safe.Err
	}
	return err
}
